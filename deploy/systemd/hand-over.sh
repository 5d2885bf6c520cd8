#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Replaces the running api and workers by the installed release, without a refused connection.
#   sudo deploy/systemd/hand-over.sh [URL]
# Two instances of the api share the port. The new one is started first. If it fails, the old one stays.
set -eu
URL=${1:-http://127.0.0.1:8080}
# Either instance may answer: enough new connections that the new one answers some of them.
HEALTH_CHECKS=20

fail() {
  echo "hand-over.sh: $1" >&2
  exit 1
}

active_units() {
  systemctl list-units --plain --no-legend --state=active,activating,reloading "$1" | cut -d' ' -f1
}

check_health() {
  remaining=$HEALTH_CHECKS
  while [ "$remaining" -gt 0 ]; do
    curl --fail --silent --show-error --max-time 5 --output /dev/null "$URL/healthz" || return 1
    remaining=$((remaining - 1))
  done
}

command -v curl >/dev/null || fail 'curl is missing: install it'
old=$(active_units 'mlflow-bridge-api@*.service')
case $old in
  mlflow-bridge-api@a.service) new=mlflow-bridge-api@b.service ;;
  mlflow-bridge-api@b.service) new=mlflow-bridge-api@a.service ;;
  '') fail 'no api runs: systemctl start mlflow-bridge-api@a' ;;
  *) fail "expected one api, a or b; these run: $(echo "$old" | tr '\n' ' ')" ;;
esac

# `start` returns once the new api listens.
if ! { systemctl start "$new" && check_health; }; then
  systemctl stop "$new"
  fail "$new did not become healthy, so $old still serves: journalctl -u $new"
fi
# After a reboot the new one starts, not both.
systemctl enable --quiet "$new"
systemctl disable --quiet "$old"
systemctl stop "$old"

# One after the other: the others deliver meanwhile.
for worker in $(active_units 'mlflow-bridge-worker@*.service'); do
  systemctl restart "$worker"
done
echo "$new serves, $old is stopped"
