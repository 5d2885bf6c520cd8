# SPDX-License-Identifier: Apache-2.0
"""A request's body on its way to upstream: taken in whole, for a signature needs its hash before the first byte."""

import hashlib
import tempfile

#: Up to this size it is held in memory; a longer one goes to a temporary file.
_IN_MEMORY = 1 << 20


class Spool:
    """Takes bytes in, and knows their length and hash. To be closed."""

    def __init__(self) -> None:
        self.file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by `close`
        self.length = 0
        self._digest = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        self.file.write(chunk)
        self._digest.update(chunk)
        self.length += len(chunk)

    @property
    def sha256(self) -> str:
        """The hash of what has been written, in hexadecimal digits."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Drop the bytes."""
        self.file.close()
