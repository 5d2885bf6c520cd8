# SPDX-License-Identifier: Apache-2.0
"""What a client's session of the role is called, how many are kept, and how often AWS is asked for one."""

import datetime as dt
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from botocore.credentials import ReadOnlyCredentials

from bridge.errors import CredentialsUnavailable
from bridge.process.clock import SystemClock
from bridge.upstream.aws.credentials import AwsCredentials, ClientSessions, session_name
from tests.factories import NOW
from tests.fakes import FakeClock

ALLOWED = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


@pytest.mark.parametrize("name", ["nightly", "a@b.example", "ab", "a" * 64, "x_y+z.1-2"])
def test_a_name_that_aws_allows_is_kept(name: str) -> None:
    assert session_name(name) == name


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("oidc:auth0|5f7c", "oidc-auth0-5f7c="),
        ("a" * 65, "a" * 51 + "="),
        ("é" * 128, "-" * 51 + "="),
        ("a", "a="),
        ("", "="),
        ("mlflow-bridge", "mlflow-bridge="),
    ],
)
def test_another_name_is_changed_and_told_from_all_others(name: str, begins: str) -> None:
    assert session_name(name).startswith(begins)
    assert ALLOWED.fullmatch(session_name(name))


def test_no_two_clients_have_one_name() -> None:
    names = ["oidc:a", "oidc|a", "oidc-a", "a" * 65, "a" * 66, "a" * 64, "a" * 51, "a", "-", ":", "|", "mlflow-bridge"]

    assert len({session_name(name) for name in names}) == len(names)
    assert {session_name(name) for name in names} == {session_name(name) for name in names}


class Role:
    """A role as `AwsCredentials` sees it: it gives a session each time, unless it refuses."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked = 0
        self.invalidated = 0
        self.is_fetched = False
        self.refuses = False
        self.may_answer = threading.Event()
        self.may_answer.set()

    def frozen(self) -> ReadOnlyCredentials:
        if not self.is_fetched:
            self.asked += 1
            self.may_answer.wait(10)
            if self.refuses:
                raise CredentialsUnavailable("can't be had: AccessDenied", denied=True)
            self.is_fetched = True
        return ReadOnlyCredentials(f"key-of-{self.name}-{self.asked}", "s", "t")

    def is_ready(self) -> bool:
        return self.is_fetched

    def invalidate(self) -> None:
        self.invalidated += 1
        self.is_fetched = False


class Opened:
    """Sessions of roles that the test can look at."""

    def __init__(self, *, max_sessions: int = 1000) -> None:
        self.clock = FakeClock(NOW)
        self.roles: list[Role] = []
        self.sessions = ClientSessions(self._open, self.clock, max_sessions=max_sessions)

    def _open(self, name: str) -> AwsCredentials:
        self.roles.append(Role(name))
        return cast("AwsCredentials", self.roles[-1])


def test_each_client_has_a_session_of_his_own_and_keeps_it() -> None:
    opened = Opened()

    keys = [opened.sessions.for_client(client).frozen().access_key for client in ("ann", "bob", "ann")]

    assert keys == ["key-of-ann-1", "key-of-bob-1", "key-of-ann-1"]
    assert [role.asked for role in opened.roles] == [1, 1]


def test_the_session_that_was_used_least_lately_gives_way() -> None:
    opened = Opened(max_sessions=2)

    for client in ("ann", "bob", "ann", "eve", "ann", "bob"):
        opened.sessions.for_client(client).frozen()

    assert [role.name for role in opened.roles] == ["ann", "bob", "eve", "bob"]


def test_a_client_whose_session_is_refused_is_asked_for_only_now_and_then() -> None:
    opened = Opened()
    session = opened.sessions.for_client("ann")
    [role] = opened.roles
    role.refuses = True
    for _ in range(3):
        with pytest.raises(CredentialsUnavailable, match="AccessDenied") as caught:
            session.frozen()
        assert caught.value.denied
    asked = role.asked

    role.refuses = False
    opened.clock.pass_(dt.timedelta(seconds=5))

    assert asked == 1
    assert session.frozen().access_key == "key-of-ann-2"
    assert opened.sessions.for_client("bob").frozen().access_key == "key-of-bob-1"


def test_a_session_that_aws_refuses_is_made_anew_unless_it_is_new() -> None:
    opened = Opened()
    session = opened.sessions.for_client("ann")
    session.frozen()

    session.invalidate()
    young = opened.roles[0].invalidated
    opened.clock.pass_(dt.timedelta(seconds=10))
    session.invalidate()
    session.invalidate()

    assert (young, opened.roles[0].invalidated) == (0, 1)
    assert session.frozen().access_key == "key-of-ann-2"


def test_many_threads_ask_once_and_nobody_waits_to_forget() -> None:
    opened = Opened()
    session = opened.sessions.for_client("ann")
    [role] = opened.roles
    role.may_answer.clear()

    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(session.frozen) for _ in range(8)]
        while not role.asked:
            pass
        session.invalidate()
        role.may_answer.set()
        keys = {each.result(timeout=10).access_key for each in waiting}

    assert keys == {"key-of-ann-1"}
    assert (role.asked, role.invalidated) == (1, 0)


def test_sessions_are_not_fetched_before_they_are_used() -> None:
    clock = SystemClock()
    sessions = ClientSessions(lambda _: AwsCredentials(clock, "arn:aws:iam::123456789012:role/x"), clock)

    assert not sessions.for_client("ann").is_ready()
