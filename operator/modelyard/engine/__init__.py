"""The engine: watches become keys in a queue, workers reconcile the keys, statuses are written.

What belongs elsewhere: what a kind observes and decides (`experiment`, `training_run`,
`registered_model`, `model_approval`), the clients of Kubernetes, MLflow and S3 (`adapters`), and
the shape of objects and actions (`api`, `plan`). Only `kopf_app` imports Kopf.

In reading order:

    process             a process's life: health, standby, lease, start, drain
    engine              the control loop: changes, keys, workers
    queue, workers      which key is next; the tasks that take it
    reconcile           one reconcile: observe, decide, perform, report
    reads, perform      answers that are kept; the call for each action
    report, events      the status to write; Kubernetes events
    schedule            when the next reconcile is due
    backoff, breaker, outage  jitter and rate limits; circuit breakers
    body, fingerprint, result, clock  small values that the others share
    kopf_app, lease     Kopf; leader election
    sink                CloudEvents
    metrics, promotion_metrics, rollout_metrics, health, logs  what people observe
"""
