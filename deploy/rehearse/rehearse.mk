# A rollout and a rollback between an older version (FROM, a tag or commit) and this checkout, over one store, under load.

CHECKS += rehearse-check
.PHONY: rehearse rehearse-check

rehearse:
	$(MAKE) -C .. .venv/dev
	cd .. && .venv/bin/python -m deploy.rehearse $(if $(FROM),--from $(FROM))

# Without the rollout itself, which takes minutes.
rehearse-check:
	$(MAKE) -C .. .venv/dev
	cd .. && .venv/bin/python -m pytest -c deploy/rehearse/tests/pytest.ini -m "not full" deploy/rehearse/tests
