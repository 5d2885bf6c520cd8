# SPDX-License-Identifier: Apache-2.0
"""Looks at the settings, and makes of wrong ones what the other checks can go on with."""

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.bootstrap import check_exposure
from bridge.doctor.checks import Opinion, fail, ok, warn
from bridge.errors import CannotStart, InvalidSettings
from bridge.settings import PREFIX, Settings, read_settings, variable

_FIELDS = {variable(field): field for field in dataclasses.fields(Settings)}
_ONLY_UP = "set it: only `mlflow-bridge up` can do without"
#: Stands for what is not known, where something must; never asked.
_NOWHERE = {"store_url": "unix:///nowhere", "upstream": "http://nowhere.invalid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is known of the installation."""

    opinion: Opinion
    #: None if too much is wrong. What is in ``unknown`` stands for nothing in them.
    settings: Settings | None
    unknown: frozenset[str] = frozenset()


def read_case(environ: Mapping[str, str]) -> Case:
    """Read the settings as the bridge does, and go on with those that can be read."""
    defaults = dict(_NOWHERE)
    socket = Path(environ.get("BRIDGE_DATA_DIR") or ".data").resolve() / "store.sock"
    is_up = not environ.get("BRIDGE_STORE_URL") and socket.exists()
    if is_up:
        defaults["store_url"] = f"unix://{socket}"
    missing = {name for name in _NOWHERE if not environ.get(PREFIX + name.upper())}
    try:
        settings: Settings | None = read_settings(_readable(environ), **defaults)
    except InvalidSettings:
        settings = None
    unknown = {name for name in _NOWHERE if settings and getattr(settings, name) == _NOWHERE[name]}
    opinion = _opinion(environ, defaults if is_up else {}, missing)
    return Case(opinion=opinion, settings=settings, unknown=frozenset(unknown))


def _opinion(environ: Mapping[str, str], defaults: Mapping[str, str], missing: set[str]) -> Opinion:
    try:
        settings = read_settings(environ, **defaults)
        check_exposure(settings)
    except InvalidSettings as error:
        faults = [_helped(fault) for fault in str(error).splitlines()]
        return fail(f"{len(faults)} of the settings can't be used", *faults)
    except CannotStart as error:
        found, _, fix = str(error).partition(": ")
        return fail(found, fix)
    if missing:
        names = " and ".join(sorted(PREFIX + name.upper() for name in missing))
        return warn(f"{names} not set; a bridge that `mlflow-bridge up` has started runs here", _ONLY_UP)
    count = sum(1 for name in environ if name in _FIELDS and environ[name])
    return ok(f"{count} set, the rest as by default")


def _helped(fault: str) -> str:
    """Return what is wrong, with the name that may have been meant."""
    name = fault.partition(":")[0]
    near = difflib.get_close_matches(name, _FIELDS, n=1) if "there is no such setting" in fault else []
    return f"{fault}; is {near[0]} meant?" if near else fault


def _readable(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environ.items() if not name.startswith(PREFIX) or _is_readable(name, text)}


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
