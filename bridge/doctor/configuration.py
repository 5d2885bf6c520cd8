# SPDX-License-Identifier: Apache-2.0
"""Looks at the settings, and makes of wrong ones what the other checks can go on with."""

import dataclasses
import difflib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.bootstrap.startup_checks import check_exposure
from bridge.config.environment import read_settings
from bridge.config.settings import PREFIX, Settings, variable
from bridge.doctor.checks import CheckResult, fail, ok, warn
from bridge.errors import CannotStart, InvalidSettings

_FIELDS = {variable(field): field for field in dataclasses.fields(Settings)}
_ONLY_UP = "none, if that bridge is meant; an api or a worker of its own needs it set"
_OF_ANOTHER = "a bridge of `mlflow-bridge up` needs none of them, but its BRIDGE_DATA_DIR"
#: Stands for what is not known, where something must; never asked.
_STORE, _BROKER, _UPSTREAM = "unix:///nowhere", "unix:///nowhere/broker", "http://nowhere.invalid"
#: What may contradict others. What the rest describes can be looked at without.
_DOUBTFUL = ("BRIDGE_AUTH", "BRIDGE_ASSUME_ROLE_SESSION_NAME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is known of the installation."""

    opinion: CheckResult
    #: None if too much is wrong.
    settings: Settings | None
    #: What of store, broker and upstream they do not name.
    unnamed: frozenset[str] = frozenset()


def read_case(environ: Mapping[str, str]) -> Case:
    """Read the settings as the bridge does, and go on with those that can be read."""
    socket = Path(environ.get("BRIDGE_DATA_DIR") or ".data").resolve() / "store.sock"
    # What `mlflow-bridge up` keeps there.
    of_up = {"store_url": f"unix://{socket}"} if not environ.get("BRIDGE_STORE_URL") and socket.exists() else {}
    opinion = _opinion(environ, of_up)
    settings = _going_on(environ, {"store_url": _STORE, "upstream": _UPSTREAM, **of_up})
    if settings is None:
        return Case(opinion=opinion, settings=None)
    named = {
        "store": settings.store_url != _STORE,
        "broker": settings.broker not in (_STORE, _BROKER),
        "upstream": settings.upstream != _UPSTREAM,
    }
    return Case(
        opinion=opinion, settings=settings, unnamed=frozenset(name for name, is_so in named.items() if not is_so)
    )


def _going_on(environ: Mapping[str, str], defaults: Mapping[str, str]) -> Settings | None:
    """Return settings of what can be read, and does not contradict itself."""
    readable = {name: text for name, text in environ.items() if not name.startswith(PREFIX) or _is_readable(name, text)}
    doubtless = {name: text for name, text in readable.items() if name not in _DOUBTFUL}
    for given, further in ((readable, {}), (doubtless, {}), (doubtless, {"broker_url": _BROKER})):
        with suppress(InvalidSettings):
            return read_settings(given, **defaults, **further)
    return None


def _opinion(environ: Mapping[str, str], of_up: Mapping[str, str]) -> CheckResult:
    missing = [name for name in ("BRIDGE_STORE_URL", "BRIDGE_UPSTREAM") if not environ.get(name)]
    try:
        settings = read_settings(environ, **of_up, **({"upstream": _UPSTREAM} if of_up else {}))
        check_exposure(settings)
    except InvalidSettings as error:
        faults = [_helped(fault) for fault in str(error).splitlines()]
        of_another = [_OF_ANOTHER] if "BRIDGE_STORE_URL" in missing and not of_up else []
        return fail(f"{len(faults)} of the settings can't be used", *faults, *of_another)
    except CannotStart as error:
        found, _, fix = str(error).partition(": ")
        return fail(found, fix)
    if missing:
        return warn(
            f"{' and '.join(missing)} not set; a bridge that `mlflow-bridge up` has started runs here", _ONLY_UP
        )
    count = sum(1 for name in environ if name in _FIELDS and environ[name])
    return ok(f"{count} set, the rest as by default")


def _helped(fault: str) -> str:
    """Return what is wrong, with the name that may have been meant."""
    name = fault.partition(":")[0]
    near = difflib.get_close_matches(name, _FIELDS, n=1) if "there is no such setting" in fault else []
    return f"{fault}; is {near[0]} meant?" if near else fault


def _is_readable(name: str, text: str) -> bool:
    field = _FIELDS.get(name)
    try:
        return bool(field and (not text or field.metadata["read"](text) is not None))
    except ValueError:
        return False


def secrets_in(environ: Mapping[str, str]) -> list[str]:
    """Return what of the environment must never be shown, wherever it turns up; the longest first."""
    named = [text for name, text in environ.items() if re.search(r"SECRET|TOKEN|PASSWORD", name)]
    in_urls = [found for text in environ.values() for found in re.findall(r":([^:@/]+)@|password=([^&]+)", text)]
    return sorted({each for each in (*named, *(text for pair in in_urls for text in pair)) if len(each) > 3}, key=_long)


def _long(text: str) -> int:
    return -len(text)
