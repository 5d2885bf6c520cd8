# SPDX-License-Identifier: Apache-2.0
"""The application object that the server imports. Reads the settings from the environment."""

import os

from api.composition import create_app
from api.shutdown import refuse_writes_on_signal
from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from bridge.process.service_notification import ServiceNotification
from bridge.telemetry.logs import configure_logging

_settings = read_settings(os.environ)
configure_logging(_settings.log_level)
_bridge = build_api(_settings)
refuse_writes_on_signal(_bridge.stopping, _bridge.observe)
_bridge.report_threads()
app = create_app(_bridge, on_started=ServiceNotification(os.environ.get("NOTIFY_SOCKET")).ready_once_listening)
