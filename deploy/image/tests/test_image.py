# SPDX-License-Identifier: Apache-2.0
"""The built image: what it holds, and whether it runs without rights. ``make -C deploy image-check`` builds it."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests

from bridge.cli.local.servers import bundled_server
from tests.servers import free_port, get_ok, mlflow_at, running, wait_until

STORAGE = Path(__file__).parents[2] / ".image"
IMAGE = "localhost/mlflow-bridge:check"
_BUILDAH = ["buildah", "--root", STORAGE / "storage", "--runroot", STORAGE / "run", "--storage-driver", "overlay"]
_TIMEOUT_S = 120
#: As a read-only container: user 10001, no capabilities, no way to gain any.
_UNPRIVILEGED = [
    *("setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"),
    "--no-new-privs",
]
_ENVIRON = {"PATH": "/venv/bin:/usr/bin:/bin:/usr/sbin:/sbin"}


def _buildah(*arguments: str | Path) -> str:
    completed = subprocess.run([*_BUILDAH, *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    assert completed.returncode == 0, completed.stderr[-2000:]
    return completed.stdout.strip()


@contextmanager
def _container() -> Iterator[str]:
    """Yield the path of a new container's file system."""
    container = _buildah("from", "--pull-never", IMAGE)
    try:
        yield _buildah("mount", container)
    finally:
        _buildah("rm", container)


def _unprivileged(root: str, *command: str | Path) -> list[str | Path]:
    """Return a command on the image's file system, read-only but for /tmp, without rights."""
    script = (
        'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t tmpfs tmpfs "$0/tmp" && '
        'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
    )
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    return [*namespaces, "sh", "-c", script, root, *_UNPRIVILEGED, *command]


def _in_image(*command: str | Path) -> str:
    """Run a command in the image, without network, and return its output."""
    with _container() as root:
        completed = subprocess.run(
            ["unshare", "--net", *_unprivileged(root, *command)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            env=_ENVIRON,
        )
    assert completed.returncode == 0, completed.stderr[-2000:]
    return completed.stdout.strip()


@contextmanager
def _process(root: str, program: str, environ: Mapping[str, str], log: Path) -> Iterator[None]:
    """Run a program of the image, with the machine's network; stop it as a container engine does."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            _unprivileged(root, f"/venv/bin/{program}"), env={**_ENVIRON, **environ}, stdout=output, stderr=output
        )
        try:
            yield
            # The program is process 1 of its namespace, and the child of `unshare`.
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            subprocess.run(["kill", "-TERM", *children], check=True)
            assert process.wait(_TIMEOUT_S) == 0, log.read_text()[-2000:]
        finally:
            process.kill()
            process.wait()


@contextmanager
def _store(directory: Path) -> Iterator[str]:
    """Run a durable store on a port, which a process in a container reaches."""
    port = free_port()
    directory.mkdir()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"]
    store = subprocess.Popen([bundled_server(), *options], cwd=directory, stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        store.terminate()
        store.wait()


def test_the_image_says_who_runs_it_and_what() -> None:
    config = json.loads(_buildah("inspect", "--type", "image", IMAGE))["OCIv1"]["config"]

    assert config["User"] == "10001:10001"
    assert config["Cmd"] == ["mlflow-bridge-api"]
    assert "/tmp" in config["Volumes"]  # noqa: S108 - the image's own


def test_each_program_starts_without_rights_on_a_read_only_file_system() -> None:
    for program in ("mlflow-bridge", "mlflow-bridge-api", "mlflow-bridge-worker"):
        assert _in_image(f"/venv/bin/{program}", "--help").startswith("Usage:")


def test_it_can_write_nothing_but_tmp() -> None:
    check = "import os; open('/tmp/x', 'w'); print(os.getuid(), os.getgid(), os.access('/', os.W_OK))"

    assert _in_image("/venv/bin/python", "-c", check) == "10001 10001 False"


def test_it_holds_the_console_and_no_build_tools() -> None:
    check = (
        "import api, importlib.util as u, pathlib, shutil;"
        "print((pathlib.Path(api.__file__).parent / 'console' / 'index.html').is_file(),"
        " [n for n in ('pip', 'setuptools', 'hatchling') if u.find_spec(n)],"
        " [n for n in ('node', 'npm', 'gcc') if shutil.which(n)])"
    )

    assert _in_image("/venv/bin/python", "-c", check) == "True [] []"


def test_an_api_and_a_worker_of_the_image_deliver_a_write(tmp_path: Path) -> None:
    mlflow, mlflow_url = mlflow_at(tmp_path / "mlflow")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(running(mlflow))
        store_url = stack.enter_context(_store(tmp_path / "store"))
        environ = {
            "BRIDGE_HOST": "127.0.0.1",
            "BRIDGE_PORT": str(port),
            "BRIDGE_STORE_URL": store_url,
            "BRIDGE_UPSTREAM": mlflow_url,
        }
        root = stack.enter_context(_container())
        for program in ("mlflow-bridge-worker", "mlflow-bridge-api"):
            stack.enter_context(_process(root, program, environ, tmp_path / f"{program}.log"))
        wait_until(lambda: get_ok(f"{url}/readyz"))

        run = requests.post(f"{url}/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}, timeout=30).json()["run"]
        metric = {"run_id": run["info"]["run_id"], "key": "m", "value": 1, "timestamp": 1}
        accepted = requests.post(f"{url}/api/2.0/mlflow/runs/log-metric", json=metric, timeout=30)
        job = requests.get(
            f"{url}/v1/jobs/{accepted.headers['Job-Id']}", headers={"Prefer": "wait=30"}, timeout=60
        ).json()
        page = requests.get(f"{url}/app/", timeout=30)

    assert job["status"] == "delivered"
    assert page.headers["Content-Type"].startswith("text/html")
