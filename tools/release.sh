#!/bin/sh
# Builds wheel, source archive and release notes of a version in dist/. The tree must be clean and have its changelog section.
# Usage: sh tools/release.sh 0.2.0
set -eu
cd "$(dirname "$0")/.."
version=$1

notes=$(awk -v heading="## $version" '$0 == heading || index($0, heading " ") == 1 {found = 1; next} /^## / {found = 0} found' CHANGELOG.md)
if [ -z "$notes" ]; then
  echo "CHANGELOG.md has no section '## $version'. Write it before the release." >&2
  exit 1
fi
if [ -n "$(git status --porcelain)" ]; then
  echo 'The tree has uncommitted changes. Commit them before the release.' >&2
  exit 1
fi

rm -rf dist
.venv/bin/python -m hatchling build -d dist
printf '%s\n' "$notes" >dist/release-notes.md
ls -l dist
