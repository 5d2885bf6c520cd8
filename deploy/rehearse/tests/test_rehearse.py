# SPDX-License-Identifier: Apache-2.0
"""The rehearsal: its load balancer follows the targets, and HEAD rolls out over itself without harm."""

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

import pytest
import requests

from deploy.rehearse.load_balancer import LoadBalancer
from deploy.rehearse.version import ROOT, RehearsalError, extract


@contextmanager
def target(name: str) -> Iterator[str]:
    """An HTTP server that answers with its name, on keep-alive connections."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self: Self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self: Self, *_: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_new_connections_follow_the_targets_and_old_ones_stay() -> None:
    with ExitStack() as stack:
        one, other = (stack.enter_context(target(name)) for name in ("one", "other"))
        balancer = stack.enter_context(LoadBalancer())
        client = stack.enter_context(requests.Session())
        balancer.targets = (one,)
        assert client.get(balancer.url, timeout=5).text == "one"

        balancer.targets = (other,)

        assert client.get(balancer.url, timeout=5).text == "one"
        assert requests.get(balancer.url, timeout=5).text == "other"


def test_a_target_that_refuses_connections_is_passed_over() -> None:
    with target("gone") as gone:
        pass
    with target("one") as one, LoadBalancer() as balancer:
        balancer.targets = (gone, one)

        assert {requests.get(balancer.url, timeout=5).text for _ in range(4)} == {"one"}

        balancer.targets = ()
        with pytest.raises(requests.ConnectionError):
            requests.get(balancer.url, timeout=5)


def test_a_commit_that_does_not_exist_is_named() -> None:
    with pytest.raises(RehearsalError, match="git archive failed"):
        extract("0" * 40, ROOT)


@pytest.mark.full
def test_a_rollout_of_head_and_its_rollback_harm_no_write() -> None:
    command = [sys.executable, "-m", "deploy.rehearse", "--from", "HEAD", "--smoke"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "readable by both: job ids, idempotency records, dead letters, drains, keys" in done.stdout
