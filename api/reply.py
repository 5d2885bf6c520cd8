# SPDX-License-Identifier: Apache-2.0
"""An answer as it goes out, whatever framework sends it."""

from dataclasses import dataclass
from http import HTTPStatus

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, body and headers."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def status_line(self) -> str:
        """The status as WSGI wants it (PEP 3333)."""
        return _LINES.get(self.status) or f"{self.status} Unknown"

    def header_list(self) -> list[tuple[str, str]]:
        """All headers, with type and length."""
        return [("Content-Type", self.content_type), ("Content-Length", str(len(self.body))), *self.headers]


_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
