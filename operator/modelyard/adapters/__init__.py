"""The adapters: the clients of Kubernetes, MLflow, S3 and serving pods behind the ports.

What belongs elsewhere: what an answer means for an object (the kinds), the metrics of calls
(`engine.metrics`), retries (`engine.schedule`), and which addresses are permitted
(`api.addresses`). Adapters translate each error once, bound what they read, and never retry. Only
this package imports the clients of Kubernetes and S3.

In reading order:

    instrument          call timers, and the error `Missing`
    bounds, offload     limits of answers; threads with deadlines
    kubernetes_api      one request to the API server
    kubernetes          the ports `Cluster` and `Objects`
    kubernetes_own, kubernetes_events, kubernetes_approvals  their parts
    kubernetes_leases, kubernetes_address, kubernetes_policies  other reads and writes
    kubernetes_watch, kubernetes_freeze, kubernetes_known  watches
    connection, connection_secret  from a namespace's Secret to its clients
    mlflow, mlflow_experiments, mlflow_runs, mlflow_registry  the port `Tracking`
    mlflow_rest, mlflow_search, mlflow_run_shapes, mlflow_shapes, mlflow_errors, lookup  below it
    s3, s3_blocking, s3_client, s3_http, s3_uri  the port `Store`
    pod_traffic, pod_split, pod_counters  the port `Traffic`
    cloud_events        CloudEvents
"""
