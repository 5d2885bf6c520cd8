# SPDX-License-Identifier: Apache-2.0
"""Checks the settings, and derives usable ones for the other checks even if some are invalid."""

import dataclasses
import difflib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.bootstrap.startup_checks import check_exposure
from bridge.config.environment import CREDENTIALS_DIRECTORY, read_settings, resolve_credentials
from bridge.config.settings import PREFIX, Settings, variable
from bridge.doctor.checks import CheckResult, fail, ok, warn
from bridge.errors import CannotStart, InvalidSettings

_FIELDS = {variable(field): field for field in dataclasses.fields(Settings)}
_UP_NEEDS_NONE = "none for the bridge of `mlflow-bridge up`; set them for an api or a worker of its own"
_UP_NEEDS_DATA_DIR = "a bridge of `mlflow-bridge up` needs none of them, but its BRIDGE_DATA_DIR"
#: Placeholders for settings that are required but unknown. The doctor never connects to them.
_NO_STORE, _NO_BROKER, _NO_UPSTREAM = "unix:///nowhere", "unix:///nowhere/broker", "http://nowhere.invalid"
#: Settings that can contradict others, and that the other checks do not need.
_OPTIONAL = ("BRIDGE_AUTH", "BRIDGE_ASSUME_ROLE_SESSION_NAME", "BRIDGE_OIDC_CLIENT_ID")
_SECRET_NAME = re.compile(r"SECRET|TOKEN|PASSWORD|ENCRYPTION_KEYS")
#: A password in the user info of a URL, or in its query.
_URL_PASSWORD = re.compile(r":([^:@/]+)@|password=([^&]+)")
#: A shorter text is not masked, because it would match parts of words.
_MIN_SECRET_LENGTH = 4
_API_GATEWAY = re.compile(r"https?://[^/]+\.execute-api\.[^/]+\.amazonaws\.com", re.IGNORECASE)
_API_GATEWAY_FIXES = (
    "name the MLflow server itself: API Gateway removes `Via`, so that a bridge behind it would call itself endlessly",
    "it also removes AWS signatures, and ends responses after 29 s and bodies above 10 MB",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings of the installation, as far as they are valid."""

    result: CheckResult
    #: None: too many are invalid.
    settings: Settings | None
    #: The parts (``store``, ``broker``, ``upstream``) that no valid setting names.
    unnamed: frozenset[str] = frozenset()


def read_configuration(environ: Mapping[str, str]) -> Configuration:
    """Read the settings as the bridge does. Invalid ones are reported and replaced by their defaults."""
    socket = Path(environ.get("BRIDGE_DATA_DIR") or ".data").resolve() / "store.sock"
    # The store of `mlflow-bridge up`.
    local_store = {"store_url": f"unix://{socket}"} if not environ.get("BRIDGE_STORE_URL") and socket.exists() else {}
    result = _check_settings(environ, local_store)
    settings = _usable_settings(environ, {"store_url": _NO_STORE, "upstream": _NO_UPSTREAM, **local_store})
    if settings is None:
        return Configuration(result=result, settings=None)
    named = {
        "store": settings.store_url != _NO_STORE,
        "broker": settings.broker not in (_NO_STORE, _NO_BROKER),
        "upstream": settings.upstream != _NO_UPSTREAM,
    }
    unnamed = frozenset(name for name, is_named in named.items() if not is_named)
    return Configuration(result=result, settings=settings, unnamed=unnamed)


def _usable_settings(environ: Mapping[str, str], defaults: Mapping[str, str]) -> Settings | None:
    """Return the valid settings; if they contradict each other, without those that other checks don't need."""
    # `with_credentials` has left the environment as it is if a file of a credential can't be used.
    without_files = {name: text for name, text in environ.items() if name != CREDENTIALS_DIRECTORY}
    readable = {
        name: text for name, text in without_files.items() if not name.startswith(PREFIX) or _is_readable(name, text)
    }
    needed = {name: text for name, text in readable.items() if name not in _OPTIONAL}
    for candidate, overrides in ((readable, {}), (needed, {}), (needed, {"broker_url": _NO_BROKER})):
        with suppress(InvalidSettings):
            return read_settings(candidate, **defaults, **overrides)
    return None


def _check_settings(environ: Mapping[str, str], local_store: Mapping[str, str]) -> CheckResult:
    missing = [name for name in ("BRIDGE_STORE_URL", "BRIDGE_UPSTREAM") if not environ.get(name)]
    try:
        settings = read_settings(environ, **local_store, **({"upstream": _NO_UPSTREAM} if local_store else {}))
        check_exposure(settings)
    except InvalidSettings as error:
        problems = [_with_suggestion(problem) for problem in str(error).splitlines()]
        hints = [_UP_NEEDS_DATA_DIR] if "BRIDGE_STORE_URL" in missing and not local_store else []
        return fail(f"{len(problems)} settings are invalid", *problems, *hints)
    except CannotStart as error:
        found, _, fix = str(error).partition(": ")
        return fail(found, fix)
    if missing:
        return warn(f"{' and '.join(missing)} not set; a bridge of `mlflow-bridge up` runs here", _UP_NEEDS_NONE)
    if _API_GATEWAY.match(settings.upstream):
        return warn("BRIDGE_UPSTREAM is an address of Amazon API Gateway", *_API_GATEWAY_FIXES)
    count = sum(1 for name in environ if name in _FIELDS and environ[name])
    return ok(f"{count} set, the others have their defaults")


def _with_suggestion(problem: str) -> str:
    """Return the problem, with the most similar name for a misspelled setting."""
    name = problem.partition(":")[0]
    similar = [] if name in _FIELDS else difflib.get_close_matches(name, _FIELDS, n=1)
    return f"{problem}; is {similar[0]} meant?" if similar else problem


def _is_readable(name: str, text: str) -> bool:
    field = _FIELDS.get(name)
    try:
        return bool(field and (not text or field.metadata["read"](text) is not None))
    except ValueError:
        return False


def with_credentials(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with the credentials that are files, or as it is if one of them can't be used."""
    try:
        return resolve_credentials(environ)
    except InvalidSettings:
        return environ


def secrets_in(environ: Mapping[str, str]) -> list[str]:
    """Return the secrets of the environment, which no finding may contain; the longest first."""
    secrets = {text for name, text in environ.items() if _SECRET_NAME.search(name)}
    for text in environ.values():
        for groups in _URL_PASSWORD.findall(text):
            secrets.update(groups)
    return sorted((secret for secret in secrets if len(secret) >= _MIN_SECRET_LENGTH), key=len, reverse=True)
