"""The kinds as users write them, and the names and rules that operator, pods and client share.

Everything here is pure: no I/O, no clocks, and no decisions about objects. In reading order:

- Shared by the kinds: `base` (objects, names, durations), `rules` (CEL), `keys` (MLflow's names),
  `pods` (resources, tolerations), `conditions` (Ready, Reconciling, Stalled), `blocker`.
- Experiment: `experiment`.
- TrainingRun: `training_run`, `trainer_settings`, `trainers`, `training_reason`,
  `training_status`, `run_status` (an MLflow run's).
- RegisteredModel, spec: `registered_model`, `model_version`, `stage`, `serving`; `gates`,
  `gate_kinds`, `gate_pods`, `verification`; `rollout`, `analysis`, `rollback`, `auto_promote`;
  `freeze`, `calendar`.
- RegisteredModel, status: `model_status`, `version_status`, `stage_status`, `model_reason`,
  `history` and its copy in S3, `record`.
- ModelApproval: `model_approval`, `approvals` (which approvals count).
- CRDs: `kinds` (the table of all kinds), `schema`, `structural`, `advice`, `document`.
- Shared with pods, so standard library only: `wire` (names), `pod_end` (why a pod ended),
  `artifacts` (S3's addresses, paths and errors), `digest`, `dataset`, `csv_texts` and `missing`
  (CSV as pandas reads it), `proxies`, `text` (cleans other programs' texts), `flavors`.
- `mlmodel` (a model's description), `addresses` (where the operator may connect to).
"""
