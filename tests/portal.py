# SPDX-License-Identifier: Apache-2.0
"""A whole bridge that asks for sign-in, and a headless Chromium that has opened its portal."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.portal.console_files import CONSOLE_DIRECTORY
from tests import forked
from tests.chromium import TAB, Browser, chromium
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, Provider, openid_provider
from tests.servers import clean_environ, free_port
from tests.system import System, system

AXE = Path(__file__).parents[1] / "console" / "node_modules" / "axe-core" / "axe.min.js"
#: WCAG 2.2 AA.
_AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_AXE_RUN = """
const done = arguments[arguments.length - 1];
Promise.all(document.getAnimations().map((each) => each.finished.catch(() => null)))
  .then(() => axe.run(document, {runOnly: {type: "tag", values: %s}, iframes: false}))
  .then(({violations}) => done(violations.map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html).join(" | ")}`)));
"""
#: The steps of a charted run.
STEPS = 20
#: MLflow's document inside the portal.
FRAME = "document.querySelector('iframe')?.contentDocument"
_MAX_TABS = 20


@dataclass(frozen=True)
class Portal:
    """The bridge, its address, and a browser."""

    bridge: System
    browser: Browser
    #: By a name: to a browser, `localhost` and `127.0.0.1` are different sites.
    url: str
    #: Signs browsers in, at an address of another site.
    provider: Provider

    def key_of(self, client: str, *options: str) -> str:
        """Create a client, or one more key of it, and return the key."""
        return self.operate("keys", "create", client, *options).strip()

    def operate(self, *arguments: str) -> str:
        """Run a command of the operator's and return what it printed."""
        environ = clean_environ() | {"BRIDGE_STORE_URL": self.bridge.store_url, "BRIDGE_AUTH": "keys"}
        done = forked.run("mlflow-bridge", *arguments, environ=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def charted_run(self, name: str) -> str:
        """Log a run with a metric of some steps, and return its id once MLflow has all of it."""
        # The latest run comes first in lists; the server is shared, and runs without a start time fill a page.
        run_id = self.bridge.create_run(start_time=int(time.time() * 1000))
        points = [{"key": "loss", "value": 1 / (step + 1), "step": step, "timestamp": step} for step in range(STEPS)]
        tags = [{"key": "mlflow.runName", "value": name}]
        assert self.bridge.log("log-batch", {"run_id": run_id, "metrics": points, "tags": tags}).status_code == 200
        self.bridge.drained()
        return run_id

    def start_signed_out(self, path: str = "/app/sign-in") -> None:
        """Open a page as somebody who has never been here."""
        self.browser.open(f"{self.url}/app/sign-in")
        self.browser.forget()
        self.browser.open(self.url + path)

    def enter_key(self, key: str) -> None:
        """Sign in with the form that is shown."""
        self.browser.enter('input[name="key"]', key)
        self.click("Sign in with the key")

    def sign_in(self, key: str, path: str) -> None:
        """Sign in with a key on the way to a page, and wait until its address is there."""
        self.start_signed_out(path)
        self.enter_key(key)
        self.shows("Sign out")

    def click(self, label: str) -> None:
        """Click on a button or a link with this name."""
        self.browser.eventually(f"({_named(label)})?.disabled === false || ({_named(label)})?.href")
        self.browser.run(f"({_named(label)}).click()")

    def shows(self, text: str, *, timeout: float = 30) -> None:
        """Wait until the portal's page shows a text."""
        self.browser.eventually(f"document.body.innerText.includes({text!r})", timeout=timeout)

    def no_longer_shows(self, text: str) -> None:
        """Wait until the portal's page shows a text no more."""
        self.browser.eventually(f"!document.body.innerText.includes({text!r})")

    def frame_shows(self, text: str) -> None:
        """Wait until MLflow's page in the frame shows a text."""
        self.browser.eventually(f"{FRAME}?.body?.innerText.includes({text!r})")

    def choose_theme(self, theme: str) -> None:
        """Have the portal's pages light or dark from the next one on."""
        self.browser.run(f"localStorage.setItem('mlflow-bridge-theme', {theme!r})")

    def tab_to(self, focused: str) -> None:
        """Press the tabulator until an expression about what has the focus is true."""
        for _ in range(_MAX_TABS):
            if self.browser.run(f"return {focused}"):
                return
            self.browser.press(TAB)
        pytest.fail(f"the tabulator does not lead there: {focused}")

    def place(self) -> str:
        """Return the path of the portal's address, with query and hash."""
        return str(self.browser.run("return location.pathname + location.search + location.hash"))

    def fetched(self, path: str) -> int:
        """Return the status of what the page gets when it asks for a path."""
        return int(self.browser.run(f"return fetch({path!r}).then((answer) => answer.status)"))

    def accessibility_violations(self) -> list[Any]:
        """Return what axe finds on the portal's page, the frame's content left out."""
        self.browser.run(AXE.read_text())
        found: list[Any] = self.browser.call_back(_AXE_RUN % _AXE_RULES)
        return found


def _named(label: str) -> str:
    return f"[...document.querySelectorAll('button, a')].find((each) => each.innerText.trim() == {label!r})"


@contextmanager
def portal(mlflow_url: str, directory: Path) -> Iterator[Portal]:
    """Run all of it until the `with` ends. What the tests log is the client's `tests`, which may do everything."""
    if not (CONSOLE_DIRECTORY / "index.html").exists():
        pytest.fail("The portal's pages are missing in api/console. Build them: make console", pytrace=False)
    port = free_port()
    url = f"http://localhost:{port}"
    with ExitStack() as stack:
        provider = stack.enter_context(openid_provider())
        settings = {
            "BRIDGE_AUTH": "keys",
            "BRIDGE_PORT": str(port),
            "BRIDGE_PUBLIC_URL": url,
            "BRIDGE_LABEL": "staging",
            "BRIDGE_JWT_ISSUER": provider.url,
            "BRIDGE_OIDC_CLIENT_ID": CLIENT_ID,
            "BRIDGE_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "BRIDGE_OIDC_ROLES": "ml:read,ml:write",
        }
        bridge = stack.enter_context(system(mlflow_url, directory / "system", workers=1, settings=settings))
        browser = stack.enter_context(chromium(directory / "chromium"))
        running = Portal(bridge, browser, url, provider)
        bridge.http.headers["Authorization"] = f"Bearer {running.key_of('tests', '--admin')}"
        yield running
