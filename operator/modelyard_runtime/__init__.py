"""What runs in pods: trainer, script runner, dataset and model fetchers, model server, requests and
signatures of gates, purger.

The operator does not belong here: nothing in this package knows Kubernetes, and of `modelyard` it
imports `modelyard.api` only.
"""
