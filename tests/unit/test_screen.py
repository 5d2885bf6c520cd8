# SPDX-License-Identifier: Apache-2.0
"""The overview in a terminal."""

import contextlib
import datetime as dt
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.cli.formatting import age, number, size, span
from bridge.cli.http_client import BridgeClient
from bridge.cli.screen import overview_lines
from bridge.operations.overview import overview
from tests.unit.test_overview import BUSY, LIMITS, NOW, OPEN, after

# The package has the command of that name.
top = importlib.import_module("bridge.cli.top")
LANE = {
    "lane": "a" * 32,
    "run_id": "a" * 32,
    "run_name": None,
    "client": "nightly",
    "pending": 120,
    "bytes": 45056,
    "oldest_accepted_at": "2026-11-28T13:56:00Z",
    "state": "failing",
    "attempts": 4,
    "next_attempt_at": "2026-11-28T14:02:40Z",
    "error": {"reason": "unavailable", "message": "status 503\x1b[31m"},
}


def document(**changes: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(overview(after(BUSY, **changes), LIMITS)))


def test_lines_without_colours_hold_what_matters() -> None:
    shown = overview_lines(document(flow_control=OPEN), [LANE], now=NOW, width=200, is_colored=False)
    text = "\n".join(shown)

    assert shown[0].startswith("DEGRADED")
    assert "Upstream answers 503. The next call is tried at 14:02:40 UTC." in text
    assert "30 writes in 2 lanes, 100 B" in text
    assert "120 writes" in text
    assert "4 attempts" in text
    assert "\x1b" not in text


def test_colours_do_not_count_as_width() -> None:
    plain = overview_lines(document(), [LANE], now=NOW, width=40, is_colored=False)
    colored = overview_lines(document(), [LANE], now=NOW, width=40, is_colored=True)

    assert max(map(len, plain)) == 40
    assert len(colored) == len(plain)
    assert colored[0].startswith("\x1b[1m\x1b[32mDELIVERING")


def test_unknown_numbers_are_shown_as_unknown() -> None:
    shown = overview_lines(document(writes=None), [], now=NOW, width=100, is_colored=False)

    assert any("? writes in 2 lanes" in line for line in shown)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59, "59s"), (65, "1m 5s"), (3600, "1h"), (90061, "1d 1h")])
def test_spans_have_two_units(seconds: int, text: str) -> None:
    assert span(seconds) == text
    assert age((NOW - dt.timedelta(seconds=seconds)).isoformat(), NOW) == text


def test_sizes_and_numbers_are_short() -> None:
    assert [size(each) for each in (0, 1023, 1536, 45056, 3 << 30)] == ["0 B", "1023 B", "1.5 KiB", "44 KiB", "3.0 GiB"]
    assert [number(each) for each in (1204, 2.5, None)] == ["1,204", "2.5", "?"]


@pytest.mark.parametrize("options", [[], ["--once"], ["--json", "--once"]])
def test_top_shows_it_once_where_the_output_is_no_terminal(monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    def get(_self: BridgeClient, path: str, **_options: Any) -> Any:
        return document() if path == "/v1/overview" else {"lanes": [LANE], "next": None}

    monkeypatch.setattr(BridgeClient, "get", get)

    result = CliRunner().invoke(main, ["top", *options])

    assert result.exit_code == 0
    assert result.output.startswith('{"status":"delivering"' if "--json" in options else "DELIVERING")
    assert "\x1b" not in result.output


def test_top_is_drawn_until_it_is_paused_or_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Away for one period, then there, paused for one, and ended."""
    keys, asked = iter(["", "p", "", "q"]), []

    def get(_self: BridgeClient, path: str, **_options: Any) -> Any:
        asked.append(path)
        if len(asked) == 1:
            raise click.ClickException("no bridge answers")
        return document(lanes=0)

    @contextlib.contextmanager
    def pressed() -> Iterator[Callable[[float], str]]:
        yield lambda _seconds: next(keys)

    monkeypatch.setattr(BridgeClient, "get", get)
    monkeypatch.setattr(top, "_key_reader", pressed)

    top._follow(BridgeClient("http://bridge.test"), dt.timedelta(seconds=2))  # noqa: SLF001 - it needs a terminal

    shown = capsys.readouterr().out.split("\x1b[H\x1b[2J")
    assert "no bridge answers, q ends" in shown[1]
    assert "every 2 s, p freezes the screen, q ends" in shown[2]
    assert "frozen, p continues, q ends" in shown[3]
    assert shown[4].endswith("\x1b[?25h")
    assert asked == ["/v1/overview"] * 2


def test_top_refuses_a_period_that_would_only_load_the_bridge() -> None:
    result = CliRunner().invoke(main, ["top", "--every", "1ms"])

    assert result.exit_code == 2
    assert "must be 500ms or longer" in result.output


def test_lanes_are_listed_over_several_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def get(_self: BridgeClient, _path: str, *, params: dict[str, Any]) -> Any:
        asked.append(params)
        return {"lanes": [LANE], "next": None if "cursor" in params else "c"}

    monkeypatch.setattr(BridgeClient, "get", get)

    result = CliRunner().invoke(main, ["lanes", "list", "--state", "failing", "--newest", "--limit", "5"])

    assert result.output.count("nightly") == 2
    assert asked == [
        {"state": "failing", "order": "newest", "limit": 5},
        {"state": "failing", "order": "newest", "limit": 4, "cursor": "c"},
    ]


def test_workers_of_several_versions_are_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = {
        "name": "a:1",
        "version": "0.2.0",
        "started_at": None,
        "reported_at": NOW.isoformat(),
        "concurrency": 8,
        "delivering": None,
        "last_error": {"at": NOW.isoformat(), "text": "The store failed."},
    }
    monkeypatch.setattr(
        BridgeClient, "get", lambda *_, **__: {"workers": [worker, worker | {"name": "b:2", "version": "0.1.0"}]}
    )

    result = CliRunner().invoke(main, ["workers"])

    assert "The store failed." in result.output
    assert "The versions differ: 0.1.0, 0.2.0." in result.output


def test_a_terminal_wraps_the_cause_and_a_pipe_cuts_nothing() -> None:
    wide = overview_lines(document(flow_control=OPEN), [LANE], now=NOW, width=None, is_colored=False)
    narrow = overview_lines(document(flow_control=OPEN), [LANE], now=NOW, width=40, is_colored=False)

    cause = wide[1]
    wrapped = narrow[1 : narrow.index("")]
    assert len(cause) > 40
    assert " ".join(line.strip() for line in wrapped) == cause.strip()
    assert all(len(line) <= 40 for line in narrow)
