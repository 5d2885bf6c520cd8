# SPDX-License-Identifier: Apache-2.0
"""The faults that the whole bridge is put through, and for how long each lasts."""

import datetime as dt
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bridge.redis_store.outbox import connect
from tests.faults.load import Load
from tests.servers import Server
from tests.signature_front import SignatureFront
from tests.system import System
from tests.upstream_faults import (
    Answer,
    AnswerAfterCommit,
    Commit,
    CutAfterCommit,
    CutBeforeSend,
    Fault,
    Hang,
    Wait,
)

_HTML = {"Content-Type": "text/html"}
_THROTTLED = b'{"message": "Rate exceeded"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is going on while an incident happens, and how many seconds it lasts."""

    system: System
    load: Load
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something that goes wrong for a while and is over when ``happen`` returns."""

    name: str
    happen: Callable[[Scene], None]
    #: How many seconds it lasts in a short test and in a long one.
    short: float
    long: float
    #: Api and store go on as ever, so that clients must not notice.
    unnoticed: bool = True
    #: Not in `make test`, where six stand for all eleven.
    only_full: bool = False


@dataclass(frozen=True, slots=True)
class Sometimes:
    """Strikes a random share of the calls, each with one of the faults."""

    faults: Sequence[Fault]
    share: float
    #: Seeded: what calls meet is then the same each time, as far as their order is.
    _chance: random.Random = field(default_factory=lambda: random.Random(11))  # noqa: S311 - not for secrets

    def strike(self, commit: Commit, wait: Wait) -> Answer | None:
        if self._chance.random() >= self.share:
            return commit()
        return self._chance.choice(self.faults).strike(commit, wait)


def _upstream_fault(*faults: Fault, share: float = 1.0) -> Callable[[Scene], None]:
    def happen(scene: Scene) -> None:
        front = scene.system.front
        with _calls_in_trouble(front):
            front.set_fault(Sometimes(faults, share), matching=_is_write)
            time.sleep(scene.seconds)
            front.set_fault(None)

    return happen


@contextmanager
def _calls_in_trouble(front: SignatureFront) -> Iterator[None]:
    """A fault that no call meets would prove nothing."""
    before = len(front.calls)
    yield
    assert any(call.status != call.upstream_status for call in front.calls[before:])


def _is_write(method: str, path: str) -> bool:
    return method == "POST" and "/runs/" in path


def _kill_workers(scene: Scene) -> None:
    """Whichever worker has been up for longer is killed as soon as there is a delivery, which then must be its own."""
    front = scene.system.front
    end = time.monotonic() + scene.seconds
    for worker in itertools.cycle(scene.system.workers):
        arrived = len(front.wait_for_calls(0, matching=_is_write))
        front.wait_for_calls(arrived + 1, timeout=60, matching=_is_write)
        worker.kill()
        worker.child.start()
        if time.monotonic() >= end:
            return


def _kill(server: Callable[[System], Server]) -> Callable[[Scene], None]:
    """Kill it in the middle of a burst, start it, and again once the burst goes on."""

    def happen(scene: Scene) -> None:
        end = time.monotonic() + scene.seconds
        while time.monotonic() < end:
            server(scene.system).kill()
            server(scene.system).start()
            scene.load.wait_accepted(20)

    return happen


def _freeze_store(scene: Scene) -> None:
    with scene.system.store.frozen():
        time.sleep(scene.seconds)


def _flush_broker(scene: Scene) -> None:
    broker = connect(scene.system.broker_url, timeout=dt.timedelta(seconds=5), connections=1)
    end = time.monotonic() + scene.seconds
    while time.monotonic() < end:
        broker.flushall()
        scene.load.wait_accepted(5)
    broker.close()


def _skew_clock(scene: Scene) -> None:
    front = scene.system.front
    with _calls_in_trouble(front):
        front.clock_offset = dt.timedelta(minutes=20)
        time.sleep(scene.seconds)
        front.clock_offset = dt.timedelta()


def _aws_error(error: str, message: str) -> Answer:
    return Answer(403, {"x-amzn-ErrorType": error}, b'{"message": "%s"}' % message.encode())


INCIDENTS = [
    Incident(name="kill -9 of workers", happen=_kill_workers, short=2, long=45),
    Incident(name="kill -9 of the api", happen=_kill(lambda system: system.api), short=1.5, long=30, unnoticed=False),
    Incident(name="kill -9 of the store", happen=_kill(lambda system: system.store), short=1, long=30, unnoticed=False),
    Incident(name="broker FLUSHALL", happen=_flush_broker, short=2, long=30, only_full=True),
    Incident(name="frozen store", happen=_freeze_store, short=3, long=10, unnoticed=False, only_full=True),
    Incident(
        name="upstream down",
        happen=_upstream_fault(CutBeforeSend(), Answer(503, _HTML, b"<html>Service Unavailable</html>")),
        short=2,
        long=60,
    ),
    Incident(
        name="throttling",
        happen=_upstream_fault(
            Answer(429, {"Retry-After": "1"}, _THROTTLED),
            Answer(400, {"x-amzn-ErrorType": "ThrottlingException"}, _THROTTLED),
        ),
        short=1,
        long=30,
    ),
    Incident(
        name="403 of AWS",
        only_full=True,
        happen=_upstream_fault(
            _aws_error("ExpiredTokenException", "The security token included in the request is expired"),
            _aws_error("UnrecognizedClientException", "The security token included in the request is invalid."),
            _aws_error("AccessDeniedException", "User is not authorized to perform: sagemaker-mlflow:LogMetric"),
        ),
        short=1.5,
        long=60,
    ),
    Incident(
        name="no answer after the commit",
        happen=_upstream_fault(
            Hang(30, after_commit=True),
            CutAfterCommit(),
            AnswerAfterCommit(Answer(502, _HTML, b"<html>Bad Gateway</html>")),
            AnswerAfterCommit(Answer(500, {}, b"\x00\xff garbage")),
            share=0.4,
        ),
        short=2,
        long=45,
    ),
    Incident(
        name="garbage",
        only_full=True,
        happen=_upstream_fault(
            Answer(200, _HTML, b"<html>Please sign in</html>"),
            Answer(200, {"Content-Type": "application/json", "Content-Length": "200"}, b'{"run_'),
            AnswerAfterCommit(Answer(200, {"Content-Type": "application/json", "Content-Length": "2"}, b"{")),
            Answer(400, {"Content-Type": "application/json"}, b'{"error_code": "INVALID_PARAM'),
            Answer(502, _HTML, b"<html>Bad Gateway</html>"),
            Answer(504, _HTML, b"<html>Gateway Time-out</html>"),
        ),
        short=1.5,
        long=30,
    ),
    Incident(name="clock 20 minutes off", happen=_skew_clock, short=1.5, long=30, only_full=True),
]
