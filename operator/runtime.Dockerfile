# modelyard/runtime: the programs in pods (trainer, scripts, fetchers, model server), and the demo's MLflow server.
# Build from the repository's root: docker build -f operator/runtime.Dockerfile -t modelyard/runtime:dev .
# Only plain instructions, so that Docker 20.10 without BuildKit can build it.
# By digest for a release: --build-arg BASE=python:3.13-slim@sha256:<digest>.
ARG BASE=python:3.13-slim

# The requirements, from the lock file. A change of pyproject.toml that does not change them rebuilds no later stage.
FROM ${BASE} AS locked
ARG PIP_INDEX_URL
ARG SSL_CERT_FILE
COPY operator/uv.txt /src/
RUN pip install --no-cache-dir --disable-pip-version-check --only-binary=:all: --require-hashes -r /src/uv.txt
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN uv export --quiet --frozen --only-group runtime --no-emit-project --no-header --no-annotate --output-file requirements.txt

FROM ${BASE} AS dependencies
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
ARG SSL_CERT_FILE
COPY operator/uv.txt /src/
RUN pip install --no-cache-dir --disable-pip-version-check --only-binary=:all: --require-hashes -r /src/uv.txt
COPY --from=locked /src/requirements.txt /src/requirements.txt
# uv does not read pip's configuration, so an index that is configured for pip is passed to uv.
RUN index="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(pip config get global.index-url 2>/dev/null || true)}}" \
 && if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; else unset UV_DEFAULT_INDEX; fi \
 && uv venv --python python3 /opt/venv \
 && VIRTUAL_ENV=/opt/venv uv pip install --no-cache --link-mode=copy --require-hashes --no-deps -r /src/requirements.txt \
 && site="$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')" \
 && cd "$site" \
 # Of AWS, only S3 and STS are used.
 && find botocore/data boto3/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts -exec rm -rf {} + \
 # Tests and headers of large packages, and Arrow's Flight server: 100 MB that are never imported.
 && for package in numpy pandas scipy sklearn pyarrow matplotlib; do find "$package" -type d -name tests -prune -exec rm -rf {} +; done \
 # MLflow's auth app cannot be imported here, as a package is missing; MLflow tries it at every search of runs, which takes 45 ms, and two
 # concurrent searches get a 500.
 && rm -rf mlflow/server/auth \
 && rm -rf pyarrow/include pyarrow/src pyarrow/libarrow_flight* pyarrow/libarrow_python_flight* pyarrow/_flight* pyarrow/flight.py numpy/_core/include \
 && find . \( -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' \) -delete \
 && /opt/venv/bin/python -m compileall -q -j 0 "$site" \
 && cd / && /opt/venv/bin/python -c 'import mlflow.server, mlflow.xgboost, pandas, pyarrow.csv, pyarrow.dataset, pyarrow.parquet, sklearn.metrics'

FROM ${BASE} AS code
COPY operator/modelyard/__init__.py operator/modelyard/py.typed /opt/app/modelyard/
# Of the operator, only the modules that both sides share.
COPY operator/modelyard/api/__init__.py operator/modelyard/api/artifacts.py operator/modelyard/api/csv_texts.py operator/modelyard/api/dataset.py operator/modelyard/api/digest.py \
     operator/modelyard/api/flavors.py operator/modelyard/api/keys.py operator/modelyard/api/missing.py operator/modelyard/api/pod_end.py operator/modelyard/api/proxies.py \
     operator/modelyard/api/text.py operator/modelyard/api/trainers.py operator/modelyard/api/wire.py /opt/app/modelyard/api/
COPY operator/modelyard_runtime /opt/app/modelyard_runtime
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/app

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="modelyard runtime" \
      org.opencontainers.image.description="Trainer, model server and fetchers of modelyard, with MLflow and XGBoost" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN echo 'modelyard:x:65532:65532:modelyard:/tmp:/usr/sbin/nologin' >> /etc/passwd && echo 'modelyard:x:65532:' >> /etc/group
# MALLOC_ARENA_MAX: otherwise each thread of a server gets its own arena, whose memory is never returned.
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp MALLOC_ARENA_MAX=2 \
    MLFLOW_DISABLE_TELEMETRY=true GIT_PYTHON_REFRESH=quiet MPLCONFIGDIR=/tmp/matplotlib
COPY --from=dependencies /opt/venv /opt/venv
# Last, because it changes most often: a new version of the code adds a layer of less than a megabyte.
COPY --from=code /opt/app /opt/app
WORKDIR /tmp
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-m", "modelyard_runtime.health"]
CMD ["python", "-c", "import modelyard_runtime; print(modelyard_runtime.__doc__)"]
