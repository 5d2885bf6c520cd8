# SPDX-License-Identifier: Apache-2.0
"""Programs that run in processes of their own without importing MLflow each time, which takes seconds.

One server has imported what they need and forks for each of them: ``python -m tests.forked``. It reads a program a
line from its standard input, as JSON, and writes how each ended.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from tests.servers import clean_environ

#: What the programs of the tests import.
_PRELOADED = (
    "mlflow",
    "mlflow.tracking",
    "boto3",
    "requests",
    "api.cli",
    "bridge.cli.keys",
    "bridge.bootstrap.processes",
)
_POLL_S = 0.005


def run(
    *program: str, environ: Mapping[str, str], timeout: float = 60, typed: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end and return what ``subprocess.run`` would. One runs at a time.

    ``program``: ``-c`` and code, the path of a script, or ``mlflow-bridge``; then its arguments.
    """
    server = _server()
    assert server.stdin
    assert server.stdout
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "stdin").write_text(typed)
        job = {"program": program, "environ": dict(environ), "timeout": timeout, "directory": directory}
        print(json.dumps(job), file=server.stdin, flush=True)
        answer = server.stdout.readline()
        assert answer, f"the server of forked programs ended with {server.poll()}"
        stdout, stderr = (Path(directory, name).read_text() for name in ("stdout", "stderr"))
    status = json.loads(answer)
    if status is None:
        raise subprocess.TimeoutExpired(program, timeout, stdout, stderr)
    return subprocess.CompletedProcess(program, status, stdout, stderr)


@cache
def _server() -> "subprocess.Popen[str]":
    """Start the server on first use; it ends with this process."""
    command = [sys.executable, "-m", "tests.forked"]
    server = subprocess.Popen(command, env=clean_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end() -> None:
        for stream in (server.stdin, server.stdout):
            if stream:
                stream.close()
        server.wait(30)

    atexit.register(end)
    return server


def serve() -> None:
    """Fork for each program; in the child, return after it ran, so that the interpreter ends as it always does."""
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    while line := sys.stdin.readline():
        job = json.loads(line)
        if (pid := os.fork()) == 0:
            _run(job)
            return
        print(json.dumps(_wait(pid, job["timeout"])), file=answers, flush=True)


def _wait(pid: int, timeout: float) -> int | None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_POLL_S)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _run(job: dict[str, Any]) -> None:
    for number, (name, flags) in enumerate(
        (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY | os.O_CREAT), ("stderr", os.O_WRONLY | os.O_CREAT))
    ):
        os.dup2(os.open(f"{job['directory']}/{name}", flags), number)
    os.environ.clear()
    os.environ.update(job["environ"])
    first, *arguments = job["program"]
    if first == "-c":
        code, *arguments = arguments
        sys.argv = ["-c", *arguments]
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the code of a test
    elif first == "mlflow-bridge":
        sys.argv = [first, *arguments]
        _exit_at_once(importlib.import_module("api.cli").main)
    else:
        sys.argv = [first, *arguments]
        runpy.run_path(first, run_name="__main__")


def _exit_at_once(command: Callable[[], None]) -> None:
    """Run a command of the bridge's; to tear down what only MLflow needs would take longer than the command."""
    status: Any = 0
    try:
        command()
    except SystemExit as ending:
        status = ending.code
        if isinstance(status, str):
            sys.stderr.write(f"{status}\n")
            status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    serve()
