# SPDX-License-Identifier: Apache-2.0
"""``/v1/keys``: the keys of all clients. A secret is in the response to its creation alone."""

import datetime as dt
from dataclasses import dataclass
from typing import NoReturn

from flask import Response, abort

from api.http.routing import Route
from api.routes.clients import abort_unchanged, abort_unknown_client, check_may_grant
from api.routes.context import client
from api.routes.json_bodies import json_body, json_response, query_of
from api.routes.preconditions import check_recent_sign_in
from bridge.auth.administration import (
    Administration,
    LastAdministrator,
    OwnAdministration,
    UnknownKey,
    new_key_like,
)
from bridge.auth.api_keys import (
    AccessKey,
    ApiKey,
    TooManyKeys,
    UnknownClient,
    is_access_key_id,
    new_access_key,
    new_key,
)
from bridge.auth.permissions import Actions
from bridge.process.clock import Clock
from schemas.administration import KeyDescription, KeyKind, KeyList, KeyOrder, KeyQuery, NewKey, RotationOrder
from schemas.client import KeyDocument

_PATH = "/v1/keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRoutes:
    """Serves keys."""

    administration: Administration
    actions: Actions
    clock: Clock
    #: Whether clients may sign, so that the secrets of their keys can be kept encrypted.
    accepts_signatures: bool

    @Route(
        "GET",
        _PATH,
        summary="Keys",
        action="GetClient",
        is_polled=True,
        answers={200: KeyList, 304: None},
        query=("client",),
    )
    def list_keys(self) -> Response:
        """Return the keys of all clients, or of one, without their secrets."""
        name = query_of(KeyQuery).client
        store = self.administration.store
        keys = store.keys() if name is None else store.keys_of(name)
        return json_response(KeyList(keys=[_description(key) for key in keys]))

    @Route(
        "POST",
        "/v1/clients/<name>/keys",
        summary="Create a key of a client; its secret is shown once",
        action="ManageKeys",
        body=KeyOrder,
        answers={201: NewKey},
        problems=(404, 409, 413, 415),
    )
    def create(self, name: str) -> Response:
        """Create a key."""
        check_recent_sign_in(self.clock)
        order = json_body(KeyOrder, expected='a JSON body such as {"kind": "bearer"}')
        self._check_may_manage(name)
        key = self._new(order.kind, order.expires_at)
        try:
            created = self.administration.issue(name, key, expires_at=order.expires_at)
        except UnknownClient:
            abort_unknown_client(name)
        except TooManyKeys:
            _abort_too_many(name)
        return _shown_once(key, created)

    @Route(
        "POST",
        f"{_PATH}/<key_id>/rotate",
        summary="Create a key in place of another, which works for a while longer",
        action="ManageKeys",
        body=RotationOrder,
        answers={201: NewKey},
        problems=(404, 409, 413, 415),
    )
    def rotate(self, key_id: str) -> Response:
        """Create a key of the same kind. The old one ends after the overlap."""
        check_recent_sign_in(self.clock)
        order = json_body(RotationOrder, expected='a JSON body such as {"overlap": 86400}')
        old = self._key(key_id)
        self._check_may_manage(old.client)
        self._check_can_make(_kind(key_id), order.expires_at)
        key = new_key_like(key_id)
        try:
            created = self.administration.rotate(
                key_id, key, overlap=dt.timedelta(seconds=order.overlap), expires_at=order.expires_at
            )
        except UnknownKey:
            _abort_unknown_key()
        except TooManyKeys:
            _abort_too_many(old.client)
        return _shown_once(key, created)

    @Route(
        "DELETE",
        f"{_PATH}/<key_id>",
        summary="Revoke a key",
        action="ManageKeys",
        answers={204: None},
        problems=(404, 409),
    )
    def revoke(self, key_id: str) -> Response:
        """Revoke a key, within five seconds."""
        check_recent_sign_in(self.clock)
        self._check_may_manage(self._key(key_id).client)
        try:
            self.administration.revoke(key_id, actor=client())
        except UnknownKey:
            _abort_unknown_key()
        except (LastAdministrator, OwnAdministration) as error:
            abort_unchanged(error)
        return Response(status=204)

    def _key(self, key_id: str) -> KeyDocument:
        return self.administration.key(key_id) or _abort_unknown_key()

    def _check_may_manage(self, name: str) -> None:
        check_may_grant(self.actions, self.administration.store.client(name) or abort_unknown_client(name))

    def _new(self, kind: KeyKind, expires_at: dt.datetime | None) -> ApiKey | AccessKey:
        self._check_can_make(kind, expires_at)
        return new_access_key() if kind == "sigv4" else new_key()

    def _check_can_make(self, kind: KeyKind, expires_at: dt.datetime | None) -> None:
        if expires_at is not None and expires_at <= self.clock.now():
            abort(400, "expires_at is in the past.")
        if kind == "sigv4" and not self.accepts_signatures:
            abort(409, "The api accepts no signatures: BRIDGE_AUTH does not include `sigv4`. Use the kind `bearer`.")


def _kind(key_id: str) -> KeyKind:
    return "sigv4" if is_access_key_id(key_id) else "bearer"


def _description(key: KeyDocument) -> KeyDescription:
    return KeyDescription(
        key_id=key.key_id,
        client=key.client,
        kind=_kind(key.key_id),
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
    )


def _shown_once(key: ApiKey | AccessKey, created: KeyDocument) -> Response:
    """Return the response with the secret, which no cache may keep."""
    document = NewKey(
        key_id=created.key_id,
        client=created.client,
        kind=_kind(created.key_id),
        secret=key.text if isinstance(key, ApiKey) else key.secret,
        created_at=created.created_at,
        expires_at=created.expires_at,
    )
    response = json_response(document, 201)
    response.headers["Cache-Control"] = "no-store"
    return response


def _abort_unknown_key() -> NoReturn:
    abort(404, "There is no such key, or it has ended.")


def _abort_too_many(name: str) -> NoReturn:
    abort(409, f"{name} has two live keys of this kind already. Revoke one first.")
