# SPDX-License-Identifier: Apache-2.0
"""The steps of the rehearsal, and the verdict on all that clients have sent."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from deploy.rehearse.checks import Side, differences
from deploy.rehearse.load_balancer import LoadBalancer
from deploy.rehearse.version import ROOT, Version, extract, together
from tests.faults.evidence import gather
from tests.faults.load import Load, Size
from tests.faults.verdict import Verdict, judge
from tests.servers import Server, mlflow_at, redis_at
from tests.system import System, bridge_environ, signature_front

#: The load balancer notices within this time that an api leaves, as BRIDGE_SHUTDOWN_DELAY provides for.
_SHUTDOWN_DELAY = "1s"
_DRAIN_TIMEOUT_S = 60.0
_STOP_GRACE_S = 20.0
_SETTINGS = {"BRIDGE_SHUTDOWN_DELAY": _SHUTDOWN_DELAY, "BRIDGE_WORKER_CONCURRENCY": "3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How heavy the load is, and how many writes are accepted in each step."""

    load: Size
    writes_per_step: int

    @classmethod
    def full(cls) -> Self:
        """Return the size of a rehearsal."""
        size = Size(clients=6, runs_per_client=2, pause=0.05, most_writes_per_client=5_000)
        return cls(load=size, writes_per_step=80)

    @classmethod
    def smoke(cls) -> Self:
        """Return a size that only shows that each step works."""
        return cls(
            load=Size(clients=2, runs_per_client=1, pause=0.05, most_writes_per_client=1_000), writes_per_step=20
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the rehearsal has found."""

    verdict: Verdict
    longest_gap_s: float
    #: What one version can't read of the other.
    differences: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether no write was harmed, and both versions read all records."""
        found = self.verdict
        unharmed = (found.lost, found.duplicates, found.inversions, found.false_2xx) == (0, 0, 0, 0)
        return unharmed and found.dead == found.bad > 0 and not self.differences


def rehearse(commit: str, directory: Path, scale: Scale, show: Callable[[str], None]) -> Report:
    """Run the whole rehearsal below this directory."""
    began = time.monotonic()
    with ExitStack() as stack:
        mlflow, mlflow_url = mlflow_at(directory / "mlflow")
        store, store_url = redis_at(directory)
        stack.enter_context(together(mlflow, store))
        front = stack.enter_context(signature_front(mlflow_url))
        environ = bridge_environ(store_url, front) | _SETTINGS
        older = Version(name="N-1", tree=extract(commit, directory / "older"), environ=environ, logs=directory / "logs")
        newer = Version(name="N", tree=ROOT, environ=environ, logs=directory / "logs")
        balancer = stack.enter_context(LoadBalancer())
        rollout = _Rollout(older, newer, balancer, stack, show)
        first = rollout.start(older)
        system = System(
            url=balancer.url,
            front=front,
            mlflow_url=mlflow_url,
            store=store,
            store_url=store_url,
            broker_url=store_url,
            api=first.api,
            workers=first.workers,
        )
        runs = [system.create_run() for _ in range(scale.load.clients * scale.load.runs_per_client)]
        with Load(balancer.url, runs, scale.load) as load, _Gaps(load) as gaps:
            last = rollout.go(first, load, scale.writes_per_step)
        show("the backlog drains")
        system.drained(timeout=_DRAIN_TIMEOUT_S)
        verdict = judge(gather(system, load.sent(), front.calls))
        show("both versions read what the other has stored")
        other = rollout.start(newer)
        sides = Side(version=older, url=last.url), Side(version=newer, url=other.url)
        found = tuple(differences(*sides, load.sent(), runs[0]))
    return Report(verdict=verdict, longest_gap_s=gaps.longest_s, differences=found, seconds=time.monotonic() - began)


@dataclass(slots=True, kw_only=True)
class _Deployment:
    """The processes of one version."""

    api: Server
    url: str
    workers: list[Server]


class _Rollout:
    """Starts and stops deployments behind the load balancer, as an orchestrator does."""

    def __init__(
        self, older: Version, newer: Version, balancer: LoadBalancer, stack: ExitStack, show: Callable[[str], None]
    ) -> None:
        self._older = older
        self._newer = newer
        self._balancer = balancer
        self._stack = stack
        self._show = show
        self._started = 0

    def go(self, first: _Deployment, load: Load, writes: int) -> _Deployment:
        """Roll out and back while the load runs; return the deployment that runs at the end."""
        self._step("N-1 serves", load, writes)
        first.workers[0].kill()
        self._step("kill -9 of a worker of N-1", load, writes)
        second = self._replace(first, self._newer, load, writes)
        second.workers[0].kill()
        second.api.kill()
        second.api.start()
        self._step("kill -9 of a worker and of the api of N", load, writes)
        third = self._replace(second, self._older, load, writes)
        third.workers[0].kill()
        self._step("kill -9 of a worker of N-1, after the rollback", load, writes)
        return third

    def start(self, version: Version) -> _Deployment:
        """Start a deployment, and add its api to the load balancer's targets once it serves."""
        self._started += 1
        api, url = version.api(f"{self._started}")
        workers = [version.worker(f"{self._started}-{number}") for number in range(2)]
        self._stack.enter_context(together(api, *workers))
        self._balancer.targets = (*self._balancer.targets, url)
        return _Deployment(api=api, url=url, workers=workers)

    def _replace(self, old: _Deployment, version: Version, load: Load, writes: int) -> _Deployment:
        new = self.start(version)
        self._step(f"{version.name} beside the other version", load, writes)
        # The targets change while the api still serves: it closes its connections during the shutdown delay.
        self._balancer.targets = (new.url,)
        for server in (old.api, *old.workers):
            if server.child.exit_status is None:
                server.stop(grace=_STOP_GRACE_S)
        self._step(f"{version.name} alone", load, writes)
        return new

    def _step(self, name: str, load: Load, writes: int) -> None:
        self._show(name)
        load.wait_accepted(writes)


class _Gaps:
    """Measures the longest time between two acceptances, of any client."""

    def __init__(self, load: Load) -> None:
        self.longest_s = 0.0
        self._load = load
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        self._load.wait_accepted(1)
        last = time.monotonic()
        while not self._over.is_set():
            self._load.wait_accepted(1)
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - last)
            last = now
