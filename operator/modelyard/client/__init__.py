"""The Python client: the custom resources, typed, with the user's own kubeconfig and rights (decision 0008)."""
