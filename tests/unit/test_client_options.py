# SPDX-License-Identifier: Apache-2.0
"""The permissions that ``mlflow-bridge keys`` reads from its options."""

from typing import Any

import click
import pytest

from bridge.cli.client_options import client_summary, read_client
from schemas.client import Client, Scope

READER = Client(name="reader", scopes=(Scope.READ,), allow=("DeleteRun",), deny=("GetRun",))


def updated(client: Client, **options: Any) -> str:
    options = {"allow": (), "deny": (), "experiments": None} | options
    return client_summary(read_client(client, **options))


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ({}, "reader  read  allow DeleteRun  deny GetRun"),
        ({"allow": ("SetTag",)}, "reader  read  allow DeleteRun,SetTag  deny GetRun"),
        ({"deny": ("SetTag",)}, "reader  read  allow DeleteRun  deny GetRun,SetTag"),
        ({"allow": ("DeleteRun",)}, "reader  read  allow DeleteRun  deny GetRun"),
        ({"experiments": frozenset({"7"})}, "reader  read  allow DeleteRun  deny GetRun  experiment 7"),
    ],
)
def test_allow_and_deny_keep_the_scopes_and_earlier_actions(options: dict[str, Any], summary: str) -> None:
    assert updated(READER, **options) == summary


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ({"allow": ("GetRun",)}, "reader  read  allow DeleteRun,GetRun"),
        ({"deny": ("DeleteRun",)}, "reader  read  deny GetRun,DeleteRun"),
    ],
)
def test_the_latest_option_for_an_action_applies(options: dict[str, Any], summary: str) -> None:
    assert updated(READER, **options) == summary


@pytest.mark.parametrize(
    ("scope", "name"),
    [("read_only", "read"), ("write_only", "write"), ("read_write", "write+read"), ("admin", "write+read+admin")],
)
def test_a_scope_empties_both_lists(scope: str, name: str) -> None:
    assert updated(READER, **{scope: True}) == f"reader  {name}"
    assert updated(READER, **{scope: True}, allow=("SetTag",)) == f"reader  {name}  allow SetTag"


@pytest.mark.parametrize(
    ("tokens", "summary"),
    [(2_000_000, "2000000 tokens/day"), (0, "any tokens/day"), (10**15, "1000000000000000 tokens/day")],
)
def test_a_token_budget_is_shown(tokens: int, summary: str) -> None:
    assert updated(READER, tokens_per_day=tokens).endswith(f"  {summary}")


def test_scopes_exclude_each_other() -> None:
    with pytest.raises(click.UsageError, match="exclude each other"):
        updated(READER, read_only=True, read_write=True)


def test_a_new_client_may_log_and_read() -> None:
    assert updated(Client(name="new"), allow=("DeleteRun",)) == "new  write+read  allow DeleteRun"
