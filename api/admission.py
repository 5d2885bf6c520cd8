# SPDX-License-Identifier: Apache-2.0
"""Admission: the checks that a request passes before it is handled, in their order."""

import asyncio
from dataclasses import dataclass

from api.auth.authentication import Authentication
from api.auth.authorization import authorize
from api.auth.experiment_scope import ExperimentScope
from api.http.exceptions import LoopDetected, TooManyFailures, Unauthenticated
from api.http.record import RequestRecord
from api.http.request import UNKNOWN_IDENTITY, Identity, Request
from api.middleware.rate_limit import RequestCharge
from api.middleware.trusted_hosts import TrustedHosts
from api.proxy.gateway_calls import is_gateway_call
from bridge.auth.oidc import IssuerUnavailable
from bridge.auth.token_budgets import TokenBudgets
from bridge.errors import StoreUnavailable
from bridge.upstream.loop_detection import InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Admits requests, or raises the error that says why not."""

    instance_id: InstanceId
    trusted_hosts: TrustedHosts
    authentication: Authentication
    experiments: ExperimentScope
    token_budgets: TokenBudgets

    async def admit(self, request: Request, record: RequestRecord, charge: RequestCharge) -> None:
        """Authenticate and authorize a request. Open paths need no credentials."""
        request.check_framing()
        request.check_path()
        if request.via:
            await self._check_loop(request)
        self.trusted_hosts.check(request)
        request.identity = await self._authenticate(request)
        # Before authorization: a request that is denied is charged, too.
        charge.begin()
        record.action = authorize(request)
        record.is_admitted = True
        request.check_method()
        if request.client.experiments is not None:
            await self.experiments.check(request, record.action)
        if self.token_budgets.applies_to(request.client) and is_gateway_call(request):
            await self._check_token_budget(request)

    async def _check_token_budget(self, request: Request) -> None:
        """Raise ``TokensUsedUp``. The store is read in a thread, because it may be slow."""
        if self.token_budgets.is_current(request.client):
            self.token_budgets.check(request.client)
        else:
            await asyncio.to_thread(self.token_budgets.check, request.client)

    async def _check_loop(self, request: Request) -> None:
        """Raise ``LoopDetected`` for a request that this installation has sent itself."""
        if (self.instance_id.known or await asyncio.to_thread(self.instance_id.name)) in request.via:
            raise LoopDetected

    async def _authenticate(self, request: Request) -> Identity:
        """Return the identity of the client. An open path is served also if the credentials are invalid."""
        if request.own_route and request.own_route.is_static:
            return UNKNOWN_IDENTITY
        try:
            return await self.authentication.authenticate(request)
        except (Unauthenticated, TooManyFailures, IssuerUnavailable, StoreUnavailable):
            if not request.is_open:
                raise
            return UNKNOWN_IDENTITY
