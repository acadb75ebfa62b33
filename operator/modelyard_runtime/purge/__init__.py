"""Purges what was soft-deleted in MLflow, metadata and artifacts together: `python -m
modelyard_runtime.purge`.

| module | what it is |
|---|---|
| `things` | what MLflow knows, as values, and why one of them stays: pure |
| `work` | goes through them: looks once more, artifacts first, then the record |
| `database` | MLflow's own store: the only module that knows its inside |
| `artifacts` | S3: what lies below a prefix, and taking it away |

Soft-deleting does not belong here: the operator and people do that, by MLflow's API. Nothing here
loads a model.
"""
