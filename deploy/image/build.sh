#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the Dockerfile without a container engine, into storage of its own below a directory.
#   deploy/image/build.sh DIRECTORY
# The base is Debian's Python under the name that the Dockerfile asks for: this proves the recipe, not the published image.
set -eu
directory=$(realpath "$1")
source=$(cd "$(dirname "$0")/../.." && pwd)
BASE=docker.io/library/python:3.12-slim
IMAGE=localhost/mlflow-bridge:check

engine() {
  command=$1
  shift
  buildah --root "$directory/storage" --runroot "$directory/run" --storage-driver vfs "$command" "$@"
}

import_base() {
  container=$(engine from scratch)
  engine add --quiet "$container" "$directory/base.tar" / >/dev/null
  engine run --isolation chroot "$container" ln -sf python3 /usr/bin/python
  engine config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  engine commit --quiet --rm "$container" "$BASE" >/dev/null
}

# The machine's package index and certificates, which the Dockerfile does not know.
build_image() {
  set -- --volume /etc/ssl/certs:/etc/ssl/certs:ro
  index=$(mktemp)
  trap 'rm -f "$index"' EXIT
  "${PYTHON:-python3}" -m pip config list 2>/dev/null | sed -n "s/^global\.\(index-url\|cert\)=\(.*\)/\1 = \2/p" |
    tr -d "'" | { echo '[global]'; cat; } >"$index"
  set -- "$@" --volume "$index:/etc/pip.conf:ro"
  engine bud --quiet --isolation chroot --layers --pull-never --network host "$@" --tag "$IMAGE" "$source"
}

engine inspect --type image "$BASE" >/dev/null 2>&1 || import_base
build_image
