# SPDX-License-Identifier: Apache-2.0
"""Extracts a few fields of a JSON document that arrives in pieces. Keeps neither the document nor other fields."""

import re
from collections.abc import Callable, Collection

#: The names of the objects around a value, and its own name.
Path = tuple[bytes, ...]

#: The bytes that begin or end a value, and the colon that makes a string a name. Numbers and literals are skipped.
_STRUCTURE = re.compile(rb'["{}\[\]:]')
#: The same below the depth of all paths, where no name matters.
_DEEP_STRUCTURE = re.compile(rb'["{}\[\]]')
#: The rest of a string, up to its closing quote, a last backslash, or the end of the piece.
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
#: A longer string is neither a name of a path nor returned.
_MAX_STRING_BYTES = 1024
#: A longer object is not returned.
_MAX_OBJECT_BYTES = 64 * 1024
_QUOTE, _BACKSLASH, _COLON = ord('"'), ord("\\"), ord(":")
_OPENING, _OBJECT = (ord("{"), ord("[")), ord("{")


class JsonFields:
    """Calls ``on_field`` with the JSON text of each object or string at one of the paths, in the document's order.

    The document is an object, or an array of objects: a path begins in either. Invalid JSON yields no error and no
    useful field. ``max_tokens`` bounds the work for a document of a client: what follows them is not read.
    """

    def __init__(
        self, paths: Collection[Path], on_field: Callable[[bytes], None], *, max_tokens: float = float("inf")
    ) -> None:
        self._paths = frozenset(paths)
        self._on_field = on_field
        self._max_depth = max(map(len, paths)) + 1
        self._max_tokens = max_tokens
        self.restart()

    def restart(self) -> None:
        """Begin with another document."""
        self._tokens_left = self._max_tokens
        self._depth = 0
        #: For each open container down to the depth that matters: the name of the field that it is; None in an array.
        self._containers: list[bytes | None] = []
        #: The name before the last colon. A string after it is a value if no colon follows.
        self._name: bytes | None = None
        #: The last string, as far as it is read; None below the depth that matters.
        self._string: bytearray | None = None
        #: The last string is the value of the last name, unless a colon follows.
        self._is_value = False
        self._in_string = self._is_escaped = False
        #: The object that is being copied, the depth around it, and where it begins in the current piece.
        self._object: bytearray | None = None
        self._object_depth = self._object_begin = 0

    def feed(self, piece: bytes) -> None:
        """Read the next piece."""
        position, end = 0, len(piece)
        while position < end and self._tokens_left > 0:
            if self._in_string:
                position = self._read_string(piece, position)
                continue
            pattern = _STRUCTURE if self._depth <= self._max_depth else _DEEP_STRUCTURE
            match = pattern.search(piece, position)
            if not match:
                break
            position = match.end()
            self._tokens_left -= 1
            self._read_token(piece, position - 1)
        if self._object is not None:
            self._copy(piece, end)
            self._object_begin = 0

    def _read_string(self, piece: bytes, position: int) -> int:
        """Read on in a string, and return the position after what was read."""
        begin = position
        if self._is_escaped:
            self._is_escaped = False
            position += 1
        match = _STRING.match(piece, position)
        position = match.end() if match else position
        if self._string is not None and len(self._string) < _MAX_STRING_BYTES:
            self._string += piece[begin : min(position, begin + _MAX_STRING_BYTES)]
        if position == len(piece):
            return position
        # The pattern stops within a piece at the closing quote, or at a backslash that is the last byte.
        self._in_string = piece[position] == _BACKSLASH
        self._is_escaped = self._in_string
        if self._is_escaped and self._string is not None:
            self._string += b"\\"
        return position + 1

    def _read_token(self, piece: bytes, position: int) -> None:
        token = piece[position]
        if token == _COLON:
            self._name, self._is_value = bytes(self._string or b""), False
            return
        self.end()
        if token == _QUOTE:
            self._in_string = True
            self._string = bytearray() if self._depth <= self._max_depth else None
            self._is_value = self._name is not None
        elif token in _OPENING:
            self._open(position, is_object=token == _OBJECT)
        else:
            self._close(piece, position)

    def end(self) -> None:
        """Return a string that ends the document: before any other token it could still be a name."""
        if self._is_value and not self._in_string and self._string is not None:
            if len(self._string) < _MAX_STRING_BYTES and self._path in self._paths:
                self._on_field(b'"%s"' % self._string)
            self._name = None
        self._is_value = False

    def _open(self, position: int, *, is_object: bool) -> None:
        if is_object and self._name is not None and self._object is None and self._path in self._paths:
            self._object, self._object_depth, self._object_begin = bytearray(), self._depth, position
        self._depth += 1
        if self._depth <= self._max_depth:
            self._containers.append(self._name)
        self._name = None

    def _close(self, piece: bytes, position: int) -> None:
        if self._depth <= self._max_depth and self._containers:
            self._containers.pop()
        self._depth = max(0, self._depth - 1)
        self._name = None
        if self._object is not None and self._depth == self._object_depth:
            self._copy(piece, position + 1)
            # None if it was too long.
            copied, self._object = self._object, None
            if copied:
                self._on_field(bytes(copied))

    def _copy(self, piece: bytes, end: int) -> None:
        if self._object is None:
            return
        self._object += piece[self._object_begin : end]
        if len(self._object) > _MAX_OBJECT_BYTES:
            self._object = None

    @property
    def _path(self) -> Path:
        """The path of a value after the last name. The document itself, and an array around it, have no name."""
        names = list(self._containers)
        while names and names[0] is None:
            del names[0]
        return tuple(b"" if name is None else name for name in (*names, self._name))
