#!/bin/sh
# Lists the licences of the shipped packages, and their known vulnerabilities from the package index.
# If the index has no list of vulnerabilities, pip-audit skips every package; this script then reports it and fails.
set -eu
cd "$(dirname "$0")/.."
tools=.venv/audit/bin

packages=$(sed -n 's/^\([A-Za-z0-9._-]*\)==.*/\1/p' requirements/production.txt)
echo 'Licences of requirements/production.txt:'
# shellcheck disable=SC2086 # a name a word
"$tools/pip-licenses" --python=.venv/bin/python --packages $packages --order=license --format=plain

report=$(mktemp)
trap 'rm -f "$report"' EXIT
status=0
"$tools/pip-audit" --requirement requirements/production.txt --disable-pip --no-deps --require-hashes \
  --progress-spinner=off --format=columns >"$report" 2>&1 || status=$?
skipped=$(grep -c 'could not be audited' "$report" || true)
if [ "$skipped" -gt 0 ]; then
  echo "Vulnerabilities: not known. The package index has no list of them for $skipped packages; run this where it has one."
  exit 1
fi
cat "$report"
exit "$status"
