# SPDX-License-Identifier: Apache-2.0
"""``/v1/clients`` and ``/v1/actions``: clients, what they may do, and their limits."""

import datetime as dt
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

import msgspec
from flask import Response, abort

from api.http.routing import Route
from api.routes.context import client
from api.routes.csv_response import PAGE_ROWS, csv_response, wants_csv
from api.routes.json_bodies import json_body, json_response, query_of
from api.routes.preconditions import check_recent_sign_in, check_version
from bridge.auth.administration import Administration, ChangedMeanwhile, LastAdministrator, OwnAdministration
from bridge.auth.api_keys import StoredClient, is_access_key_id
from bridge.auth.client_activity import ClientActivities, ClientActivity
from bridge.auth.permissions import Actions
from bridge.process.clock import Clock
from schemas.administration import (
    MIN_RATE,
    ActionList,
    ClientDocument,
    ClientPage,
    ClientQuery,
    ClientSpecification,
    NewQuota,
    PermissionDocument,
    PermissionQuery,
    quota_document,
)
from schemas.client import ACTIONS, OWN_ACTIONS, Client, KeyDocument, Quota, Scope, is_client_name

_PATH = "/v1/clients"
_EXPECTED = 'a JSON body such as {"scopes": ["write", "read"]}'


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRoutes:
    """Serves clients."""

    administration: Administration
    actions: Actions
    activities: ClientActivities
    #: The limits of clients without ones of their own.
    default_quota: Quota
    #: The limit on the pending bytes of such clients.
    max_pending: int
    clock: Clock

    @Route(
        "GET",
        _PATH,
        summary="Clients, what they may do, and their use",
        action="GetClient",
        is_polled=True,
        has_csv=True,
        answers={200: ClientPage, 304: None},
        query=("cursor", "limit"),
    )
    def page(self) -> Response:
        """Return a page of clients, by name; as CSV, all of them."""
        query = query_of(ClientQuery)
        if wants_csv():
            return csv_response(
                "clients", ClientDocument, lambda after: self._page(after, PAGE_ROWS), after=query.cursor
            )
        shown, following = self._page(query.cursor, query.limit)
        return json_response(ClientPage(clients=shown, next=following))

    @Route(
        "GET",
        f"{_PATH}/<name>",
        summary="One client, what it may do, and its use",
        action="GetClient",
        answers={200: ClientDocument},
        problems=(404,),
    )
    def show(self, name: str) -> Response:
        """Return a client. The ETag is that of what it may do and of its limits, not of its use."""
        return self._response(self._stored(name))

    @Route(
        "PUT",
        f"{_PATH}/<name>",
        summary="Create a client, or replace what it may do and its limits",
        action="ManageClients",
        body=ClientSpecification,
        answers={200: ClientDocument, 201: ClientDocument},
        problems=(409, 412, 413, 415, 428),
        is_conditional=True,
    )
    def put(self, name: str) -> Response:
        """Store a client if it is still the version that the request names."""
        specification = json_body(ClientSpecification, expected=_EXPECTED)
        previous = self.administration.store.stored_client(name)
        check_version(previous.etag if previous else None)
        wanted = _client_from(name, specification, previous)
        # A client with more permissions than the client of the request must not be changed, either.
        for each in (wanted, previous.client if previous else wanted):
            check_may_grant(self.actions, each)
        try:
            stored = self.administration.put(wanted, was=previous, actor=client())
        except (ChangedMeanwhile, LastAdministrator, OwnAdministration) as error:
            abort_unchanged(error)
        return self._response(stored, status=200 if previous else 201)

    @Route(
        "DELETE",
        f"{_PATH}/<name>",
        summary="Delete a client with all its keys",
        action="ManageClients",
        answers={204: None},
        problems=(404, 409, 412),
    )
    def delete(self, name: str) -> Response:
        """Delete a client. A client of tokens stays, without any permission. If-Match is honoured."""
        check_recent_sign_in(self.clock)
        stored = self._stored(name)
        check_version(stored.etag, is_required=False)
        check_may_grant(self.actions, stored.client)
        try:
            self.administration.delete(stored, actor=client())
        except (ChangedMeanwhile, LastAdministrator, OwnAdministration) as error:
            abort_unchanged(error)
        return Response(status=204)

    @Route(
        "GET",
        f"{_PATH}/<name>/permission",
        summary="Whether a client may do an action, and why",
        action="GetClient",
        answers={200: PermissionDocument},
        problems=(404,),
        query=("action", "experiment_id"),
    )
    def permission(self, name: str) -> Response:
        """Return whether a client may do an action, in an experiment if one is named."""
        stored = self._stored(name)
        query = query_of(PermissionQuery)
        permission = self.actions.explain(stored.client, query.action, query.experiment_id)
        return json_response(permission or abort(404, f"There is no action {query.action}; GET /v1/actions lists all."))

    @Route(
        "GET",
        "/v1/actions",
        summary="All actions",
        action="GetClient",
        is_polled=True,
        answers={200: ActionList, 304: None},
    )
    def list_actions(self) -> Response:
        """Return all actions that a client can be allowed or denied."""
        return json_response(ActionList(actions=self.actions.documents()))

    def _page(self, after: str | None, limit: int) -> tuple[list[ClientDocument], str | None]:
        """Return clients behind a name, and the name to go on behind; None at the end."""
        clients = self.administration.store.stored_clients()
        begin = bisect_right(clients, after or "", key=lambda stored: stored.client.name)
        shown = clients[begin : begin + limit]
        is_last = begin + limit >= len(clients)
        return self._documents(shown), None if is_last else shown[-1].client.name

    def _stored(self, name: str) -> StoredClient:
        return self.administration.store.stored_client(name) or abort_unknown_client(name)

    def _response(self, stored: StoredClient, status: int = 200) -> Response:
        [document] = self._documents([stored])
        response = json_response(document, status)
        response.headers["ETag"] = stored.etag
        response.headers["Cache-Control"] = "no-cache"
        return response

    def _documents(self, clients: Sequence[StoredClient]) -> list[ClientDocument]:
        now = self.clock.now()
        activities = self.activities.of([stored.client.name for stored in clients])
        keys_by_client: defaultdict[str, list[KeyDocument]] = defaultdict(list)
        all_keys = self.administration.store.keys()
        for key in all_keys:
            keys_by_client[key.client].append(key)
        return [
            self._document(stored, activities[stored.client.name], keys_by_client[stored.client.name], now)
            for stored in clients
        ]

    def _document(
        self, stored: StoredClient, activity: ClientActivity, keys: Sequence[KeyDocument], now: dt.datetime
    ) -> ClientDocument:
        described = stored.client
        return ClientDocument(
            name=described.name,
            kind=_kind(described.name, keys),
            scopes=described.scopes,
            allow=described.allow,
            deny=described.deny,
            experiments=None if described.experiments is None else tuple(sorted(described.experiments)),
            quota=quota_document(described.quota),
            levels=activity.levels(described.quota, self.default_quota, now.timestamp()),
            pending_bytes=activity.pending_bytes,
            pending_limit=self._pending_limit(described.quota),
            dead_letters=activity.dead_letters,
            keys=sum(key.expires_at is None or key.expires_at > now for key in keys),
            last_seen_at=max((key.last_used_at for key in keys if key.last_used_at), default=None),
            etag=stored.etag,
        )

    def _pending_limit(self, quota: Quota) -> int | None:
        if quota.pending is None:
            return self.max_pending
        return quota.pending or None


