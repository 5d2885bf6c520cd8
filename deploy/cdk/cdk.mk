# The AWS stacks: synthesised without network in each variant, asserted, and linted.

CHECKS += cdk-check
CLEAN += .venv-cdk cdk/node_modules cdk/cdk.out
.PHONY: cdk-check cdk-deploy cdk-diff cdk-lock

CDK_PYTHON := .venv-cdk/bin/python
# jsii names Node 20 as outdated on each start.
CDK_RUN := JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20 CDK_DISABLE_CLI_TELEMETRY=1
# A look-up in AWS or a download would fail here. Where namespaces are forbidden, the checks run with the network.
NO_NETWORK := $(shell unshare -rn true 2>/dev/null && echo unshare -rn)

cdk-check: .venv-cdk/installed cdk/node_modules/installed
	cd cdk && $(CDK_RUN) $(NO_NETWORK) ../$(CDK_PYTHON) -m pytest -c tests/pytest.ini tests

# FILE holds the parameters: make -C deploy cdk-deploy FILE=production.json
cdk-deploy cdk-diff: cdk-%: .venv-cdk/installed cdk/node_modules/installed
	@test -f "$(FILE)" || { echo 'FILE=... must name a file of parameters: deploy/cdk/example.json is one' >&2; exit 2; }
	cd cdk && $(CDK_RUN) npx cdk $* --all --no-lookups --no-notices -c file=$(abspath $(FILE))

# Pins what requirements.in names, with hashes, and the command-line tool. Needs uv.
cdk-lock:
	cd cdk && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate requirements.in -o requirements.txt
	cd cdk && npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

.venv-cdk/installed: cdk/requirements.txt
	$(PYTHON) -m venv .venv-cdk
	$(CDK_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r cdk/requirements.txt
	@touch $@

cdk/node_modules/installed: cdk/package-lock.json
	cd cdk && npm ci --silent --no-audit --no-fund
	@touch $@
