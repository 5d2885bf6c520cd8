# SPDX-License-Identifier: Apache-2.0
"""Installs a lock file into the environment of the Python that runs it, and shows the progress.

Usage: .venv/bin/python requirements/install.py local.txt

A lock is complete, so pip resolves nothing: a resolution reads releases beyond the lock, and can fail when a new one
appears. `pip check` afterwards proves that the lock was complete.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
STARTS = re.compile(r"(Collecting|Requirement already satisfied:) ([\w.-]+)")
WIDTH = 78


def main(lock: Path) -> int:
    """Install one lock file; return the exit status."""
    packages = len(re.findall("^[^ #\n]+==", lock.read_text(), re.MULTILINE))
    seen = 0

    def report(line: str) -> None:
        nonlocal seen
        if found := STARTS.match(line):
            seen += 1
            show(f"{lock.name}: {found[2]} ({seen} of up to {packages})")
        elif line.startswith(("Installing collected", "Building wheel")):
            show(f"{lock.name}: {line.split(':', maxsplit=1)[0].lower().strip()} (up to a minute)")

    status, output = run([*PIP, "install", "--no-deps", "--require-hashes", "-r", str(lock)], report)
    if status == 0:
        status, output = run([*PIP, "check"], lambda _: None)
    show(f"{lock.name}: {'installed' if status == 0 else 'failed'}", end="\n")
    if status:
        sys.stderr.write(f"  {reason(output)}\n")
    return status


def run(command: list[str], report: Callable[[str], None]) -> tuple[int, list[str]]:
    """Run a command and report each of its lines; return its exit status and the lines."""
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            report(line)
    return process.returncode, lines


def reason(output: list[str]) -> str:
    """Return the line with the reason: pip's first error, else the last line."""
    errors = [line for line in output if line.startswith("ERROR:")]
    return (errors or [line for line in output if line] or ["pip printed no message"])[0 if errors else -1]


def show(text: str, end: str = "\r") -> None:
    """Rewrite one line on a terminal; elsewhere write only the end."""
    if sys.stdout.isatty() or end == "\n":
        sys.stdout.write(f"  {text[:WIDTH]:<{WIDTH}}{end}")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parent / sys.argv[1]))
