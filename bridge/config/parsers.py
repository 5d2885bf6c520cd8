# SPDX-License-Identifier: Apache-2.0
"""Parsers of setting values. Each raises ``ValueError`` with a description of a valid value."""

import base64
import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

from schemas.client import Scope

_MAX_CALLS_PER_SECOND = 100_000
#: Enough for a million GiB.
_MAX_SIZE_DIGITS = 9
_SIZE_UNITS = ("B", "KiB", "MiB", "GiB")
_KEY_BYTES = 32
#: Within it, the end of a duration that begins now is a valid date.
_MAX_DURATION = dt.timedelta(days=36_500)
_MAX_LABEL_CHARS = 40


def duration(text: str) -> dt.timedelta:
    """Read ``250ms``, ``30s``, ``5m``, ``72h`` or ``7d``."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not match:
        raise ValueError("a duration such as 250ms, 30s, 5m, 72h or 7d")
    unit = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[match[2]]
    try:
        span = dt.timedelta(**{unit: float(match[1])})
    except OverflowError:
        span = dt.timedelta.max
    if span > _MAX_DURATION:
        raise ValueError(f"a duration of at most {_MAX_DURATION.days}d")
    if span < dt.timedelta(milliseconds=1):
        raise ValueError("a duration of at least 1ms")
    return span


def duration_or_zero(text: str) -> dt.timedelta:
    """Read a duration that may be ``0s``."""
    return dt.timedelta() if re.fullmatch(r"0(ms|s|m|h|d)", text) else duration(text)


def size(text: str) -> int:
    """Read ``512``, ``64KiB``, ``10MiB`` or ``1GiB`` as a number of bytes."""
    match = re.fullmatch(r"(\d+)(B|KiB|MiB|GiB)?", text)
    if not match:
        raise ValueError("a size such as 512B, 64KiB, 10MiB or 1GiB")
    if not int(match[1]):
        raise ValueError("a size of at least 1B")
    if len(match[1]) > _MAX_SIZE_DIGITS:
        raise ValueError(f"a size of at most {_MAX_SIZE_DIGITS} digits")
    # Each unit has 2 to the power of 10 of the one before.
    return int(match[1]) << 10 * _SIZE_UNITS.index(match[2] or "B")


def url(*schemes: str) -> Callable[[str], str]:
    """Return a parser of URLs with one of these schemes."""

    def read(text: str) -> str:
        if _split_url(text).scheme not in schemes:
            raise ValueError("a URL that starts with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return text

    return read


def _split_url(text: str) -> SplitResult:
    parts = urlsplit(text)
    try:
        parts.port  # noqa: B018 - the access validates the port
    except ValueError:
        raise ValueError("a URL with a port of at most 65535") from None
    return parts


def upstream(text: str) -> str:
    """Read the upstream: an ARN, or a URL, which is returned without its last slash."""
    if text.startswith("arn:"):
        if not re.fullmatch(r"arn:[\w-]+:sagemaker:[a-z0-9-]+:\d{12}:mlflow-(tracking-server|app)/[\w-]{1,256}", text):
            raise ValueError(
                "the ARN of a tracking server (arn:aws:sagemaker:REGION:ACCOUNT:mlflow-tracking-server/NAME)"
                " or of an MLflow App (...:mlflow-app/ID)"
            )
        return text
    parts = _split_url(text)
    is_plain = text == text.strip() and not parts.query and not parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise ValueError("a SageMaker MLflow ARN or the http(s) URL of an MLflow server, without a query")
    return text.rstrip("/")


def count(text: str) -> int:
    """Read a positive whole number."""
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number from 1 up")
    return int(text)


def rate(text: str) -> float:
    """Read a number of calls a second."""
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) > _MAX_CALLS_PER_SECOND:
        raise ValueError(f"a number of calls a second, from 0 (no limit) to {_MAX_CALLS_PER_SECOND}")
    return float(text)


def port(text: str) -> int:
    """Read a port, or 0 for any free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise ValueError("a port from 0 (any free one) to 65535")
    return int(text)