def check_may_grant(actions: Actions, wanted: Client) -> None:
    """Abort with 403 if a client may do more than the client of the request, which could get around its limits."""
    beyond = actions.beyond(wanted, client())
    if beyond:
        abort(
            403,
            f"The client '{client().name}' can't manage '{wanted.name}', which may do what it may not itself: {beyond}."
            " An operator can.",
        )


def abort_unknown_client(name: str) -> NoReturn:
    """Abort with 404."""
    abort(404, f"There is no client {name}.")


def abort_unchanged(error: Exception) -> NoReturn:
    """Abort with the reason why a client or a key is not changed."""
    match error:
        case ChangedMeanwhile():
            abort(412, "It has changed since it was read. Read it again.")
        case OwnAdministration():
            abort(409, f"{error} Another administrator can do it.")
    abort(409, "This would take away the last administrator. Create another one first.")


def _kind(name: str, keys: Sequence[KeyDocument]) -> Literal["key", "sigv4", "oidc", "alb"]:
    match name.partition(":")[0] if ":" in name else "":
        case "oidc":
            return "oidc"
        case "alb":
            return "alb"
    return "sigv4" if keys and all(is_access_key_id(key.key_id) for key in keys) else "key"


def _client_from(name: str, specification: ClientSpecification, previous: StoredClient | None) -> Client:
    """Return the client that a body specifies, or abort with 400."""
    if not is_client_name(name):
        abort(400, "A client's name has up to 128 letters, digits and any of _.@|:+-, and is not reserved.")
    if specification.experiments is not None and Scope.ADMIN in specification.scopes:
        abort(400, "Operators are not limited to experiments: with the scope admin, `experiments` must be null.")
    allow, deny = dict.fromkeys(specification.allow), dict.fromkeys(specification.deny)
    # An action that only an older version of the bridge has may stay.
    known = ACTIONS | OWN_ACTIONS | ({*previous.client.allow, *previous.client.deny} if previous else set())
    if unknown := sorted({*allow, *deny} - known):
        abort(400, f"There is no action {', '.join(unknown)}; GET /v1/actions lists all.")
    experiments = specification.experiments
    return Client(
        name=name,
        scopes=tuple(scope for scope in Scope if scope in specification.scopes),
        allow=tuple(allow),
        deny=tuple(deny),
        quota=_quota(specification.quota),
        experiments=None if experiments is None else frozenset(experiments),
    )


def _quota(quota: NewQuota) -> Quota:
    for name in ("requests", "writes", "bytes"):
        rate = getattr(quota, name)
        if rate and rate < MIN_RATE:
            abort(400, f"The quota `{name}` must be 0, which is no limit, or at least {MIN_RATE}.")
    return Quota(**msgspec.structs.asdict(quota))
