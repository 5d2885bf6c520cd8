# SPDX-License-Identifier: Apache-2.0
"""Builds the MLflow call that delivers a write: its path, and a body that names the run once."""

import re
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from bridge.upstream import Call
from schemas.endpoints import endpoint_of
from schemas.lane import entity_id_of, named_run, run_of
from schemas.write import Fragment, Op, Write

#: Calls that every MLflow server has since 2.13.
_UNIVERSAL_OPS = frozenset(
    {Op.LOG_METRIC, Op.LOG_PARAMETER, Op.SET_TAG, Op.DELETE_TAG, Op.UPDATE_RUN, Op.SET_EXPERIMENT_TAG, Op.LOG_INPUTS}
)
_LOG_BATCH_PATH = endpoint_of(Op.LOG_BATCH).path
_PATH_PARAMETER = re.compile(r"\{\w+\}")


def single_call(write: Write, run_id: str | None = None) -> Call:
    """Return the client's call, with the run named once and the timestamps fixed."""
    if write.op is Op.LOG_BATCH:
        return log_batch_call(write, run_id, [write.metrics], [write.params], [write.tags])
    if write.op is Op.CREATE_RUN:
        return Call(path="/v1/runs", body=write.single_body, workspace=write.workspace)
    endpoint = endpoint_of(write.op)
    if write.op is Op.EXPORT_TRACES:
        return Call(
            path=endpoint.path,
            body=write.single_body,
            workspace=write.workspace,
            headers=write.headers,
            optional=True,
        )
    path, body = endpoint.path, write.single_body or write.metrics.json or write.params.json or write.tags.json
    if "{" in path:
        path = _PATH_PARAMETER.sub(quote(entity_id_of(write.lane), safe=""), path)
    else:
        separator = b"" if body == b"{}" else b","
        body = _begin_body(write, run_id) + separator + body.removeprefix(b"{")
    optional = write.op not in _UNIVERSAL_OPS
    return Call(path=path, body=body, workspace=write.workspace, method=endpoint.method, optional=optional)


def log_batch_call(first: Write, run_id: str | None, *lists: Sequence[Fragment]) -> Call:
    """Return a ``log-batch`` call. ``lists`` are the fragments of metrics, params and tags, in this order."""
    body = [_begin_body(first, run_id)]
    for name, fragments in zip((b"metrics", b"params", b"tags"), lists, strict=True):
        fragment = joined(fragments)
        if fragment.count:
            body.append(b',"%s":[%s]' % (name, fragment.json))
    body.append(b"}")
    return Call(path=_LOG_BATCH_PATH, body=b"".join(body), workspace=first.workspace)


def joined(fragments: Sequence[Fragment]) -> Fragment:
    """Join several fragments into one."""
    return Fragment(
        sum(fragment.count for fragment in fragments),
        b",".join(fragment.json for fragment in fragments if fragment.count),
    )


def _begin_body(write: Write, run_id: str | None) -> bytes:
    """Return the beginning of a body: the field that names its run, experiment or trace.

    A named run without an id is referred to by its name.
    """
    run = None if run_id else named_run(write.lane)
    if run:
        name, value = "run", run.name
    elif run_id or run_of(write.lane):
        name, value = "run_id", run_id or write.lane
    else:
        name, value = f"{endpoint_of(write.op).lane}_id", entity_id_of(write.lane)
    return b'{"%s":%s' % (name.encode(), msgspec.json.encode(value))
