# The bridge, without a local MLflow: one image for the api and the workers; the command selects which.
#   docker build -t mlflow-bridge .
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
# The build's own tools stay out of the image.
RUN python -m venv /build \
 && /build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements/build.txt \
 && /build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheel . \
 && /venv/bin/pip install --no-cache-dir --no-deps /wheel/*.whl \
 && /venv/bin/pip uninstall --yes --quiet pip setuptools

FROM python:3.12-slim
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="MLflow Bridge" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
RUN groupadd --system --gid 10001 bridge \
 && useradd --system --uid 10001 --gid bridge bridge
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 BRIDGE_HOST=0.0.0.0
# By number: Kubernetes' runAsNonRoot can't check a name.
USER 10001:10001
WORKDIR /home
# Bodies that do not fit in memory. Amazon ECS gives a volume mounted here the mode that /tmp has in the image.
VOLUME ["/tmp"]
EXPOSE 8080
# The process is PID 1 and gets the SIGTERM of a stop itself.
CMD ["mlflow-bridge-api"]
# Its operator checks it: a worker, which runs the same image, has no port to ask.
HEALTHCHECK NONE
