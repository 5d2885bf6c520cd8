# SPDX-License-Identifier: Apache-2.0
"""The identity of an upstream in documents and logs: an id, a name without passwords, its kind and region."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from bridge.config.settings import masked


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamIdentity:
    """The identity of an upstream."""

    #: The first digits of a hash of its ARN or URL.
    id: str
    #: The ARN, or the URL with its password masked.
    name: str
    kind: Literal["tracking-server", "app", "mlflow"]
    region: str | None = None


def identity_of(upstream: str) -> UpstreamIdentity:
    """Return the identity of the upstream with this ARN or URL."""
    upstream_id = hashlib.blake2b(upstream.encode(), digest_size=6).hexdigest()
    if not upstream.startswith("arn:"):
        return UpstreamIdentity(id=upstream_id, name=str(masked(upstream)), kind="mlflow")
    _, _, _, region, _, resource = upstream.split(":", 5)
    is_app = resource.startswith("mlflow-app/")
    return UpstreamIdentity(id=upstream_id, name=upstream, kind="app" if is_app else "tracking-server", region=region)
