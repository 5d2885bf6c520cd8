# SPDX-License-Identifier: Apache-2.0
"""How requests and AWS's library connect: as `bridge.network` says."""

from typing import Any

import requests
from botocore.config import Config
from botocore.session import Session as BotocoreSession
from requests.adapters import HTTPAdapter

from bridge.network import CurrentTls, Network


class Adapter(HTTPAdapter):
    """Sends requests over connections that are made as the rule says, `verify=True` meaning the rule's authorities."""

    def __init__(self, network: Network, url: str, *, pool: int, upstream: bool = False) -> None:
        """All requests are for the server of this URL; ``upstream`` may ask for the client certificate."""
        self._network = network
        self._tls = CurrentTls(network, upstream=upstream)
        if url.startswith("https:"):
            # Made now, for it takes a tenth of a second, and says here what can't be read.
            self._tls.context()
        super().__init__(pool_connections=1, pool_maxsize=pool, max_retries=0)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - as it is overridden
        """Return the pools of connections through a proxy."""
        tls = {"proxy_ssl_context": self._network.tls()} if proxy.startswith("https:") else {}
        return super().proxy_manager_for(proxy, **tls, **options)

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: Any,  # noqa: ANN401
        cert: Any = None,  # noqa: ANN401
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return which pool a request is for."""
        host, tls = super().build_connection_pool_key_attributes(request, self._authorities(verify), cert)
        if verify is True and not cert:
            tls = {"ssl_context": self._tls.context()} if host["scheme"] == "https" else {}
        return host, tls

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ANN401
        """Leave the rule's authorities alone, to which requests would add the public ones."""
        if verify is not True or cert:
            super().cert_verify(conn, url, self._authorities(verify), cert)

    def _authorities(self, verify: Any) -> Any:  # noqa: ANN401
        """Return the file of OpenTelemetry's own variables, if they name one, or else the rule's."""
        bundle = self._network.ca_bundle
        return str(bundle.path) if bundle and verify is True else verify


def session_to(url: str, network: Network) -> requests.Session:
    """Return a session for one address: without what the environment says of proxies, authorities and passwords."""
    session = requests.Session()
    session.trust_env = False
    session.proxies = network.proxies_of(url)
    adapter = Adapter(network, url, pool=1)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class AwsSession(BotocoreSession):  # type: ignore[misc] # botocore is untyped
    """botocore's session, all of whose clients connect as the rule says; also those that fetch credentials."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def create_client(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as it is overridden
        """Return a client of an AWS service."""
        bundle = self._network.ca_bundle
        if bundle and options.get("verify") is None:
            options["verify"] = str(bundle.path)
        config = options.pop("config", None) or Config()

        def client(proxies: dict[str, str]) -> Any:  # noqa: ANN401
            return super(AwsSession, self).create_client(*args, **options, config=config.merge(Config(proxies=proxies)))

        made = client({})
        # Only a client knows where it sends to.
        proxies = self._network.proxies_of(made.meta.endpoint_url)
        return client(proxies) if proxies else made
