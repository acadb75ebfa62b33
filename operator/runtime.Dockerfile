# What runs in pods: the data fetcher, the trainers, the model fetcher, the model server; and the demo's MLflow server.
# It has no entry point: a pod says which. Plain Docker builds it; BuildKit is not needed.
FROM python:3.13-slim AS dependencies
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir --quiet uv==0.13.9
WORKDIR /build
COPY pyproject.toml uv.lock ./
RUN UV_PROJECT_ENVIRONMENT=/opt/venv UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy \
      /opt/uv/bin/uv sync --quiet --frozen --no-cache --no-dev --extra runtime --no-install-project --compile-bytecode \
 && cd /opt/venv/lib/python3*/site-packages \
 && find . -type d \( -name tests -o -name test \) -path '*/site-packages/*' -prune -exec rm -r {} + \
 && cd botocore/data && find . -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts -exec rm -r {} +

FROM python:3.13-slim AS code
COPY operator/modelyard/__init__.py /opt/modelyard/modelyard/__init__.py
COPY operator/modelyard/errors.py /opt/modelyard/modelyard/errors.py
COPY operator/modelyard/api /opt/modelyard/modelyard/api
COPY operator/modelyard_runtime /opt/modelyard/modelyard_runtime
RUN python -m compileall -q /opt/modelyard

FROM python:3.13-slim
LABEL org.opencontainers.image.title="modelyard runtime" \
      org.opencontainers.image.description="Trains, fetches and serves models for modelyard" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=code /opt/modelyard /opt/modelyard
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/modelyard PYTHONUNBUFFERED=1 MLFLOW_DISABLE_TELEMETRY=true HOME=/tmp
USER 65532:65532
EXPOSE 8080
# A server answers on 8080, an MLflow server on 5050; a trainer is healthy as long as it runs.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import sys"]
CMD ["python", "-m", "modelyard_runtime.serve", "--help"]
