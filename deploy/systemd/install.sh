#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the bridge of this checkout on this host: user, release, units. It starts and restarts nothing.
#   sudo deploy/systemd/install.sh
# Each release has a directory of its own; `current` links to the one that the next start uses. A second run of the
# same checkout changes nothing; a run of an older checkout links to the older release again.
set -eu
umask 022
PYTHON=${PYTHON:-/usr/bin/python3}
HOME_DIRECTORY=/opt/mlflow-bridge
UNITS=$(cd "$(dirname "$0")" && pwd)
SOURCE=$(cd "$UNITS/../.." && pwd)

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

check_host() {
  [ "$(id -u)" = 0 ] || fail 'only root can install services: run it with sudo'
  command -v systemctl >/dev/null || fail 'systemd is missing: on this host, run the commands of the Procfile otherwise'
  "$PYTHON" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    fail "$PYTHON is not Python 3.11 or newer with venv: install python3-venv, or name another with PYTHON=/path"
  case $(realpath "$PYTHON") in
    /root/* | /home/*) fail "services can't read $PYTHON: name an interpreter outside /root and /home with PYTHON=/path" ;;
  esac
}

# A version and what it was made of: a changed checkout is another release.
release_name() {
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$SOURCE/pyproject.toml")
  checksum=$(cd "$SOURCE" && find pyproject.toml requirements/production.txt schemas bridge api workers -type f \
    ! -name '*.pyc' -exec sha256sum {} + | LC_ALL=C sort | sha256sum | cut -c1-12)
  echo "$version-$checksum"
}

# Like the Dockerfile: only what is locked, checked by hash; the build's own tools stay outside.
build_release() {
  release=$1
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
  "$PYTHON" -m venv --clear "$release"
  "$PYTHON" -m venv "$build/tools"
  "$release/bin/python" -m pip install --quiet --no-deps --require-hashes -r "$SOURCE/requirements/production.txt"
  "$build/tools/bin/python" -m pip install --quiet --no-deps --require-hashes -r "$SOURCE/requirements/build.txt"
  "$build/tools/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$build" "$SOURCE"
  "$release/bin/python" -m pip install --quiet --no-deps "$build"/*.whl
  "$release/bin/python" -m pip check >/dev/null
  touch "$release/complete"
}

install_units() {
  install -D -m 0644 "$UNITS/sysusers.conf" /usr/lib/sysusers.d/mlflow-bridge.conf
  systemd-sysusers /usr/lib/sysusers.d/mlflow-bridge.conf
  install -m 0644 "$UNITS"/*.service "$UNITS"/*.target /etc/systemd/system/
  install -d -m 0755 /etc/mlflow-bridge
  install -d -m 0700 /etc/mlflow-bridge/secrets
  # The operator's: never overwritten.
  [ -e /etc/mlflow-bridge/bridge.env ] || install -m 0640 "$UNITS/bridge.env.example" /etc/mlflow-bridge/bridge.env
  [ ! -d /run/systemd/system ] || systemctl daemon-reload
}

check_host
release=$HOME_DIRECTORY/releases/$(release_name)
if [ ! -e "$release/complete" ]; then
  echo "installing $release (a minute)"
  build_release "$release"
fi
install_units
# Replaced in one step: a service may start at any time.
ln -sfn "$release" "$HOME_DIRECTORY/next"
mv -T "$HOME_DIRECTORY/next" "$HOME_DIRECTORY/current"
echo "installed: $HOME_DIRECTORY/current -> $release"
