#!/bin/sh
# Logs to a run with plain curl, waits until MLflow has everything, and reads it back.
# Usage: docs/try-it.sh http://127.0.0.1:8080; with a key, set MLFLOW_TRACKING_TOKEN.
set -eu
base=${1:?usage: try-it.sh http://127.0.0.1:8080}

get() {
  curl --silent --show-error --fail-with-body \
    ${MLFLOW_TRACKING_TOKEN:+-H "Authorization: Bearer $MLFLOW_TRACKING_TOKEN"} "$@"
}
post() { get -H 'Content-Type: application/json' "$@"; }
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }
header() { tr -d '\r' | sed -n "s/^$1: //Ip"; }

# The proxy passes the creation of a run to MLflow, and returns MLflow's response.
created=$(post "$base/api/2.0/mlflow/runs/create" -d '{"experiment_id": "0", "run_name": "try-it"}') || {
  echo "no run was created: $created" >&2
  exit 1
}
run=$(echo "$created" | field run_id)
echo "run      $run"

# Writes are accepted at once; the Job-Id header identifies the job of each.
log() { post --dump-header - --output /dev/null "$base/api/2.0/mlflow/runs/$1" -d "$2" | header job-id; }
jobs="
$(log log-metric "{\"run_id\": \"$run\", \"key\": \"loss\", \"value\": 0.25, \"step\": 1, \"timestamp\": 1700000000000}")
$(log log-metric "{\"run_id\": \"$run\", \"key\": \"loss\", \"value\": 0.125, \"step\": 2, \"timestamp\": 1700000001000}")
$(log log-parameter "{\"run_id\": \"$run\", \"key\": \"lr\", \"value\": \"0.1\"}")
$(log set-tag "{\"run_id\": \"$run\", \"key\": \"team\", \"value\": \"red\"}")
$(log log-batch "{\"run_id\": \"$run\", \"metrics\": [{\"key\": \"acc\", \"value\": 0.5, \"timestamp\": 1700000002000}],
                  \"params\": [{\"key\": \"depth\", \"value\": \"3\"}], \"tags\": [{\"key\": \"stage\", \"value\": \"dev\"}]}")
"

# With "Prefer: wait" the response arrives as soon as the job is settled.
for job in $jobs; do
  echo "job      $job  $(get -H 'Prefer: wait=30' "$base/v1/jobs/$job" | field status)"
done

echo "read back from MLflow:"
get "$base/api/2.0/mlflow/metrics/get-history?run_id=$run&metric_key=loss"
get "$base/api/2.0/mlflow/runs/get?run_id=$run"
