# SPDX-License-Identifier: Apache-2.0
"""Error documents: MLflow's on MLflow's paths, problem details (RFC 9457) on the bridge's own."""

import msgspec

from schemas.job import AcceptedJob


class MlflowError(msgspec.Struct, frozen=True):
    """The body of an error on MLflow's own paths."""

    error_code: str
    message: str


class Fault(msgspec.Struct, frozen=True):
    """The validation error of one write in a batch."""

    #: JSON Pointer to the write (RFC 6901). In NDJSON, each line is an array element.
    pointer: str
    error_code: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error on ``/v1`` paths. ``type`` is stable; ``detail`` is for people."""

    type: str
    title: str
    status: int
    detail: str | None = None
    #: For a batch, one for each invalid write.
    errors: tuple[Fault, ...] = ()
    #: For a batch that was accepted in part: the job of each write, null for one that was not accepted.
    jobs: tuple[AcceptedJob | None, ...] = ()
    #: For an order with a count that is not right (any more): the number of dead letters now.
    count: int | None = None
