# The image, built without a container engine and run as it should be in production: minutes, so not part of `check`.
#   make -C deploy image-check      as root, with buildah, mmdebstrap, Node and npm

CLEAN += .image .venv-image
.PHONY: image-check image-lint

CHECKS += image-lint
image-lint: .venv-image/installed
	.venv-image/bin/hadolint ../Dockerfile

image-check: image-lint .image/base.tar
	@$(MAKE) --no-print-directory -C .. .venv/dev
	sh image/build.sh .image
	cd image && ../../.venv/bin/python -m pytest -c tests/pytest.ini tests

.image/base.tar:
	@mkdir -p .image
	mmdebstrap --quiet --variant=minbase --mode=root --include=ca-certificates,python3,python3-venv bookworm $@

.venv-image/installed: image/requirements.txt
	$(PYTHON) -m venv .venv-image
	.venv-image/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r image/requirements.txt
	@touch $@
