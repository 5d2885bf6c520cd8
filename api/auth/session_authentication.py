# SPDX-License-Identifier: Apache-2.0
"""Authenticates requests by the cookie of a browser session. Sessions are cached for as long as API keys are."""

import asyncio
import threading
from concurrent.futures import Executor
from dataclasses import replace

from cachetools import TTLCache

from api.auth.sigv4 import KEY_CACHE_TTL_S
from api.http.cookies import SESSION_COOKIE, read_cookie
from api.http.exceptions import Unauthenticated
from api.http.request import Identity, Request
from api.middleware.csrf import check_same_origin
from bridge.auth.sessions import BrowserSession, BrowserSessions, session_id_of, without_admin

_MAX_CACHED = 10_000


class SessionAuthentication:
    """Authenticates a request by the session that its cookie names."""

    def __init__(
        self, sessions: BrowserSessions, threads: Executor, *, public_url: str | None, console_host: str | None
    ) -> None:
        self._sessions = sessions
        self._threads = threads
        self._public_url = public_url
        self._console_host = console_host
        #: By the id of the session; None for one that has ended.
        self._results: TTLCache[str, Identity | None] = TTLCache(_MAX_CACHED, KEY_CACHE_TTL_S)
        #: Routes end sessions in threads of their own.
        self._lock = threading.Lock()
        self._lookups: dict[str, asyncio.Future[Identity | None]] = {}

    async def authenticate(self, request: Request) -> Identity | None:
        """Return the identity of a request with the cookie, None for one without.

        Raises ``Unauthenticated`` for a session that has ended, and ``CrossSiteRequest``.
        """
        token = read_cookie(request.header(b"cookie"), SESSION_COOKIE)
        if token is None:
            return None
        identity = await self._find(token)
        if identity is None:
            raise Unauthenticated("The session has ended.")
        check_same_origin(request, public_url=self._public_url)
        return self.without_admin_on_portal(identity, request)

    def without_admin_on_portal(self, identity: Identity, request: Request) -> Identity:
        """Return an identity without the scope ``admin`` if operators have a host name and the request has another."""
        if self._console_host and request.host_name != self._console_host:
            # Scripts of MLflow's pages share this origin: they must not be able to act as an operator.
            return replace(identity, client=without_admin(identity.client))
        return identity

    def end(self, session_id: str) -> BrowserSession | None:
        """End a session: in this process at once, in others within the lifetime of their cache."""
        with self._lock:
            self._results[session_id] = None
        return self._sessions.end(session_id)

    async def _find(self, token: str) -> Identity | None:
        session_id = session_id_of(token)
        with self._lock:
            if session_id in self._results:
                return self._results[session_id]
        # A page begins with many requests at once: they share one lookup.
        lookup = self._lookups.get(session_id)
        if lookup is None:
            lookup = self._lookups[session_id] = asyncio.ensure_future(self._look_up(token, session_id))
            lookup.add_done_callback(lambda done: self._end_lookup(session_id, done))
        return await asyncio.shield(lookup)

    async def _look_up(self, token: str, session_id: str) -> Identity | None:
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._sessions.find, token)
        identity = None
        if found:
            session, client = found
            identity = Identity(client, session=session)
        with self._lock:
            # A session that was ended in the meantime stays so.
            return self._results.setdefault(session_id, identity)

    def _end_lookup(self, session_id: str, done: "asyncio.Future[Identity | None]") -> None:
        del self._lookups[session_id]
        # Retrieved, so that asyncio does not report an exception that no request awaits any more.
        if not done.cancelled():
            done.exception()
