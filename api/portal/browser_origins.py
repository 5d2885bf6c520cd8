# SPDX-License-Identifier: Apache-2.0
"""The two origins at which browsers reach the bridge: the portal's, and the console's, which is for operators."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from api.http.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserOrigins:
    """Scheme, host and port of both origins, from the settings. The ``Host`` of a request only chooses one of them."""

    public_url: str | None
    console_host: str | None

    def is_console(self, request: Request) -> bool:
        """Return whether a request came under the name that is for operators only."""
        return self.console_host is not None and request.host_name == self.console_host

    def of(self, request: Request) -> str:
        """Return the address at which a browser has sent a request; empty without BRIDGE_PUBLIC_URL."""
        public_url = self.public_url or ""
        if not self.is_console(request) or not public_url:
            return public_url
        parts = urlsplit(public_url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{self.console_host}{port}"
