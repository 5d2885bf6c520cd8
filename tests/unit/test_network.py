# SPDX-License-Identifier: Apache-2.0
"""The rule for outgoing connections: which variable counts, what goes through a proxy, and what is never shown."""

from pathlib import Path

import pytest

from bridge.config.environment import read_settings
from bridge.config.network import CA_BUNDLE, CurrentTls, Network, Proxies, ca_bundle_in, proxies_in
from bridge.errors import CannotStart, InvalidSettings
from tests.enterprise import Authority

REQUIRED = {"BRIDGE_UPSTREAM": "http://mlflow.example", "BRIDGE_STORE_URL": "redis://store.example"}
P, Q = "http://p.example:3128", "http://q.example:3128"


def test_the_first_variable_that_names_a_ca_bundle_counts() -> None:
    environ = {name: f"/{name}" for name in CA_BUNDLE} | {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/other"}
    for name in CA_BUNDLE:
        found = ca_bundle_in(environ)
        assert found
        assert (found.path, found.variable) == (Path(f"/{name}"), name)
        environ[name] = ""
    assert ca_bundle_in(environ) is None


@pytest.mark.parametrize(
    ("environ", "https", "http"),
    [
        ({}, None, None),
        ({"BRIDGE_PROXY": P, "HTTPS_PROXY": Q, "http_proxy": Q}, P, P),
        ({"HTTPS_PROXY": P}, P, None),
        ({"https_proxy": P, "HTTPS_PROXY": Q}, P, None),
        ({"HTTP_PROXY": P, "BRIDGE_PROXY": " "}, None, P),
        ({"http_proxy": P, "HTTP_PROXY": Q, "HTTPS_PROXY": Q}, Q, P),
        ({"HTTPS_PROXY": "p.example:3128"}, P, None),
        ({"ALL_PROXY": P, "FTP_PROXY": P}, None, None),
    ],
)
def test_a_proxy_is_for_the_urls_of_its_scheme(environ: dict[str, str], https: str | None, http: str | None) -> None:
    network = Network(proxies=proxies_in(environ))

    assert network.proxy_of("https://mlflow.example/x") == https
    assert network.proxy_of("http://mlflow.example/x") == http
    assert network.proxies_of("https://mlflow.example/x") == ({"https": https} if https else {})


@pytest.mark.parametrize(
    ("no_proxy", "direct", "proxied"),
    [
        ("", ["localhost", "a.localhost", "127.0.0.1", "127.8.9.1", "[::1]"], ["localhost.example", "10.0.0.1"]),
        ("mlflow.example", ["mlflow.example", "MLflow.Example", "a.mlflow.example"], ["xmlflow.example", "example"]),
        (".example, other", ["mlflow.example", "example", "other"], ["mlflow.example.com"]),
        ("*.example", ["mlflow.example"], ["other"]),
        ("*", ["anything", "10.0.0.1"], []),
        ("10.0.0.0/8 fd00::/8", ["10.1.2.3", "[fd00::2]"], ["11.0.0.1", "[fe00::1]", "ten.example"]),
        ("10.1.2.3,fd00::2", ["10.1.2.3", "[fd00::2]"], ["10.1.2.4", "[fd00::3]"]),
        ("mlflow.example:8443", ["mlflow.example:8443"], ["mlflow.example", "mlflow.example:443"]),
        ("[fd00::2]:8443,10.1.2.3:443", ["[fd00::2]:8443", "10.1.2.3"], ["[fd00::2]", "10.1.2.3:8443"]),
        (",, .,:", [], ["mlflow.example"]),
    ],
)
def test_hosts_that_no_proxy_names_are_reached_directly(no_proxy: str, direct: list[str], proxied: list[str]) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        network = Network(proxies=proxies_in({"BRIDGE_PROXY": P, name: no_proxy}))

        assert [host for host in direct if network.proxy_of(f"https://{host}/x")] == []
        assert [host for host in proxied if not network.proxy_of(f"https://{host}/x")] == []


@pytest.mark.parametrize("text", ["socks5://u:s3cret@p:1", "http://u:s3cret@", "u:s3cret@p:x", "http://u:s3cret@p:0"])
@pytest.mark.parametrize("variable", ["BRIDGE_PROXY", "HTTPS_PROXY", "http_proxy"])
def test_what_is_no_proxy_is_refused_by_the_name_of_its_variable_and_without_its_password(
    variable: str, text: str
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        read_settings({**REQUIRED, variable: text})

    assert str(caught.value).startswith(f"{variable}='")
    assert "must be the http:// or https:// URL of a proxy" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://user:s3c@ret@p:1", "user:s3c@ret@p:1", "https://user:s3c%40ret@p:1"])
def test_the_password_of_a_proxy_is_never_shown(url: str) -> None:
    settings = read_settings({**REQUIRED, "HTTPS_PROXY": url, "NO_PROXY": "x"})

    for shown in (repr(settings), str(settings), repr(settings.network), f"{settings.proxy}"):
        assert "://***@p:1'" in shown
        assert "s3c" not in shown
        assert "user" not in shown
    assert "s3c" in str(settings.network.proxy_of("https://mlflow.example"))


@pytest.mark.parametrize("variable", CA_BUNDLE)
@pytest.mark.parametrize("content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nx"])
def test_a_bundle_that_can_not_be_read_is_named_by_its_variable(
    variable: str, content: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    with pytest.raises(CannotStart) as caught:
        read_settings({**REQUIRED, variable: str(path)}).network.check()

    assert str(caught.value).startswith(f"{variable}={path} can't be used (")
    assert "name a file with the certificates" in str(caught.value)


def test_a_client_certificate_needs_its_key(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("bridge.example")
    other = authority.issue("other.example")[1]
    both = {"BRIDGE_UPSTREAM_CLIENT_CERTIFICATE": str(certificate), "BRIDGE_UPSTREAM_CLIENT_KEY": str(key)}

    read_settings({**REQUIRED, **both}).network.check()
    for name in both:
        with pytest.raises(CannotStart, match="belong together"):
            read_settings({**REQUIRED, **both, name: ""}).network.check()
    for wrong in (other, tmp_path / "none.key", certificate):
        with pytest.raises(CannotStart, match=r"can't be used \(.+\): name a certificate and its key"):
            read_settings({**REQUIRED, **both, "BRIDGE_UPSTREAM_CLIENT_KEY": str(wrong)}).network.check()


def test_a_bundle_replaces_the_public_authorities_and_only_upstream_is_shown_the_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("bridge.example")
    bundle = ca_bundle_in({"SSL_CERT_FILE": str(authority.bundle)})
    network = Network(ca_bundle=bundle, client_certificate=certificate, client_key=key)

    names = [dict(pair for each in ca["subject"] for pair in each) for ca in network.tls().get_ca_certs()]  # type: ignore[misc] # typeshed has it deeper
    assert names == [{"commonName": "company authority"}]
    assert len(Network().tls().get_ca_certs()) > 50
    assert network.tls() is network.tls()
    assert network.tls() is not network.tls(upstream=True)


def test_a_renewed_client_certificate_is_taken_up_once_it_fits_its_key(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("bridge.example")
    tls = CurrentTls(Network(client_certificate=certificate, client_key=key), upstream=True)
    first = tls.context()

    old_key = key.read_bytes()
    authority.issue("bridge.example")
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    half = tls.context()
    key.write_bytes(new_key + b"\n")
    renewed = tls.context()

    assert half is first
    assert renewed is not first
    assert tls.context() is renewed
    assert Proxies() == proxies_in({})
