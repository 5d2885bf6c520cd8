# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by chromedriver in its own protocol: W3C WebDriver, which is JSON over HTTP."""

import base64
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers import Server, clean_environ, free_port, get_ok, process, running

#: A name of this machine that only the browser knows, and that is not one of the names of loopback.
NAME = "bridge.example"

_FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-breakpad"),
    *("--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1400,1000"),
    # No other host is there, and a page that would like to tell one of its use knows so at once.
    f"--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
_PATIENCE = 30
_POLL_S = 0.05
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_SELECT_ALL, _RELEASE = "\ue009a", "\ue000"
TAB, ENTER = "\ue004", "\ue007"

#: Calls back with what the expression is as soon as that is true, looking again whenever the page changes.
_UNTIL = """
const [patience, done] = arguments;
const end = (found) => { watcher.disconnect(); done(found); };
const look = () => { const found = (%s); if (found) end(found); };
const watcher = new MutationObserver(look);
watcher.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
setTimeout(() => end(null), patience * 1000);
look();
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSender:
    """One request of a page, and what came of it."""

    method: str
    url: str
    #: 0 as long as there is no answer.
    status: int = 0
    #: Chromium's name for what went wrong.
    error: str = ""


@dataclass(frozen=True)
class Browser:
    """One window."""

    _session: str
    _http: requests.Session = field(default_factory=requests.Session)

    def open(self, url: str) -> None:
        """Go to a page, and return when it has been loaded."""
        self._call("POST", "/url", {"url": url})

    def until(self, expression: str) -> Any:
        """Return what a JavaScript expression is as soon as that is true; fail if it does not come to that."""
        found = self._call("POST", "/execute/async", {"script": _UNTIL % expression, "args": [_PATIENCE]})
        assert found, f"still not so after {_PATIENCE} s: {expression}; the page says:\n{self.text()}"
        return found

    def eventually(self, expression: str, *, timeout: float = _PATIENCE) -> Any:
        """Do the same where the page loads again meanwhile, or where the change is in a frame."""
        end = time.monotonic() + timeout
        while not (found := self.run(f"return {expression}")):
            assert time.monotonic() < end, f"still not so after {timeout} s: {expression}; the page:\n{self.text()}"
            time.sleep(_POLL_S)
        return found

    def text(self) -> str:
        """Return what can be read on the page."""
        return str(self.run("return document.body.innerText"))

    def run(self, script: str) -> Any:
        """Return what a script returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def call_back(self, script: str) -> Any:
        """Return what a script gives to the function that is its last argument."""
        return self._call("POST", "/execute/async", {"script": script, "args": []})

    def click(self, selector: str) -> None:
        """Click on an element as soon as it is there."""
        self._call("POST", f"/element/{self._element(selector)}/click", {})

    def enter(self, selector: str, text: str) -> None:
        """Type a text instead of the one that an input has."""
        keys = _SELECT_ALL + _RELEASE + text
        self._call("POST", f"/element/{self._element(selector)}/value", {"text": keys})

    def close_other_tabs(self) -> None:
        """Close the tabs that pages have opened, so that this one is seen again: a hidden one asks for no news."""
        own = self._call("GET", "/window")
        for handle in self._call("GET", "/window/handles"):
            if handle != own:
                self._call("POST", "/window", {"handle": handle})
                self._call("DELETE", "/window")
        self._call("POST", "/window", {"handle": own})

    def press(self, *keys: str) -> None:
        """Press and release keys, one after the other, wherever the focus is."""
        events = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": events}]})

    def resize(self, width: int, height: int) -> None:
        """Have pages laid out for a screen of this size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._debug("Emulation.setDeviceMetricsOverride", metrics)

    def save_files_in(self, directory: Path) -> None:
        """Save the files that pages offer in this directory, and ask nothing."""
        self._debug("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(directory)})

    def forget(self) -> None:
        """Drop the cookies and what the pages of this site have stored."""
        self._call("DELETE", "/cookie")
        self.run("localStorage.clear(); sessionStorage.clear()")

    def refusals(self) -> list[str]:
        """Return what content security policies have refused since this was called last, in frames as well."""
        lines = self._call("POST", "/se/log", {"type": "browser"})
        return [line["message"] for line in lines if "Content Security Policy" in line["message"]]

    def picture(self) -> bytes:
        """Return what the window shows, as PNG."""
        return base64.b64decode(self._call("GET", "/screenshot"))

    def exchanges(self) -> list[UpstreamSender]:
        """Return what was asked for since this was called last, in that order."""
        found: dict[str, UpstreamSender] = {}
        for line in self._call("POST", "/se/log", {"type": "performance"}):
            event = json.loads(line["message"])["message"]
            _note(found, event["method"], event["params"])
        return [*found.values()]

    def _debug(self, command: str, parameters: dict[str, Any]) -> None:
        self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _element(self, selector: str) -> str:
        return str(self.until(f"document.querySelector('{selector}')")[_ELEMENT])

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._http.request(method, self._session + path, json=body, timeout=2 * _PATIENCE)
        value = answer.json()["value"]
        assert answer.status_code == 200, f"{path}: {value['error']}: {value['message']}"
        return value


def _note(found: dict[str, UpstreamSender], event: str, params: dict[str, Any]) -> None:
    name = params.get("requestId", "")
    match event:
        case "Network.requestWillBeSent":
            found[name] = UpstreamSender(method=params["request"]["method"], url=params["request"]["url"])
        case "Network.responseReceived" if name in found:
            found[name] = replace(found[name], status=params["response"]["status"])
        case "Network.loadingFailed" if name in found:
            found[name] = replace(found[name], error=params["errorText"])


@contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """Run a browser that has never been used, until the `with` ends."""
    server, url, options = _chromedriver(directory)
    wanted = {
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        "timeouts": {"script": 2000 * _PATIENCE, "pageLoad": 1000 * _PATIENCE},
    }
    with running(server):
        answer = requests.post(f"{url}/session", json={"capabilities": {"alwaysMatch": wanted}}, timeout=2 * _PATIENCE)
        assert answer.status_code == 200, answer.text
        session = f"{url}/session/{answer.json()['value']['sessionId']}"
        try:
            yield Browser(session)
        finally:
            requests.delete(session, timeout=_PATIENCE)


def _chromedriver(directory: Path) -> tuple[Server, str, dict[str, Any]]:
    """Return the driver, its URL, and how it is to start the browser."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not browser or not driver:
        pytest.fail("Chromium is missing; install it: apt-get install chromium chromium-driver", pytrace=False)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = clean_environ() | {"HOME": str(directory)}
    child = process("chromedriver", [driver, f"--port={port}"], environ, directory, lambda: get_ok(f"{url}/status"))
    return Server(child), url, {"binary": browser, "args": [*_FLAGS, f"--user-data-dir={directory / 'profile'}"]}
