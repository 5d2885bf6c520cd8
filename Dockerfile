# The bridge, without a local MLflow: one image for the api and the workers; the command selects which.
#   docker build -t mlflow-bridge .
FROM node:22-slim AS console
WORKDIR /app/console
COPY console/package.json console/package-lock.json console/.npmrc ./
RUN npm ci --loglevel=error
COPY console/ ./
# The console shows it.
COPY docs/how-to/runbook.md /app/docs/how-to/
# Writes /app/api/console.
RUN npm run build

FROM python:3.12-slim AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements/production.txt requirements/build.txt requirements/
RUN /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/production.txt \
 && /venv/bin/pip check
COPY pyproject.toml README.md ./
COPY schemas/ schemas/
COPY bridge/ bridge/
COPY api/ api/
COPY workers/ workers/
COPY --from=console /app/api/console/ api/console/
# The build's own tools stay out of the image, and so do pip and the setuptools that a venv of Python 3.11 has.
RUN python -m venv /build \
 && /build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/build.txt \
 && /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /venv/bin/pip install --no-cache-dir --no-deps /wheel/*.whl \
 && /venv/bin/pip uninstall --yes --quiet setuptools pip

FROM python:3.12-slim
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="MLflow Bridge" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
RUN groupadd --system --gid 10001 bridge && useradd --system --uid 10001 --gid 10001 bridge
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 BRIDGE_HOST=0.0.0.0
# By numbers: Kubernetes can't see that a name is not root.
USER 10001:10001
WORKDIR /home
# Bodies that do not fit in memory. Amazon ECS gives a volume mounted here the mode that /tmp has in the image.
VOLUME ["/tmp"]
EXPOSE 8080
# The process is PID 1 and gets the SIGTERM of a stop itself.
CMD ["mlflow-bridge-api"]
