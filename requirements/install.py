# SPDX-License-Identifier: Apache-2.0
"""Installs locked requirements into the environment of the Python that runs it, and shows how far it is.

Usage: .venv/bin/python requirements/install.py local.txt
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(name: str) -> int:
    """Install one lock file; return the exit status."""
    lock = HERE / name
    packages = sum("==" in line for line in lock.read_text().splitlines())
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--require-hashes", "-r", lock]
    told: list[str] = []
    seen = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        for line in pip.stdout or ():
            told.append(line)
            if line.startswith(("Collecting", "Requirement already satisfied")):
                seen += 1
                show(f"{name}: package {seen} of up to {packages}")
            elif line.startswith(("Installing collected", "Building wheels")):
                show(f"{name}: {line.split(':')[0].lower().strip()} (a minute or so)")
    show(f"{name}: {'installed' if pip.returncode == 0 else 'failed'}", end="\n")
    if pip.returncode:
        sys.stderr.write("".join(told[-25:]))
    return pip.returncode


def show(text: str, end: str = "\r") -> None:
    """Rewrite one line on a terminal; elsewhere tell only the end."""
    if sys.stdout.isatty() or end == "\n":
        sys.stdout.write(f"  {text:<70}{end}")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
