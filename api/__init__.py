# SPDX-License-Identifier: Apache-2.0
"""How writes come in: HTTP, on MLflow's own paths and the bridge's. The only code that knows Flask."""

from flask import Flask

from api.bulkhead import Bulkhead
from api.errors import answer_errors
from api.health import health
from api.jobs import jobs
from api.proxy import proxy
from api.writes import writes
from bridge.bootstrap import Api


def create_app(bridge: Api) -> Flask:
    """Return the WSGI application of this bridge."""
    app = Flask(__name__, static_folder=None)
    # MLflow decides what a doubled or trailing slash means; here it only must not hide a path from its rule.
    app.url_map.merge_slashes = False
    bulkhead = Bulkhead(seats=max(1, bridge.settings.api_threads * 3 // 4))
    app.register_blueprint(writes(bridge))
    app.register_blueprint(jobs(bridge, bulkhead))
    app.register_blueprint(health(bridge))
    app.register_blueprint(proxy(bridge, bulkhead))
    answer_errors(app)
    return app
