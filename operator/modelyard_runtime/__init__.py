"""What runs in pods: trainers, fetchers, the model server, checks for gates, and the purger.

Nothing in this package knows Kubernetes, and of `modelyard` it imports `modelyard.api` only. In
reading order:

| module | what it does |
|---|---|
| `outcome` | exit codes, termination messages, SIGTERM |
| `config` | what the operator tells a training pod: a ConfigMap and environment variables |
| `s3`, `tracking` | S3 and MLflow, with their errors translated |
| `data`, `dataset` | init container of a training pod: fetch or make the dataset, log it |
| `train` | the trainer of tabular models, with `parameters`, `learning` and `live` (metrics) |
| `script`, `scripted` | the trainer that runs a user's Python file |
| `signature`, `sign` | the signature of a model's files; sign the model that a training logged |
| `fetch` | init container of a serving pod: fetch an artifact tree by digest |
| `serve` | the model server |
| `smoke`, `smoke_requests` | the gate `smoke`: send requests to a candidate, compare its answers |
| `signed` | the gate `signed`: verify the signature of a version's files |
| `health` | the image's health check for plain Docker |
| `purge` | delete what was soft-deleted in MLflow, with its artifacts |
"""
