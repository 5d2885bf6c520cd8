# SPDX-License-Identifier: Apache-2.0
"""Asks the api in this process, without a socket."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from a2wsgi import ASGIMiddleware
from werkzeug.test import Client, TestResponse

from api.composition import create_app
from bridge.bootstrap.processes import Api

#: Tests don't depend on whether this checkout has a build of the console.
NO_CONSOLE = Path("/nonexistent")


class _Client(Client):
    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Read each answer to its end, as a client does; else its request would never be over."""
        return super().open(*args, **(kwargs | {"buffered": True}))


@contextmanager
def client_of(bridge: Api, *, console: Path = NO_CONSOLE) -> Iterator[Client]:
    """Yield a client whose requests run on an event loop, as under the real server. ``console`` holds a build."""
    app, loop = create_app(bridge, console_directory=console), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        # Its types of WSGI and ASGI are its own.
        wsgi: Any = ASGIMiddleware(app, loop=loop)  # type: ignore[arg-type]
        # Without a jar: a test says which browser has which cookies.
        yield _Client(wsgi, use_cookies=False)
    finally:
        asyncio.run_coroutine_threadsafe(app.close(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
