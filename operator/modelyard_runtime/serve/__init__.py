"""The model server: one model, loaded from a folder, behind Open Inference Protocol V2, V1 and
MLflow's /invocations.

    python -m modelyard_runtime.serve --model-dir /modelyard/model --name fraud --version v3 --port
    8080

It stands on uvicorn and a small ASGI application of its own, for reasons that decision 0007 gives
with figures. Fetching the model does not belong here, nor does anything that would make a start
slow: MLflow, pandas and scikit-learn are imported only for models that need them.

In reading order: `server`, `deadlines` and `quick` (sockets), `app` (addresses), `turn`
(predictions together), `rule`, `split`, `splitter` and `forward` (requests that another version
answers), `metrics`, `traffic` and `arms` (what is counted), `limits`, `budget` and `reception` (how
much at once), `intake` with `encoding`, `weight` and `pages` (what a request becomes, before it is
parsed), `v1`, `v2` with `binary`, and `invocations` (protocols), `values` and `signature`, then the
models: `loading` with `memory`, `artifact`, `native` with `booster`, `generic`. Decision 0019 has
the limits, decision 0039 what a prediction costs.
"""

import os

# Before numpy and XGBoost are imported: one thread a worker, more only wait for each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
