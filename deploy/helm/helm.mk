# The chart: linted, rendered, and validated against two versions of Kubernetes, in the environment of monitoring.mk.

CHECKS += helm-check
.PHONY: helm-check

helm-check: .venv-monitoring/installed
	cd helm && ../$(MONITORING_PYTHON) -m pytest -c tests/pytest.ini tests
