# SPDX-License-Identifier: Apache-2.0
"""The documentation site holds every page, and its links stay inside it: `make docs`."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.docs_site import DECISIONS, ROOT, ROOT_PAGES, decisions, stage, with_site_links

SITE: dict[str, Any] = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]


def _navigated(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        [target] = entry.values()
        yield from _navigated(target) if isinstance(target, list) else [target]


def test_each_page_is_in_the_navigation() -> None:
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
    records = {page for page in pages if page.startswith("adr/")}

    assert set(_navigated(SITE["nav"])) == (pages - records) | set(ROOT_PAGES.values()) | {DECISIONS}


def test_the_list_of_decisions_has_each_number_and_title() -> None:
    listed = re.findall(r"^\* \[(\d+)\. .+\]\((\d+)-.+\.md\)$", decisions(), re.MULTILINE)

    assert len(listed) == len(list((ROOT / "docs/adr").glob("*.md")))
    assert [int(number) for number, _ in listed] == [int(prefix) for _, prefix in listed]


def _links(page: Path) -> list[str]:
    return re.findall(r"\[[^\]]*\]\(([^)#\s]+)", re.sub("`[^`]*`", "", page.read_text(encoding="utf-8")))


def test_no_link_of_the_site_leaves_it(tmp_path: Path) -> None:
    stage(tmp_path)

    broken = [
        (page.name, link)
        for page in tmp_path.rglob("*.md")
        for link in _links(page)
        if "://" not in link and not Path(os.path.normpath(page.parent / link)).is_file()
    ]
    assert broken == []


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[b](b.md#c)", "[b](b.md#c)"),
        ("[r](../README.md)", "[r](index.md)"),
        ("[t](../tests/conftest.py)", "`t`"),
        ("[`t`](../tests/conftest.py)", "`t`"),
        ("[x](https://example.org/y)", "[x](https://example.org/y)"),
    ],
)
def test_a_link_leads_to_the_targets_place_in_the_site(link: str, expected: str) -> None:
    places = {"docs/a.md": "a.md", "docs/b.md": "b.md", "README.md": "index.md"}

    assert with_site_links(link, "docs/a.md", places) == expected
