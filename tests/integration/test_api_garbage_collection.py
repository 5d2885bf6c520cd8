# SPDX-License-Identifier: Apache-2.0
"""Once the api serves, a collection of garbage looks at new objects only."""

import gc

from api.composition import create_app
from bridge.bootstrap.processes import Api
from bridge.process.garbage_collection import exempt_existing_objects


def test_what_exists_when_the_api_has_started_is_not_collected_again(api: Api) -> None:
    app = create_app(api)
    try:
        exempt_existing_objects()

        assert exempt_existing_objects in app.lifecycle.start
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000
    finally:
        gc.unfreeze()
