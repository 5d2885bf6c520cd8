# SPDX-License-Identifier: Apache-2.0
"""The table of all routes of the bridge's own. A new class is added here, and built in a composition module."""

from api.http.routing import RouteTable, declared_in
from api.intake.bulk import BulkWrites
from api.intake.runs import RunCreations
from api.portal.console_files import ConsoleFiles
from api.portal.provider_sign_in import ProviderSignInRoutes
from api.portal.session_routes import SessionRoutes
from api.routes.audit import AuditRoutes
from api.routes.backlog import BacklogRoutes
from api.routes.client_keys import KeyRoutes
from api.routes.clients import ClientRoutes
from api.routes.dead_letters import DeadLetterRoutes
from api.routes.drains import DrainRoutes
from api.routes.jobs import JobRoutes
from api.routes.monitoring import HealthRoutes, MetricsRoutes
from api.routes.openapi import OpenApiRoutes
from api.routes.operations import LaneRoutes, OverviewRoutes
from api.routes.own import PersonalRoutes
from api.routes.runs import RunRoutes
from api.routes.sessions import OperatorSessionRoutes
from api.routes.upstreams import UpstreamRoutes
from api.routes.usage import UsageRoutes

ROUTES = RouteTable(
    declared_in(
        BulkWrites,
        RunCreations,
        JobRoutes,
        RunRoutes,
        BacklogRoutes,
        OverviewRoutes,
        LaneRoutes,
        DeadLetterRoutes,
        DrainRoutes,
        PersonalRoutes,
        ClientRoutes,
        KeyRoutes,
        AuditRoutes,
        SessionRoutes,
        OperatorSessionRoutes,
        UpstreamRoutes,
        ProviderSignInRoutes,
        ConsoleFiles,
        HealthRoutes,
        MetricsRoutes,
        UsageRoutes,
        OpenApiRoutes,
    )
)
