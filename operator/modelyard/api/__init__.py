"""The kinds as users write them, and the names and rules that the other sides share. Pure.

- Kinds: `base` (objects, conditions), `experiment`, `training_run`, `registered_model`, `pods`
  (resources, tolerations), `conditions` (Ready, Reconciling, Stalled).
- CRDs: `schema`, `structural`, `rules`, `advice`, `document`.
- Shared with pods, standard library only: `wire` (names), `pod_end` (why a pod ended), `artifacts`
  (S3's addresses, paths and errors), `digest`, `dataset`, `keys`, `proxies`, `missing` and
  `csv_texts` (CSV as pandas reads it).
- Of MLflow: `mlmodel` reads a model's description, `run_status` says what a run's status means.
"""
