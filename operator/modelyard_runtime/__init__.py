"""What runs in pods: trainer, script runner, dataset and model fetchers, model server, the requests of a gate, purger.

The operator does not belong here: nothing in this package knows Kubernetes, and of `modelyard` it imports `modelyard.api` only.
"""
