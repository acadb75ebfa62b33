"""modelyard: a Kubernetes operator that makes custom resources the source of truth for machine-learning models."""

__version__ = "0.1.0"
