# The units, checked, and run by a systemd of their own. It boots as root only; elsewhere those tests are skipped.

CHECKS += systemd-check
.PHONY: systemd-check

systemd-check:
	@$(MAKE) --no-print-directory -C .. .venv/dev
	cd systemd && ../../.venv/bin/python -m pytest -c tests/pytest.ini tests
