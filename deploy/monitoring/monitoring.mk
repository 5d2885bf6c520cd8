# The alarms and the dashboard: rendered, compared with the committed files, and tried by promtool.

CHECKS += monitoring-check
CLEAN += .venv-monitoring
.PHONY: monitoring-check monitoring-render monitoring-lock

MONITORING_PYTHON := .venv-monitoring/bin/python

monitoring-check: .venv-monitoring/installed .venv-monitoring/bin/promtool
	cd monitoring && PATH=$(CURDIR)/.venv-monitoring/bin:$$PATH ../$(MONITORING_PYTHON) -m pytest -c tests/pytest.ini tests

# Writes rules.yml and dashboard.json.
monitoring-render: .venv-monitoring/installed
	cd monitoring && ../$(MONITORING_PYTHON) rules.py && ../$(MONITORING_PYTHON) dashboard.py

# Pins what requirements.in names, with hashes. Needs uv.
monitoring-lock:
	cd monitoring && uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate requirements.in -o requirements.txt

.venv-monitoring/installed: monitoring/requirements.txt
	$(PYTHON) -m venv .venv-monitoring
	$(MONITORING_PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

# The program alone, from Debian's package `prometheus`: no service is installed or started. Without apt it is left out.
APT_DOWNLOAD := apt-get -q -o APT::Sandbox::User=root download prometheus
.venv-monitoring/bin/promtool: | .venv-monitoring/installed
	@if command -v promtool >/dev/null; then ln -s "$$(command -v promtool)" $@; \
	elif command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then \
	  (cd .venv-monitoring \
	    && { $(APT_DOWNLOAD) || { test "$$(id -u)" = 0 && apt-get -q update && $(APT_DOWNLOAD); }; } >/dev/null 2>&1 \
	    && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components 3 -C bin ./usr/bin/promtool; \
	    rm -f prometheus_*.deb); \
	fi; test -x $@ || echo 'promtool is missing and could not be downloaded: its tests are skipped' >&2
