"""The name that `registered_model` still uses for `kube.applied.in_sync`."""

from modelyard.kube.applied import in_sync as matches

__all__ = ["matches"]
