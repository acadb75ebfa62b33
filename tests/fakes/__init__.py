"""In-memory fakes of Kubernetes, MLflow and S3. `tests/contract` runs the same suite against these
and the real servers.
"""
