# SPDX-License-Identifier: Apache-2.0
"""Reads the settings from the environment once, and reports all errors together.

An unknown ``BRIDGE_*`` name is an error, so that a misspelt setting is not silently a default.

A credential may also be a file, which no list of processes or containers shows: the file that ``<NAME>_FILE`` names, or
the file ``<NAME>`` in ``$CREDENTIALS_DIRECTORY`` (https://systemd.io/CREDENTIALS/).
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.config.settings import CREDENTIALS, PREFIX, Settings, masked_setting, variable
from bridge.errors import InvalidSettings

#: The directory of the credentials that systemd passes to a service.
CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
_FILE_SUFFIX = "_FILE"


def read_settings(environ: Mapping[str, str], **defaults: str) -> Settings:
    """Read all settings from the environment, or raise ``InvalidSettings`` that names every invalid one.

    ``defaults`` apply to settings that the environment does not set.
    """
    environ, unreadable = _read_credentials(environ)
    errors = [*(f"{name}: there is no such setting" for name in _unknown_names(environ)), *unreadable.values()]
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Settings):
        if field.name in unreadable:
            continue
        try:
            values[field.name] = _parse_value(field, environ, defaults)
        except ValueError as error:
            errors.append(str(error))
    if "+cluster" in str(values.get("store_url")) and not values.get("broker_url"):
        errors.append(
            "BRIDGE_BROKER_URL is not set, and Celery can't use the cluster: name a Redis without cluster mode"
        )
    if values.get("assume_role_session_name") in ("client", "source") and not values.get("assume_role_arn"):
        errors.append("BRIDGE_ASSUME_ROLE_SESSION_NAME names sessions of a role, which needs BRIDGE_ASSUME_ROLE_ARN")
    errors += _missing_settings(values)
    if errors:
        raise InvalidSettings("\n".join(errors))
    return Settings(**values)


def resolve_credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the text of each credential's file in place of its name.

    Raises ``InvalidSettings`` that names every file that can't be used.
    """
    resolved, unreadable = _read_credentials(environ)
    if unreadable:
        raise InvalidSettings("\n".join(unreadable.values()))
    return resolved


def _read_credentials(environ: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the environment with the text of each credential's file, and an error by field for each unusable file."""
    resolved, errors = dict(environ), dict[str, str]()
    directory = resolved.pop(CREDENTIALS_DIRECTORY, "")
    for field in sorted(CREDENTIALS):
        name = PREFIX + field.upper()
        files = _credential_files(name, named=resolved.pop(name + _FILE_SUFFIX, ""), directory=directory)
        sources = [*([name] if environ.get(name) else []), *files]
        if len(sources) > 1:
            errors[field] = f"{' and '.join(sources)} exclude each other: set one"
            continue
        for source, path in files.items():
            try:
                resolved[name] = _read_file(path)
            except ValueError as expected:
                errors[field] = f"{source}={str(path)!r} must be {expected}"
    return resolved, errors


def _credential_files(name: str, *, named: str, directory: str) -> dict[str, Path]:
    """Return the files that hold a credential, by the variable or directory that names each.

    ``named`` is the value of ``<NAME>_FILE``, ``directory`` that of ``$CREDENTIALS_DIRECTORY``; empty if not set.
    """
    files = {name + _FILE_SUFFIX: Path(named)} if named else {}
    if directory and (path := Path(directory) / name).exists():
        files[f"${CREDENTIALS_DIRECTORY}/{name}"] = path
    return files


def _read_file(path: Path) -> str:
    """Return a file's text without surrounding white space, or raise ``ValueError`` that describes a valid file."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ValueError(f"a file that this process can read ({reason})") from None
    if not text:
        raise ValueError("a file that is not empty")
    return text


def _parse_value(field: "dataclasses.Field[Any]", environ: Mapping[str, str], defaults: Mapping[str, str]) -> Any:  # noqa: ANN401 - of any setting
    """Return the value of a setting, or raise ``ValueError`` with the cause."""
    if read_all := field.metadata.get("read_all"):
        return read_all(environ)
    name = variable(field)
    text = environ.get(name) or defaults.get(field.name) or field.metadata["default"]
    if text is None:
        raise ValueError(f"{name} is not set: {field.metadata['about']}")
    try:
        return field.metadata["read"](text) if text else None
    except ValueError as expected:
        raise ValueError(f"{name}={masked_setting(field, text)!r} must be {expected}") from None


def _missing_settings(values: Mapping[str, Any]) -> list[str]:
    """Return an error for each unset setting that ``BRIDGE_AUTH`` or an OpenID sign-in needs."""
    kinds = values.get("auth") or ()
    needed = {"jwt": ("jwt_issuer", "jwt_audience"), "alb": ("alb_arn", "alb_issuer", "alb_client_id")}
    missing = [(kind, name) for kind in kinds for name in needed.get(kind, ()) if not values.get(name)]
    errors = [f"BRIDGE_AUTH names {kind}, which needs {PREFIX}{name.upper()}" for kind, name in missing]
    if values.get("oidc_client_id"):
        needed_by_oidc = ("auth", "jwt_issuer", "public_url")
        errors += [
            f"BRIDGE_OIDC_CLIENT_ID needs {PREFIX}{name.upper()}" for name in needed_by_oidc if not values.get(name)
        ]
    return errors


def _unknown_names(environ: Mapping[str, str]) -> list[str]:
    known = {variable(field) for field in dataclasses.fields(Settings)}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