def auth_kinds(text: str) -> tuple[str, ...]:
    """Read the accepted kinds of credentials; an empty tuple for ``none``."""
    kinds = tuple(kind.strip() for kind in text.split(","))
    if kinds == ("none",):
        return ()
    if not set(kinds) <= {"keys", "jwt", "alb", "sigv4"}:
        raise ValueError("some of keys, jwt, alb and sigv4, separated by commas, or none")
    return kinds


def role_session(text: str) -> str:
    """Read how role sessions are named: ``bridge``, ``client`` or ``source``."""
    if text not in ("bridge", "client", "source"):
        raise ValueError("bridge, client or source")
    return text


def log_level(text: str) -> str:
    """Read a log level."""
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("debug, info, warning or error")
    return text.lower()


def version(text: str) -> str:
    """Read an MLflow version."""
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?[\w.+-]{0,20}", text):
        raise ValueError("a version such as 2.16.2")
    return text


def hosts(text: str) -> tuple[str, ...]:
    """Read host names separated by commas, or ``*`` for any."""
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    if not all(re.fullmatch(r"\*|[a-z0-9.-]+", name) for name in names):
        raise ValueError("names of hosts, without ports, separated by commas, or *")
    return names


def host_name(text: str) -> str:
    """Read the name of one host."""
    if not re.fullmatch(r"[a-z0-9.-]+", text.lower()):
        raise ValueError("the name of a host, without scheme and port")
    return text.lower()


def public_url(text: str) -> str:
    """Read the URL at which browsers find the bridge: scheme, host and perhaps port. The last slash is removed."""
    parts = _split_url(text.rstrip("/"))
    is_plain = not (parts.path or parts.query or parts.fragment or parts.username)
    # Browsers keep the cookie of a sign-in only where the connection is private.
    is_private = parts.scheme == "https" or (parts.scheme == "http" and is_loopback_name(parts.hostname or ""))
    if not parts.hostname or not is_plain or not is_private:
        raise ValueError("an https:// URL without a path, such as https://bridge.example; on loopback also http://")
    return text.rstrip("/").lower()


def is_loopback_name(name: str) -> bool:
    """Return whether a host's name or address means this machine."""
    with suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return name == "localhost"


def roles(text: str) -> tuple[tuple[str, Scope], ...]:
    """Read ``ml-ops:admin,ml:read``: roles of the provider, each with the scope that it grants."""
    pairs = [part.strip().rpartition(":") for part in text.split(",")]
    if not all(role and scope in set(Scope) for role, _, scope in pairs):
        raise ValueError("roles with the scope of each, such as ml-ops:admin,ml:read (read, write or admin)")
    return tuple((role, Scope(scope)) for role, _, scope in pairs)


def label(text: str) -> str:
    """Read a short text for people."""
    if len(text) > _MAX_LABEL_CHARS or not text.isprintable():
        raise ValueError(f"at most {_MAX_LABEL_CHARS} printable characters")
    return text


def encryption_keys(text: str) -> tuple[bytes, ...]:
    """Read 256-bit keys in base64, separated by commas; the first one encrypts."""
    try:
        keys = tuple(_base64(part.strip()) for part in text.split(","))
    except ValueError:
        keys = ()
    if not keys or any(len(key) != _KEY_BYTES for key in keys):
        raise ValueError("keys of 32 random bytes in base64 (`openssl rand -base64 32`), separated by commas")
    return keys


def _base64(text: str) -> bytes:
    """Decode standard or URL-safe base64, with or without padding."""
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)


def metric_namespace(text: str) -> str:
    """Read a namespace of Amazon CloudWatch."""
    if not re.fullmatch(r"[\w./#-]{1,255}", text, re.ASCII) or text.startswith("AWS/"):
        raise ValueError("a CloudWatch namespace such as MlflowBridge: letters, digits, and any of ._-/#, not AWS/")
    return text


def secret_arn(text: str) -> str:
    """Read the ARN of a secret in AWS Secrets Manager."""
    if not re.fullmatch(r"arn:[\w-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]{1,512}", text):
        raise ValueError("the ARN of a secret (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME)")
    return text
