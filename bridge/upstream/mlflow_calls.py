# SPDX-License-Identifier: Apache-2.0
"""Builds the upstream call that delivers a write: MLflow's path and a body that names the run once."""

import re
from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from bridge.upstream import Call
from schemas.endpoints import endpoint_of
from schemas.lane import named_run, run_of, subject
from schemas.write import Fragment, Op, Write


def single_call(write: Write, run_id: str | None = None) -> Call:
    """Return the call that the client made, with the run named once and the timestamps fixed."""
    if write.op is Op.LOG_BATCH:
        return log_batch_call(write, run_id, [write.metrics], [write.params], [write.tags])
    if write.op is Op.CREATE_RUN:
        return Call(path="/v1/runs", body=write.whole, workspace=write.workspace)
    endpoint = endpoint_of(write.op)
    if write.op is Op.EXPORT_TRACES:
        headers = write.headers
        return Call(path=endpoint.path, body=write.whole, workspace=write.workspace, headers=headers, optional=True)
    path, body = endpoint.path, write.whole or write.metrics.json or write.params.json or write.tags.json
    if "{" in path:
        path = _VARYING.sub(quote(subject(write.lane), safe=""), path)
    else:
        body = _about(write, run_id) + (b"" if body == b"{}" else b",") + body.removeprefix(b"{")
    optional = write.op not in _EVERYWHERE
    return Call(path=path, body=body, workspace=write.workspace, method=endpoint.method, optional=optional)


def _about(write: Write, run_id: str | None) -> bytes:
    """Return the beginning of a body: what the call is about. A named run without an id is called by its name."""
    named = None if run_id else named_run(write.lane)
    if named:
        field_, value = "run", named.name
    elif run_id or run_of(write.lane):
        field_, value = "run_id", run_id or write.lane
    else:
        field_, value = f"{endpoint_of(write.op).lane}_id", subject(write.lane)
    return b'{"%s":%s' % (field_.encode(), msgspec.json.encode(value))


def log_batch_call(first: Write, run_id: str | None, *lists: Sequence[Fragment]) -> Call:
    """Return a ``log-batch`` call. ``lists`` are the fragments of metrics, params and tags, in this order."""
    body = [_about(first, run_id)]
    for name, fragments in zip((b"metrics", b"params", b"tags"), lists, strict=True):
        fragment = joined(fragments)
        if fragment.count:
            body.append(b',"%s":[%s]' % (name, fragment.json))
    body.append(b"}")
    return Call(path=_LOG_BATCH, body=b"".join(body), workspace=first.workspace)


def joined(fragments: Sequence[Fragment]) -> Fragment:
    """Return several fragments as one."""
    return Fragment(
        sum(fragment.count for fragment in fragments),
        b",".join(fragment.json for fragment in fragments if fragment.count),
    )


#: Calls that each MLflow server has had since 2.13.
_EVERYWHERE = frozenset(
    {Op.LOG_METRIC, Op.LOG_PARAMETER, Op.SET_TAG, Op.DELETE_TAG, Op.UPDATE_RUN, Op.SET_EXPERIMENT_TAG, Op.LOG_INPUTS}
)
_LOG_BATCH = endpoint_of(Op.LOG_BATCH).path
_VARYING = re.compile(r"\{\w+\}")
