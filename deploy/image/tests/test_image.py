# SPDX-License-Identifier: Apache-2.0
"""The built image: what it holds, and whether it runs without rights. ``make -C deploy image-check`` builds it."""

import json
import subprocess
from pathlib import Path

STORAGE = Path(__file__).parents[2] / ".image"
IMAGE = "localhost/mlflow-bridge:check"
_BUILDAH = ["buildah", "--root", STORAGE / "storage", "--runroot", STORAGE / "run", "--storage-driver", "overlay"]
_TIMEOUT_S = 120
#: As a read-only container: user 10001, no capabilities, no way to gain any.
_UNPRIVILEGED = [
    *("setpriv", "--reuid=10001", "--regid=10001", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"),
    "--no-new-privs",
]


def _buildah(*arguments: str | Path) -> str:
    completed = subprocess.run([*_BUILDAH, *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    assert completed.returncode == 0, completed.stderr[-2000:]
    return completed.stdout.strip()


def _in_image(*command: str | Path) -> str:
    """Run a command on the image's file system, read-only but for /tmp, without rights; return its output."""
    container = _buildah("from", "--pull-never", IMAGE)
    try:
        root = _buildah("mount", container)
        script = (
            'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t tmpfs tmpfs "$0/tmp" && '
            'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"'
        )
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--net", "--propagation", "private"]
        completed = subprocess.run(
            [*namespaces, "sh", "-c", script, root, *_UNPRIVILEGED, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            env={"PATH": "/venv/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
        )
        assert completed.returncode == 0, completed.stderr[-2000:]
        return completed.stdout.strip()
    finally:
        _buildah("rm", container)


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
