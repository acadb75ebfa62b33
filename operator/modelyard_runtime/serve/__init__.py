"""The model server: one model, loaded from a folder, behind Open Inference Protocol V2, V1 and
MLflow's /invocations.

    python -m modelyard_runtime.serve \
        --model-dir /modelyard/model --name fraud --version v3 --port 8080

It is a small ASGI application on uvicorn (decision 0007 gives the reasons, with figures). It does
not fetch the model, and imports nothing that makes a start slow: MLflow, pandas and scikit-learn
are imported only for models that need them. Decision 0019 has the limits, decision 0039 the cost of
a prediction. In reading order:

| module | what it does |
|---|---|
| `__main__`, `workers` | the command line; several worker processes on the same sockets |
| `server` | sockets, signals, loading in a thread, draining |
| `deadlines`, `quick` | uvicorn's protocol with deadlines; a shortcut for small requests |
| `app` | the ASGI application: paths, methods, headers |
| `turn` | predict the rows of concurrent requests together |
| `rule`, `split`, `splitter`, `forward` | a canary: which requests the candidate answers, and how |
| `metrics`, `traffic`, `arms` | counters, for Prometheus and for the operator |
| `limits`, `budget`, `reception` | how much memory, time and work requests may take |
| `intake`, `encoding`, `weight`, `pages`, `thrift` | estimate a request's memory before parsing |
| `parsing`, `v1`, `v2`, `binary`, `invocations` | the protocols |
| `values`, `signature`, `predictor` | values and types; the interface of a loaded model |
| `loading`, `artifact`, `memory` | from a folder to a model that has predicted once |
| `native`, `booster`, `generic` | models: XGBoost's library, or MLflow's pyfunc |
"""

import os

# Set before numpy and XGBoost are imported: one thread per worker, more only wait for each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
