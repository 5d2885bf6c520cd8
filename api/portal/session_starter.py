# SPDX-License-Identifier: Apache-2.0
"""Begins and ends the session of the browser that sends the request, and emits the events of both."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TypeVar

from api.auth.session_authentication import SessionAuthentication
from api.http.cookies import SESSION_COOKIE, read_cookie, set_cookie
from api.http.request import Request
from bridge.auth.sessions import BrowserSession, BrowserSessions, Identity, is_session_token, session_id_of
from bridge.events import Observer, SignedIn, SignedOut, SignInFailed
from schemas.client import Client

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StartedSession:
    """A new session, its client, and the header that sets its cookie."""

    session: BrowserSession
    client: Client
    cookie: tuple[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarter:
    """Begins and ends sessions. The store is called in threads."""

    sessions: BrowserSessions
    session_authentication: SessionAuthentication
    observe: Observer
    threads: Executor
    #: The number of trusted proxies in front.
    trusted_proxies: int

    async def begin(self, request: Request, identity: Identity) -> StartedSession:
        """Return a new session, or raise ``NotPermitted``."""
        token, session, client = await self.run(self.sessions.begin, identity)
        # A sign-in always sets a new token. The session of the browser's earlier token ends.
        previous = read_cookie(request.header(b"cookie"), SESSION_COOKIE)
        if previous and is_session_token(previous):
            await self.run(self.session_authentication.end, session_id_of(previous))
        self.observe(
            SignedIn(
                client=client.name,
                via=session.via,
                session_id=session.session_id,
                address=request.address(trusted_proxies=self.trusted_proxies),
                request_id=request.request_id,
            )
        )
        cookie = set_cookie(SESSION_COOKIE, token, max_age=session.ends_at - session.created_at)
        return StartedSession(session, client, cookie)

    async def end(self, request: Request, session: BrowserSession) -> None:
        """End the session of the browser."""
        await self.run(self.session_authentication.end, session.session_id)
        self.observe(
            SignedOut(
                client=session.client,
                via=session.via,
                session_id=session.session_id,
                by=session.client,
                address=request.address(trusted_proxies=self.trusted_proxies),
                request_id=request.request_id,
            )
        )

    def note_failure(self, request: Request, *, via: str, reason: str, detail: str = "") -> None:
        """Report that a browser could not sign in."""
        self.observe(
            SignInFailed(
                via=via,
                reason=reason,
                detail=detail,
                address=request.address(trusted_proxies=self.trusted_proxies),
                request_id=request.request_id,
            )
        )

    async def run(self, call: Callable[..., T], *arguments: object) -> T:
        """Run a call that blocks in a thread, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call, *arguments)
