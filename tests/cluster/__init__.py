"""A real Kubernetes cluster from package registries only, for the tests and the demo.

Runs on the standard library alone, before any environment exists, and knows nothing of modelyard's
own code: what is installed into the cluster is in `tests.demo` and `tests.e2e`.
"""
