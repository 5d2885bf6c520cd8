# SPDX-License-Identifier: Apache-2.0
"""Stages the pages of the documentation site: docs/ and the root's pages, with links that work inside the site.

Usage: python -m tools.docs_site build/docs

Pages link to each other and to files by relative paths, as a repository browser shows them. A site holds the pages
alone, so a link to any other file becomes its name.
"""

import os
import re
import shutil
import sys
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")

#: Pages outside docs/, and their place in the site.
ROOT_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "explanation/architecture.md",
    "SECURITY.md": "explanation/security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "explanation/benchmarks.md",
}
#: The list of decision records.
DECISIONS = "adr/index.md"


def stage(target: Path) -> None:
    """Write all pages below ``target``, which is replaced."""
    shutil.rmtree(target, ignore_errors=True)
    pages = {f"docs/{page.relative_to(ROOT / 'docs').as_posix()}": page for page in (ROOT / "docs").rglob("*.md")}
    # The site has a start page of its own; links to the README lead there.
    pages |= {name: ROOT / name for name in ROOT_PAGES if name != "README.md"}
    places = {name: name.removeprefix("docs/") for name in pages} | ROOT_PAGES | {"docs/adr": DECISIONS}
    for name, page in pages.items():
        written = target / places[name]
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(with_site_links(page.read_text(encoding="utf-8"), name, places), encoding="utf-8")
    (target / DECISIONS).write_text(decisions(), encoding="utf-8")


def decisions() -> str:
    """Return the page that lists all decision records, which a repository browser lists by itself."""
    records = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    titles = {record.name: record.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for record in records}
    return "# Decisions\n\n" + "".join(f"* [{title}]({name})\n" for name, title in titles.items())


def with_site_links(text: str, name: str, places: dict[str, str]) -> str:
    """Return a page's text with each relative link led to the target's place in the site, or reduced to its text."""

    def replace(match: re.Match[str]) -> str:
        if "://" in match["target"]:
            return match[0]
        linked = os.path.normpath(PurePosixPath(name).parent / match["target"])
        if linked not in places:
            return match["text"] if match["text"].startswith("`") else f"`{match['text']}`"
        relative = os.path.relpath(places[linked], PurePosixPath(places[name]).parent)
        return f"[{match['text']}]({relative}{match['anchor'] or ''})"

    return LINK.sub(replace, text)


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
