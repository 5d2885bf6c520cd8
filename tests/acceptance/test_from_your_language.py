# SPDX-License-Identifier: Apache-2.0
"""Each snippet of `docs/how-to/from-your-language.md` logs once, repeats rejected requests and awaits its job."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.rejecting_front import RETRY_AFTER_S, rejecting_front
from tests.system import System

#: Environments and languages of their own.
pytestmark = pytest.mark.full


PAGE = Path(__file__).parents[2] / "docs/how-to/from-your-language.md"

#: The program and the file name of each snippet, by the title of its section.
PROGRAMS = {
    "curl": ("sh", "snippet.sh"),
    "Bash": ("bash", "snippet.bash"),
    "Python": ("python3", "snippet.py"),
    "Java": ("java", "LogMetric.java"),
    "Node": ("node", "snippet.mjs"),
    "Perl": ("perl", "snippet.pl"),
}
NOT_RUN = {"PowerShell", "R"}


def _sections() -> dict[str, str]:
    """The text of each section by its title."""
    title_and_text = re.split(r"^## (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return dict(zip(title_and_text[::2], title_and_text[1::2], strict=True))


def _snippet(title: str) -> str:
    [snippet] = re.findall(r"^```\w+\n(.*?)^```$", _sections()[title], re.MULTILINE | re.DOTALL)
    return str(snippet)


def _run(title: str, directory: Path, url: str, run_id: str, **environ: str) -> None:
    program, name = PROGRAMS[title]
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed on this machine")
    (directory / name).write_text(_snippet(title), encoding="utf-8")
    done = subprocess.run(
        [program, name],
        cwd=directory,
        env={**os.environ, "MLFLOW_TRACKING_URI": url, "MLFLOW_RUN_ID": run_id, **environ},
        check=False,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert (done.returncode, done.stdout) == (0, "delivered\n"), done.stderr


@pytest.mark.parametrize("title", PROGRAMS)
def test_a_snippet_logs_a_metric_without_a_token(title: str, bridge: System, tmp_path: Path) -> None:
    run_id = bridge.create_run()

    _run(title, tmp_path, bridge.url, run_id)

    assert [(point["value"], point["step"]) for point in bridge.history(run_id, "loss")] == [(0.25, 1)]


@pytest.mark.parametrize("title", PROGRAMS)
def test_a_snippet_repeats_after_retry_after_and_writes_once(title: str, bridge: System, tmp_path: Path) -> None:
    run_id = bridge.create_run()

    with rejecting_front(bridge.url) as front:
        _run(title, tmp_path, front.url, run_id, MLFLOW_TRACKING_TOKEN="mbk_example")

    writes, reads = front.of("POST"), front.of("GET")
    assert [write.response.headers.get("Idempotency-Replayed") for write in writes if write.response] == [None, "true"]
    assert [later.at - first.at >= RETRY_AFTER_S for first, later in (writes[:2], reads[:2])] == [True, True]
    assert {attempt.authorization for attempt in front.attempts} == {"Bearer mbk_example"}
    assert [(point["value"], point["step"]) for point in bridge.history(run_id, "loss")] == [(0.25, 1)]


def test_each_section_is_run_or_says_that_it_is_not() -> None:
    unproved = {title for title, text in _sections().items() if "Not run by the test suite." in text}

    assert unproved == NOT_RUN
    assert set(_sections()) == set(PROGRAMS) | NOT_RUN
