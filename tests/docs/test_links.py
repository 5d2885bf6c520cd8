# SPDX-License-Identifier: Apache-2.0
"""Every relative link of the documents leads to a file, and every anchor to a heading of it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")])
PAGES.append(ROOT / "benchmarks" / "README.md")

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _links(page: Path) -> Iterator[str]:
    """The targets of a page's relative links."""
    text = re.sub(r"`[^`]*`", "", _prose(page))
    return (target for target in _LINK.findall(text) if "://" not in target and not target.startswith("mailto:"))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges and the site's generator make them."""
    titles = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in _HEADING.findall(_prose(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_link_of_a_page_has_its_target(page: Path) -> None:
    broken = []
    for link in _links(page):
        name, _, anchor = link.partition("#")
        target = Path(os.path.normpath(page.parent / name)) if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert broken == []


def test_links_and_anchors_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A: `code` & more\n\n[a](other.md#b) `[c](d)`\n```\n[e](f)\n# no heading\n```\n[g](https://h)\n")

    assert list(_links(page)) == ["other.md#b"]
    assert _anchors(page) == {"a-code--more"}
