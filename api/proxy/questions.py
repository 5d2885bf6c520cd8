# SPDX-License-Identifier: Apache-2.0
"""Questions: reads that may share one answer of upstream, and what makes two of them the same.

A call is listed only if all that changes its answer is known: queued writes, by their positions, and other calls
through the bridge, by their number. docs/adr/0031-identical-reads-share-an-answer.md
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import msgspec

from api.http.request import Request
from bridge.upstream.forwarding import BufferedBody
from bridge.upstream.headers import is_forwarded
from schemas.endpoints import AwaitedLanes, EndpointMatch

#: The actions of the calls that share answers. Artifacts are not among them: clients also write them past the bridge.
_SHARED_ACTIONS = frozenset(
    {
        *("GetExperiment", "GetMetricHistory", "GetMetricHistoryBulkInterval", "GetRun", "QueryGraphQL"),
        *("SearchExperiments", "SearchLoggedModels", "SearchModelVersions", "SearchRegisteredModels", "SearchRuns"),
        *("SearchTraces", "GetRegisteredModel", "GetModelVersion"),
    }
)
#: Longer bodies are not read for the runs that they name.
_MAX_BODY_BYTES = 64 * 1024
#: Headers that ask for a part of the answer, or for none if it is known.
_CONDITIONS = frozenset({b"range", b"if-range", b"if-match", b"if-none-match", b"if-modified-since"})
#: Forwarded headers that do not change MLflow's answer.
_IRRELEVANT_HEADERS = frozenset(
    {b"user-agent", b"accept-language", b"referer", b"dnt", b"priority", b"cache-control", b"pragma"}
    | {b"x-request-id", b"traceparent", b"tracestate"}
)
#: A client that wants a new answer says so (RFC 9111, section 5.2.1).
_REFRESHING = ("no-cache", "no-store", "max-age=0")
#: Writes that change no answer of the calls above.
_HARMLESS_ACTIONS = frozenset(
    {"AccessUI", "PutArtifact", "DeleteArtifact"}
    | {"CreateMultipartUpload", "CompleteMultipartUpload", "AbortMultipartUpload", "CreatePresignedUploadUrl"}
)


@dataclass(frozen=True, slots=True)
class Question:
    """A read that may share its answer."""

    #: Equal for all reads that upstream answers alike.
    key: Hashable
    #: The client of a search. It gets no answer that is older than its latest delivered write. It is not in the key:
    #: clients with equal rights share answers. None for a read that names its runs, which waits for their lanes.
    searcher: str | None


def question_of(request: Request, body: object, *, session: str) -> Question | None:
    """Return the question that a request asks, None if its answer must not be shared.

    ``session`` names the identity with which upstream is called for the client.
    """
    match = request.endpoint_match
    if match is None or match.endpoint.action not in _SHARED_ACTIONS or request.method != match.endpoint.method:
        return None
    digest = _digest(request, match, body)
    if digest is None or _wants_its_own(request):
        return None
    client = request.client
    rights = (client.scopes, client.allow, client.deny, client.experiments)
    headers = tuple(pair for pair in request.headers if _is_relevant(pair[0]))
    searcher = client.name if match.endpoint.waits is AwaitedLanes.RECENT else None
    return Question((request.method, request.target, digest, headers, session, rights), searcher)


def changes_answers(request: Request) -> bool:
    """Return whether a proxied call may change the answer to a question."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return False
    match = request.endpoint_match
    return match is None or (match.endpoint.kind == "write" and match.endpoint.action not in _HARMLESS_ACTIONS)


def _digest(request: Request, match: EndpointMatch, body: object) -> str | None:
    """Return what identifies the body, None if the answer must not be shared.

    A shared read names what it shows in one place: a GET in its query, any other in its body. Long bodies are not read.
    """
    if match.path_parameter or match.endpoint.kind != "read":
        return None
    if request.method == "GET":
        return "" if body is None else None
    if not isinstance(body, BufferedBody) or body.length > _MAX_BODY_BYTES or request.scope["query_string"]:
        return None
    if match.endpoint.action == "QueryGraphQL" and not _only_reads(body):
        return None
    return body.sha256


def _wants_its_own(request: Request) -> bool:
    """Return whether the client asks for a part of the answer, for a changed one, or for a new one."""
    if any(name in _CONDITIONS for name, _ in request.headers):
        return True
    wishes = f"{request.header(b'cache-control') or ''} {request.header(b'pragma') or ''}".lower()
    return any(wish in wishes for wish in _REFRESHING)


def _only_reads(body: BufferedBody) -> bool:
    """Return whether a GraphQL document has no mutation and lists no artifacts."""
    body.file.seek(0)
    try:
        document: Any = _GRAPHQL.decode(body.file.read())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    text = document.query.lower()
    return "mutation" not in text and "artifact" not in text and "\\" not in text


def _is_relevant(name: bytes) -> bool:
    return name not in _IRRELEVANT_HEADERS and is_forwarded(name.decode("latin-1"))


class _GraphQl(msgspec.Struct):
    query: str


_GRAPHQL = msgspec.json.Decoder(_GraphQl)
