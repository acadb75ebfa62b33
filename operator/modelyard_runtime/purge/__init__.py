"""Purge what was soft-deleted in MLflow, with its artifacts: `python -m modelyard_runtime.purge`.

The operator and users soft-delete, through MLflow's API; nothing here does. Nothing here loads a
model. In reading order:

| module | what it is |
|---|---|
| `things` | runs, models and experiments as values, and the reasons to keep one: pure |
| `work` | the purge: check again, delete the artifacts, then the record |
| `database` | MLflow's own store: the only module that knows its internals |
| `artifacts` | S3: count and delete the objects under a prefix |
| `__main__` | the command line |
"""
