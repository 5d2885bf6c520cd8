#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the Dockerfile without a container engine, into storage of its own below a directory.
#   deploy/image/build.sh DIRECTORY
# The bases are Debian's Python, and this machine's Node on top, under the names that the Dockerfile asks for: this proves
# the recipe, not the published image.
set -eu
directory=$(realpath "$1")
source=$(cd "$(dirname "$0")/../.." && pwd)
PYTHON_BASE=docker.io/library/python:3.12-slim
NODE_BASE=docker.io/library/node:22-slim
IMAGE=localhost/mlflow-bridge:check

engine() {
  command=$1
  shift
  buildah --root "$directory/storage" --runroot "$directory/run" --storage-driver overlay "$command" "$@"
}

import_bases() {
  container=$(engine from scratch)
  engine add --quiet "$container" "$directory/base.tar" / >/dev/null
  engine run --isolation chroot "$container" ln -sf python3 /usr/bin/python
  engine config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  engine commit --quiet "$container" "$PYTHON_BASE" >/dev/null
  node=$(realpath "$(command -v node)")
  npm=$(dirname "$(dirname "$(realpath "$(command -v npm)")")")
  engine add --quiet "$container" "$node" /usr/bin/node >/dev/null
  engine add --quiet "$container" "$npm" /usr/lib/node_modules/npm >/dev/null
  engine run --isolation chroot "$container" ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/bin/npm
  engine commit --quiet --rm "$container" "$NODE_BASE" >/dev/null
}

# The machine's package index and certificates, which the Dockerfile does not know.
build_image() {
  set -- --volume /etc/ssl/certs:/etc/ssl/certs:ro
  index=$(mktemp)
  npmrc=$(mktemp)
  trap 'rm -f "$index" "$npmrc"' EXIT
  echo 'cafile=/etc/ssl/certs/ca-certificates.crt' >"$npmrc"
  "${PYTHON:-python3}" -m pip config list 2>/dev/null | sed -n "s/^global\.\(index-url\|cert\)=\(.*\)/\1 = \2/p" |
    tr -d "'" | { echo '[global]'; cat; } >"$index"
  set -- "$@" --volume "$index:/etc/pip.conf:ro" --volume "$npmrc:/root/.npmrc:ro"
  engine bud --quiet --isolation chroot --layers --pull-never --network host "$@" --tag "$IMAGE" "$source"
}

engine inspect --type image "$NODE_BASE" >/dev/null 2>&1 || import_bases
build_image
