# SPDX-License-Identifier: Apache-2.0
"""Settings: each is read, none is guessed, all faults are told at once, and passwords are not shown."""

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from bridge.config.environment import read_settings
from bridge.config.network import CaBundle, EgressProxy, Proxies
from bridge.config.parsers import duration, size
from bridge.config.settings import Settings, variable
from bridge.errors import InvalidSettings
from schemas.bodies.single import DATASET_LIMITS
from schemas.client import Scope
from schemas.endpoints import Handling
from schemas.write import Op

REQUIRED = {"BRIDGE_UPSTREAM": "http://mlflow.example", "BRIDGE_STORE_URL": "redis://store.example"}
SERVER = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-tracking-server/ours"
MLFLOW_APP = "arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:mlflow-app/app-1"

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:bridge/keys-AbC123"
PROXY = EgressProxy("http://p:3128", "BRIDGE_PROXY")

#: Another value than the default, and what it is read as: for each setting that has a reader of its own.
OTHERS: dict[str, tuple[str, Any]] = {
    "upstream": (SERVER, SERVER),
    "upstream_endpoint": ("https://vpce.example/x", "https://vpce.example/x"),
    "assume_role_arn": ("arn:aws:iam::123456789012:role/bridge", "arn:aws:iam::123456789012:role/bridge"),
    "assume_role_session_name": ("client", "client"),
    "ca_bundle": ("/ca.pem", CaBundle(Path("/ca.pem"), "BRIDGE_CA_BUNDLE")),
    "proxy": ("http://p:3128", Proxies(https=PROXY, http=PROXY)),
    "upstream_client_certificate": ("/client/chain.pem", Path("/client/chain.pem")),
    "upstream_client_key": ("/client/key.pem", Path("/client/key.pem")),
    "store_url": ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
    "broker_url": ("rediss://broker.example:6380/2", "rediss://broker.example:6380/2"),
    "upstream_rate": ("12.5", 12.5),
    "upstream_burst": ("7", 7),
    "quota_requests": ("50", 50.0),
    "quota_writes": ("0.5", 0.5),
    "host": ("0.0.0.0", "0.0.0.0"),  # noqa: S104 - it is read, not bound
    "port": ("0", 0),
    "auth": ("keys", ("keys",)),
    "jwt_issuer": ("https://issuer.example/", "https://issuer.example/"),
    "jwt_audience": ("bridge", "bridge"),
    "jwt_jwks_url": ("https://issuer.example/keys", "https://issuer.example/keys"),
    "alb_arn": ("arn:aws:elasticloadbalancing:x", "arn:aws:elasticloadbalancing:x"),
    "alb_issuer": ("https://issuer.example", "https://issuer.example"),
    "alb_client_id": ("portal", "portal"),
    "alb_keys_url": ("https://keys.example", "https://keys.example"),
    "public_url": ("https://Bridge.example:8443/", "https://bridge.example:8443"),
    "console_host": ("Ops.example", "ops.example"),
    "label": ("staging", "staging"),
    "oidc_client_id": ("bridge", "bridge"),
    "oidc_client_secret": ("s3cret", "s3cret"),
    "oidc_roles": ("team:ml-ops:admin, ml:read", (("team:ml-ops", Scope.ADMIN), ("ml", Scope.READ))),
    "oidc_roles_claim": ("roles", "roles"),
    "encryption_keys": (f"{'_-8_' * 10}_-8,{'/+8/' * 10}/+8=", (b"\xff\xef\x3f" * 10 + b"\xff\xef",) * 2),
    "encryption_keys_secret_arn": (SECRET, SECRET),
    "tls_cert_file": ("/tls/chain.pem", Path("/tls/chain.pem")),
    "tls_key_file": ("/tls/key.pem", Path("/tls/key.pem")),
    "trusted_proxies": ("2", 2),
    "allowed_hosts": ("Bridge.example, other", ("bridge.example", "other")),
    "api_processes": ("4", 4),
    "api_threads": ("64", 64),
    "worker_processes": ("3", 3),
    "worker_concurrency": ("1", 1),
    "shutdown_delay": ("0s", dt.timedelta()),
    "log_level": ("DEBUG", "debug"),
    "upstream_version": ("2.16.2", "2.16.2"),
    "tracing": ("http://collector:4318", "http://collector:4318"),
    "action_modes": ("SetTag:proxied", {"SetTag": Handling.PROXIED}),
    "emf_namespace": ("Team/MlflowBridge", "Team/MlflowBridge"),
    "data_dir": ("/var/lib/bridge", Path("/var/lib/bridge")),
}
#: The same by reader, for those that many settings share.
OTHERS_BY_READER: dict[Any, tuple[str, Any]] = {
    duration: ("1500ms", dt.timedelta(seconds=1.5)),
    size: ("3GiB", 3 << 30),
}
#: What a setting means nothing without.
NEEDED = {
    "assume_role_session_name": {"BRIDGE_ASSUME_ROLE_ARN": "arn:aws:iam::123456789012:role/bridge"},
    "oidc_client_id": {
        "BRIDGE_AUTH": "keys",
        "BRIDGE_JWT_ISSUER": "https://issuer.example",
        "BRIDGE_PUBLIC_URL": "https://bridge.example",
    },
}
FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def _faults(environ: dict[str, str]) -> str:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(environ)
    return str(caught.value)


