# SPDX-License-Identifier: Apache-2.0
"""Every command, option and make target that the documents name exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from api.cli import main

ROOT = Path(__file__).parents[2]
#: The changelog lists former names.
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {ROOT / "CHANGELOG.md"})

_CODE = re.compile(r"^```.*?\n(.*?)^```|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"\bmlflow-bridge((?: [a-z][a-z-]*)+)(.*)")


def _code(page: Path) -> str:
    """The code of a page: fenced blocks and spans."""
    return "\n".join(block or span for block, span in _CODE.findall(page.read_text(encoding="utf-8")))


def _command_of(words: list[str]) -> click.Command | None:
    """The command that the words begin with, if there is one."""
    command: click.Command = main
    for word in words:
        if not isinstance(command, click.Group):
            break
        if word not in command.commands:
            return None
        command = command.commands[word]
    return command


def _unknown(code: str) -> Iterator[str]:
    """The commands in this code that do not exist, and options that their command does not have."""
    for words, rest in _COMMAND.findall(code):
        command = _command_of(words.split())
        if command is None:
            yield f"mlflow-bridge{words}"
            continue
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        if not isinstance(command, click.Group):
            options = set(re.findall(r"--[a-z][a-z0-9-]*", rest))
            yield from (f"mlflow-bridge{words} {option}" for option in sorted(options - known))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_command_of_a_page_exists_with_its_options(page: Path) -> None:
    assert list(_unknown(_code(page))) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_make_target_of_a_page_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ((?!-)[a-z-]+)\b(?![=/])", _code(page)))

    assert named - targets == set()


def test_each_make_target_is_explained() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = " ".join(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE))

    explained = re.findall(r"^([a-z-]+):.*## .+$", makefile, re.MULTILINE)
    assert sorted(explained) == sorted(phony.split())


def test_unknown_commands_and_options_are_found() -> None:
    code = "mlflow-bridge keys permit x\nmlflow-bridge keys update x --never --admin\nmlflow-bridge backlog RUN_ID"

    assert list(_unknown(code)) == ["mlflow-bridge keys permit x", "mlflow-bridge keys update x --never"]
