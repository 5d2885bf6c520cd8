# SPDX-License-Identifier: Apache-2.0
"""Limits of older MLflow servers, by version.

An older server truncates a long tag value and answers 200. The bridge therefore checks a write against the limits of
its upstream. Source: ``mlflow/utils/validation.py`` of each version.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from schemas.errors import InvalidWrite
from schemas.mlflow_limits import MAX_EXPERIMENT_TAG_VALUE, MAX_TAG_VALUE
from schemas.write import Op, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamLimits:
    """The longest values, in characters, that a server stores."""

    #: The version of MLflow; empty if unknown.
    version: str = ""
    tag_value: int = MAX_TAG_VALUE
    experiment_tag_value: int = MAX_EXPERIMENT_TAG_VALUE
    #: None: the server returns the whole value. MLflow 2 stores longer values but returns only their beginning.
    trace_tag_value: int | None = None


NEWEST = UpstreamLimits()


class _VersionLimits(NamedTuple):
    first_version: tuple[int, int]
    tag_value: int
    experiment_tag_value: int


#: The newest version first.
_LIMITS_BY_VERSION = (
    _VersionLimits((3, 16), 8000, 20000),
    _VersionLimits((2, 17), 8000, 5000),
    _VersionLimits((0, 0), 5000, 5000),
)
_MAX_TRACE_TAG_VALUE_MLFLOW_2 = 250


def limits_of(version: str) -> UpstreamLimits:
    """Return the limits of a server of this version; the newest limits if the version is unknown."""
    match = re.match(r"(\d+)\.(\d+)", version)
    if not match:
        return NEWEST
    number = int(match[1]), int(match[2])
    limits = next(limits for limits in _LIMITS_BY_VERSION if number >= limits.first_version)
    return UpstreamLimits(
        version=version,
        tag_value=limits.tag_value,
        experiment_tag_value=limits.experiment_tag_value,
        trace_tag_value=_MAX_TRACE_TAG_VALUE_MLFLOW_2 if number < (3, 0) else None,
    )


def check_for_upstream(write: Write, limits: UpstreamLimits) -> None:
    """Raise ``InvalidWrite`` for a write that a server with these limits would truncate."""
    if limits.tag_value < MAX_TAG_VALUE:
        # A text has at least as many bytes as characters, so short tags need no decoding.
        if len(write.tags.json) > limits.tag_value:
            _check_tags(msgspec.json.decode(b"[%b]" % write.tags.json, type=list[_Tag]), limits)
        if write.op is Op.CREATE_RUN and len(write.single_body) > limits.tag_value:
            _check_tags(msgspec.json.decode(write.single_body, type=_Tags).tags, limits)
    if write.op is Op.SET_EXPERIMENT_TAG and len(write.single_body) > limits.experiment_tag_value:
        tag = msgspec.json.decode(write.single_body, type=_Tag)
        _check_length(tag, limits.experiment_tag_value, "value", limits)
    if write.op is Op.SET_TRACE_TAG and limits.trace_tag_value and len(write.single_body) > limits.trace_tag_value:
        _check_length(msgspec.json.decode(write.single_body, type=_Tag), limits.trace_tag_value, "value", limits)


def check_has_call(op: Op, lacks: frozenset[Op], limits: UpstreamLimits) -> None:
    """Raise ``InvalidWrite`` for a call that the server does not support."""
    if op in lacks:
        text = f"Upstream's MLflow {limits.version}".rstrip()
        raise InvalidWrite(f"{text} does not have the call {op}.", "RESOURCE_DOES_NOT_EXIST", 404)


class _Tag(msgspec.Struct):
    key: str
    value: str = ""


class _Tags(msgspec.Struct):
    tags: list[_Tag] = []


def _check_tags(tags: list[_Tag], limits: UpstreamLimits) -> None:
    for number, tag in enumerate(tags):
        at = "value" if len(tags) == 1 else f"tags[{number}].value"
        _check_length(tag, limits.tag_value, at, limits)


def _check_length(tag: _Tag, max_length: int, at: str, limits: UpstreamLimits) -> None:
    if len(tag.value) > max_length:
        raise InvalidWrite(
            f"'{at}' exceeds the maximum length of {max_length} characters that upstream's MLflow {limits.version}"
            f" keeps of the tag '{tag.key[:100]}'. A newer server keeps more."
        )