@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_is_read_from_its_variable(name: str) -> None:
    other = OTHERS.get(name) or OTHERS_BY_READER.get(FIELDS[name].metadata["read"])
    assert other, "a setting is new: say above what another value of it is read as"
    text, value = other

    settings = read_settings({**REQUIRED, **NEEDED.get(name, {}), variable(FIELDS[name]): text})

    assert getattr(settings, name) == value
    if name not in ("upstream", "store_url"):
        assert getattr(read_settings(REQUIRED), name) != value


def test_only_a_role_and_only_an_upstream_of_aws_can_speak_for_clients() -> None:
    with_role = {
        "BRIDGE_ASSUME_ROLE_SESSION_NAME": "client",
        "BRIDGE_ASSUME_ROLE_ARN": "arn:aws:iam::123456789012:role/bridge",
    }

    assert "needs BRIDGE_ASSUME_ROLE_ARN" in _faults({**REQUIRED, "BRIDGE_ASSUME_ROLE_SESSION_NAME": "source"})
    assert read_settings({**REQUIRED, **with_role, "BRIDGE_UPSTREAM": SERVER}).uses_client_sessions
    assert not read_settings({**REQUIRED, **with_role}).uses_client_sessions
    assert not read_settings({**REQUIRED, "BRIDGE_UPSTREAM": SERVER}).uses_client_sessions


def test_a_sign_in_at_a_provider_needs_the_provider_an_address_and_clients_that_are_known() -> None:
    faults = _faults({**REQUIRED, "BRIDGE_OIDC_CLIENT_ID": "bridge", "BRIDGE_AUTH": "none"})

    assert all(f"BRIDGE_OIDC_CLIENT_ID needs BRIDGE_{name}" in faults for name in ("AUTH", "JWT_ISSUER", "PUBLIC_URL"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PUBLIC_URL", "http://bridge.example"),
        ("PUBLIC_URL", "https://bridge.example/path"),
        ("PUBLIC_URL", "https://user@bridge.example"),
        ("PUBLIC_URL", "bridge.example"),
        ("CONSOLE_HOST", "https://ops.example"),
        ("OIDC_ROLES", "ml-ops"),
        ("OIDC_ROLES", "ml-ops:root"),
        ("OIDC_ROLES", ":admin"),
        ("LABEL", "x" * 41),
        ("LABEL", "a\nb"),
    ],
)
def test_what_a_sign_in_can_not_use_is_refused(name: str, text: str) -> None:
    assert f"BRIDGE_{name}=" in _faults({**REQUIRED, f"BRIDGE_{name}": text})


def test_the_secret_of_the_provider_is_not_shown() -> None:
    assert "s3cret" not in repr(read_settings({**REQUIRED, "BRIDGE_OIDC_CLIENT_SECRET": "s3cret"}))


@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_has_a_variable_of_its_name_and_a_sentence_about_it(name: str) -> None:
    assert variable(FIELDS[name]) == f"BRIDGE_{name.upper()}"
    assert FIELDS[name].metadata["about"].endswith(".")


@pytest.mark.parametrize("name", [name for name in FIELDS if variable(FIELDS[name]) not in REQUIRED])
def test_an_empty_value_is_the_default(name: str) -> None:
    assert read_settings({**REQUIRED, variable(FIELDS[name]): ""}) == read_settings(REQUIRED)


@pytest.mark.parametrize("name", sorted(REQUIRED))
@pytest.mark.parametrize("value", [{}, ""])
def test_a_required_setting_that_is_missing_or_empty_is_named(name: str, value: object) -> None:
    environ = {**REQUIRED, name: ""} if value == "" else {key: text for key, text in REQUIRED.items() if key != name}

    assert _faults(environ).startswith(f"{name} is not set: ")


