# SPDX-License-Identifier: Apache-2.0
"""What AWS means when it refuses a signed call, and what is to be done about it.

The names: https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
"""

import re
from typing import Literal

Kind = Literal["clock", "expired", "unknown", "signature", "denied", "other"]

#: The first that fits counts: a signature whose time is wrong goes by the name of any wrong signature.
_KINDS: tuple[tuple[Kind, str], ...] = (
    ("clock", r"Signature expired|not yet current|RequestTimeTooSkewed|RequestExpired|RequestInTheFuture"),
    ("expired", r"ExpiredToken"),
    ("unknown", r"UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId"),
    ("signature", r"InvalidSignature|SignatureDoesNotMatch|IncompleteSignature|MissingAuthenticationToken"),
    ("denied", r"AccessDenied|NotAuthorized|OptInRequired|UnauthorizedOperation"),
)
_FIXES: dict[Kind, str] = {
    "clock": "set this machine's clock right (NTP): AWS refuses signatures that are 5 minutes off",
    "expired": "renew the credentials: a role of the instance or container does that by itself",
    "unknown": "AWS does not know this access key, or its session token is missing or not its own: set both anew",
    "signature": "check that secret key and access key belong together, and that no proxy on the way changes requests",
}


def kind_of(code: str, message: str) -> Kind:
    """Return what kind of refusal this is."""
    said = f"{code} {message}"
    return next((kind for kind, pattern in _KINDS if re.search(pattern, said, re.IGNORECASE)), "other")


def fix_of(kind: Kind, denied: str, other: str) -> str:
    """Return what is to be done; ``denied`` where a permission lacks, ``other`` where nobody knows."""
    return denied if kind == "denied" else _FIXES.get(kind, other)
