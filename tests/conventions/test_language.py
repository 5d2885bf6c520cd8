# SPDX-License-Identifier: Apache-2.0
"""The tree avoids the words of `tools/language.toml`, which lists a reason for each word and each exception."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RULES: dict[str, Any] = tomllib.loads((ROOT / "tools/language.toml").read_text(encoding="utf-8"))
WORDS: dict[str, str] = RULES["words"]
EXCEPTIONS: list[dict[str, Any]] = RULES["exceptions"]

#: An underscore separates words, so that names in code are checked as well; a word may continue on the next line.
_PATTERN = re.compile(
    r"(?<![^\W_])(?:" + "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in WORDS) + r")(?![^\W_])",
    re.IGNORECASE,
)


def _checked_files() -> Iterator[tuple[str, str]]:
    """The path and the text of each tracked text file that is checked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in sorted(listed.split("\0")):
        path = ROOT / name
        if name.startswith(tuple(RULES["checked"])) and path.is_file() and b"\0" not in path.read_bytes():
            yield name, path.read_text(encoding="utf-8")


def _uses(text: str) -> Iterator[tuple[int, str, str]]:
    """Each use of a listed word: its line's number, the word, and the line."""
    lines = text.split("\n")
    for match in _PATTERN.finditer(text):
        number = text.count("\n", 0, match.start())
        yield number + 1, re.sub(r"\s+", " ", match[0].lower()), lines[number]


def _is_excepted(name: str, word: str, line: str) -> bool:
    return any(
        fnmatchcase(name, exception["path"])
        and word in exception.get("words", WORDS)
        and exception.get("line", "") in line
        for exception in EXCEPTIONS
    )


def test_checked_files_use_no_listed_word() -> None:
    found = [
        f"{name}:{number}: {word}: {WORDS[word]}"
        for name, text in _checked_files()
        for number, word, line in _uses(text)
        if not _is_excepted(name, word, line)
    ]

    assert "\n".join(found) == ""


def test_each_checked_path_exists() -> None:
    missing = [prefix for prefix in RULES["checked"] if not (ROOT / prefix).exists()]

    assert missing == []


def test_each_word_and_exception_has_a_reason() -> None:
    assert [word for word, reason in WORDS.items() if not reason] == []
    assert [exception for exception in EXCEPTIONS if not exception.get("reason")] == []
    assert [word for exception in EXCEPTIONS for word in exception.get("words", ()) if word not in WORDS] == []


def test_each_exception_is_needed() -> None:
    uses = [(name, word, line) for name, text in _checked_files() for _, word, line in _uses(text)]
    unused = [
        exception["path"]
        for exception in EXCEPTIONS
        if not any(
            fnmatchcase(name, exception["path"])
            and word in exception.get("words", WORDS)
            and exception.get("line", "") in line
            for name, word, line in uses
        )
    ]

    assert unused == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The operator told it.", ["told"]),
        ("def _told(self): ...", ["told"]),
        ("It waits in\nvain.", ["in vain"]),
        ("HE", ["he"]),
        ("The header, the history, themselves, etold", []),
        ("for so\n    many bytes", ["so many"]),
    ],
)
def test_a_listed_word_is_found_as_a_whole_word(text: str, words: list[str]) -> None:
    assert [word for _, word, _ in _uses(text)] == words