def test_defaults_of_the_caller_stand_in_for_what_is_not_set_and_for_nothing_else() -> None:
    stand_ins = {"upstream": "http://stand-in", "store_url": "redis://stand-in"}

    assert read_settings({}, **stand_ins).upstream == "http://stand-in"
    assert read_settings({"BRIDGE_UPSTREAM": ""}, **stand_ins).upstream == "http://stand-in"
    assert read_settings(REQUIRED, **stand_ins).upstream == REQUIRED["BRIDGE_UPSTREAM"]


@pytest.mark.parametrize("name", ["BRIDGE_UPSTREEM", "BRIDGE_", "BRIDGE_port", "BRIDGE_STORE_URL_"])
def test_an_unknown_setting_is_refused(name: str) -> None:
    assert _faults({**REQUIRED, name: "x"}) == f"{name}: there is no such setting"


def test_variables_of_others_are_none_of_our_business() -> None:
    assert read_settings({**REQUIRED, "PATH": "/bin", "XBRIDGE_PORT": "x", "bridge_port": "x"}) == read_settings(
        REQUIRED
    )


def test_all_faults_are_told_at_once() -> None:
    text = _faults(
        {"BRIDGE_STORE_URL": "redis://s", "BRIDGE_PORT": "x", "BRIDGE_MAX_BODY_SIZE": "1kb", "BRIDGE_SHADOW": "1"}
    )

    names = [line.partition("=")[0].partition(":")[0].partition(" ")[0] for line in text.splitlines()]
    assert sorted(names) == ["BRIDGE_MAX_BODY_SIZE", "BRIDGE_PORT", "BRIDGE_SHADOW", "BRIDGE_UPSTREAM"]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("port", ["x", "-1", "65536", "80.0", " ", "\u00b2"]),
        ("api_processes", ["0", "-1", "1.0", "x"]),
        ("api_threads", ["0", "-1", "1.0", "x"]),
        ("worker_processes", ["0", "-1", "x"]),
        ("upstream_rate", ["-1", "x", "1e3", "100001", "1."]),
        ("upstream_burst", ["0", "x"]),
        ("worker_concurrency", ["0", "-1", "x"]),
        ("read_timeout", ["20", "20 s", "1h30m", "-1s", "s", "1S", ".5s", "1.s", "1e3s", "forever"]),
        ("max_body_size", ["10MB", "1.5MiB", "-1", "1 MiB", "1kib", "x"]),
        ("store_url", ["localhost:6379", "http://h", "/run/redis.sock", "x"]),
        ("broker_url", ["amqp://h", "x"]),
        ("upstream_endpoint", ["vpce.example", "ftp://h"]),
        ("encryption_keys_secret_arn", ["arn:aws:s3:::bucket", f"{SECRET}\n", SECRET.replace("123456789012", "1")]),
        ("upstream", ["mlflow.example", "ftp://h", "sagemaker", "arn:aws:s3:::bucket", f"{SERVER}/x", f"{SERVER}\n"]),
        ("upstream", [SERVER.replace("123456789012", "123"), SERVER.replace("mlflow-tracking-server", "model")]),
    ],
)
def test_a_value_that_can_not_be_read_is_refused_with_what_would_be_right(name: str, texts: list[str]) -> None:
    for text in texts:
        fault = _faults({**REQUIRED, variable(FIELDS[name]): text})
        assert fault.startswith(f"BRIDGE_{name.upper()}={text!r} must be "), fault


@pytest.mark.parametrize("upstream", [SERVER, MLFLOW_APP, "http://localhost:5000", "https://mlflow.example/tracking"])
def test_upstream_is_an_arn_of_either_kind_or_a_url(upstream: str) -> None:
    assert read_settings({**REQUIRED, "BRIDGE_UPSTREAM": upstream}).upstream == upstream


def test_a_slash_at_the_end_of_upstream_means_nothing() -> None:
    assert read_settings({**REQUIRED, "BRIDGE_UPSTREAM": "http://h/x/"}).upstream == "http://h/x"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("1.5s", 1.5),
        ("5m", 300),
        ("72h", 259_200),
        ("7d", 604_800),
        ("007s", 7),
    ],
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert duration(text) == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("512", 512),
        ("512B", 512),
        ("1KiB", 1024),
        ("64KiB", 65_536),
        ("10MiB", 10_485_760),
        ("2GiB", 1 << 31),
    ],
)
def test_sizes_have_binary_units(text: str, count: int) -> None:
    assert size(text) == count


def test_the_broker_is_the_store_unless_it_is_set() -> None:
    assert read_settings(REQUIRED).broker == "redis://store.example"
    assert read_settings({**REQUIRED, "BRIDGE_BROKER_URL": "redis://b"}).broker == "redis://b"


