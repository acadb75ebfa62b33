"""Tests on the real cluster: kind, the operator by its chart, MLflow and MinIO."""
