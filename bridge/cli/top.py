# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge top``: the overview in a terminal, drawn again every few seconds."""

import contextlib
import datetime as dt
import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator

import click

from bridge.cli.http_client import BridgeClient, connection_options, show_json
from bridge.cli.screen import overview_lines
from bridge.config.parsers import duration

_CLEAR, _HIDE_CURSOR, _SHOW_CURSOR = "\x1b[H\x1b[2J", "\x1b[?25l", "\x1b[?25h"
_MAX_LANES = 10
_MIN_PERIOD = dt.timedelta(milliseconds=500)


def _parse_period(_context: click.Context, _option: click.Parameter, text: str) -> dt.timedelta:
    try:
        period = duration(text)
    except ValueError as error:
        raise click.BadParameter(f"must be {error}") from None
    if period < _MIN_PERIOD:
        raise click.BadParameter("must be 500ms or longer")
    return period


@click.command()
@click.option("--every", default="2s", show_default=True, callback=_parse_period, help="How often to draw it again.")
@click.option("--once", is_flag=True, help="Show it once. So it is where the output is no terminal.")
@connection_options
def top(url: str, *, as_json: bool, once: bool, every: dt.timedelta) -> None:
    """Show the state of the bridge, and why writes wait. Keys: q ends it, p freezes the screen.

    With --json, print the overview as one line each period.
    """
    bridge = BridgeClient(url)
    is_terminal = sys.stdout.isatty()
    if as_json:
        _repeat_json(bridge, every, once=once)
    elif once or not is_terminal:
        click.echo("\n".join(_draw(bridge, is_colored=is_terminal)))
    else:
        _follow(bridge, every)


def _repeat_json(bridge: BridgeClient, every: dt.timedelta, *, once: bool) -> None:
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        while True:
            show_json(bridge.get("/v1/overview"))
            sys.stdout.flush()
            if once:
                return
            time.sleep(every.total_seconds())


def _draw(bridge: BridgeClient, *, is_colored: bool) -> list[str]:
    overview = bridge.get("/v1/overview")
    lanes = bridge.get("/v1/lanes", params={"limit": _MAX_LANES})["lanes"] if overview["backlog"]["lanes"] else []
    # A pipe or a file cuts nothing.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return overview_lines(overview, lanes, now=dt.datetime.now(dt.UTC), width=width, is_colored=is_colored)


def _follow(bridge: BridgeClient, every: dt.timedelta) -> None:
    """Draw until q is pressed. While the bridge does not respond, the last lines stay, with the reason."""
    lines, is_frozen = ["Asks the bridge ..."], False
    with _key_reader() as read_key, contextlib.suppress(KeyboardInterrupt):
        click.echo(_HIDE_CURSOR, nl=False, color=True)
        try:
            while True:
                note = (
                    "frozen, p continues" if is_frozen else f"every {every.total_seconds():g} s, p freezes the screen"
                )
                if not is_frozen:
                    try:
                        lines = _draw(bridge, is_colored=True)
                    except click.ClickException as error:
                        note = f"{dt.datetime.now().astimezone():%H:%M:%S} {error.message}"
                click.echo(_CLEAR + "\n".join([*lines, "", f"{note}, q ends"]), color=True)
                key = read_key(every.total_seconds())
                if key == "q":
                    return
                if key == "p":
                    is_frozen = not is_frozen
        finally:
            click.echo(_SHOW_CURSOR, nl=False, color=True)


@contextlib.contextmanager
def _key_reader() -> Iterator[Callable[[float], str]]:
    """Yield a function that waits for a key for a number of seconds and returns it; an empty text if there is none."""
    if not sys.stdin.isatty():
        yield _sleep
        return
    # Not on every system, and only needed here.
    import termios  # noqa: PLC0415
    import tty  # noqa: PLC0415

    descriptor = sys.stdin.fileno()
    # Without echo, and without waiting for the end of a line.
    former_mode = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def read_key(seconds: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        return os.read(descriptor, 1).decode(errors="replace").lower() if ready else ""

    try:
        yield read_key
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, former_mode)


def _sleep(seconds: float) -> str:
    time.sleep(seconds)
    return ""