def test_a_lease_outlasts_the_longest_upstream_call() -> None:
    settings = read_settings({**REQUIRED, "BRIDGE_CONNECT_TIMEOUT": "10s", "BRIDGE_READ_TIMEOUT": "5m"})

    assert settings.lease > settings.connect_timeout + settings.read_timeout


def test_settings_can_not_be_changed_once_read() -> None:
    settings = read_settings(REQUIRED)

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.port = 1  # type: ignore[misc] # that it is an error is what is tested


@pytest.mark.parametrize(
    ("name", "url", "shown"),
    [
        ("store_url", "redis://:s3cret@h/0", "redis://***@h/0"),
        ("store_url", "redis://user:s3cret@h/0", "redis://***@h/0"),
        ("store_url", "redis://h/0", "redis://h/0"),
        ("broker_url", "rediss://user:s3cret%40%2F@h:1/0", "rediss://***@h:1/0"),
        ("upstream", "https://user:s3cret@mlflow.example", "https://***@mlflow.example"),
        ("upstream_endpoint", "https://user:s3cret@h:8443/x", "https://***@h:8443/x"),
    ],
)
def test_passwords_are_masked_where_settings_are_shown(name: str, url: str, shown: str) -> None:
    settings = read_settings({**REQUIRED, variable(FIELDS[name]): url})

    for text in (repr(settings), str(settings), f"{settings}"):
        assert f"{name}={shown!r}" in text
        assert "s3cret" not in text
    assert getattr(settings, name) == url


def test_encryption_keys_are_never_shown() -> None:
    key = "c2VjcmV0" * 5 + "c2U"
    settings = read_settings({**REQUIRED, "BRIDGE_ENCRYPTION_KEYS": key})

    assert settings.encryption_keys == (b"secret" * 5 + b"se",)
    assert "encryption_keys='***'" in repr(settings)
    fault = _faults({**REQUIRED, "BRIDGE_ENCRYPTION_KEYS": f"{key},short"})
    assert fault.startswith("BRIDGE_ENCRYPTION_KEYS='***' must be keys of 32 random bytes")
    assert "c2Vj" not in fault


def test_settings_show_every_field() -> None:
    assert all(f"{name}=" in repr(read_settings(REQUIRED)) for name in FIELDS)


@pytest.mark.parametrize(
    ("upstream", "rate", "in_force"),
    [(SERVER, "", 25.0), (SERVER, "0", None), (SERVER, "50", 50.0), ("http://h", "", None), ("http://h", "5", 5.0)],
)
def test_calls_are_limited_by_default_where_sagemaker_limits_them(
    upstream: str, rate: str, in_force: float | None
) -> None:
    settings = read_settings({**REQUIRED, "BRIDGE_UPSTREAM": upstream, "BRIDGE_UPSTREAM_RATE": rate})

    assert settings.calls_per_second == in_force


@pytest.mark.parametrize(
    ("auth", "names"),
    [
        ("jwt", ["BRIDGE_JWT_ISSUER", "BRIDGE_JWT_AUDIENCE"]),
        ("keys,alb", ["BRIDGE_ALB_ARN", "BRIDGE_ALB_ISSUER", "BRIDGE_ALB_CLIENT_ID"]),
    ],
)
def test_what_a_kind_of_identity_needs_must_be_set(auth: str, names: list[str]) -> None:
    faults = _faults(REQUIRED | {"BRIDGE_AUTH": auth})

    assert [name for name in names if f"needs {name}" in faults] == names


@pytest.mark.parametrize("auth", ["passwords", "keys,none", "keys,", ","])
def test_no_kind_of_identity_is_made_up(auth: str) -> None:
    assert "BRIDGE_AUTH" in _faults(REQUIRED | {"BRIDGE_AUTH": auth})


def test_calls_of_which_mlflow_takes_long_bodies_have_a_bound_of_their_own() -> None:
    settings = read_settings(REQUIRED)
    long = {op for op in Op if settings.longest_body(op) == settings.max_long_body_size}

    assert long == {Op.LOG_BATCH, Op.LOG_INPUTS, Op.EXPORT_TRACES}
    assert {settings.longest_body(op) for op in {None, *Op} - long} == {settings.max_body_size}
    assert settings.max_long_body_size > 2 * DATASET_LIMITS["profile"]


def test_no_call_has_a_lower_bound_than_all_others() -> None:
    settings = read_settings({**REQUIRED, "BRIDGE_MAX_BODY_SIZE": "50MiB", "BRIDGE_MAX_LONG_BODY_SIZE": "1MiB"})

    assert settings.longest_body(Op.LOG_INPUTS) == settings.longest_body(None) == 50 * 1024 * 1024
