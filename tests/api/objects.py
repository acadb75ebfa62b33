"""Small valid objects of each kind, for tests that invalidate them. Samples for users are in
`manifests/samples`.
"""

import copy
from typing import Any

__all__ = [
    "DIGEST",
    "PUBLIC_KEY",
    "Manifest",
    "approval",
    "experiment",
    "model",
    "training_run",
    "without",
]

Manifest = dict[str, Any]
DIGEST = "sha256:" + "0123456789abcdef" * 4
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEImvbbObf6aMRc6HKslW896wGbUUM
P9EFYmO6T3Llgfp/4l8wG5cienBC+bl2tFPq/qlZqp8ylEhUbNcUflN5PQ==
-----END PUBLIC KEY-----
"""


def _object(kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def experiment(name: str = "fraud", **spec: Any) -> Manifest:
    return _object("Experiment", name, spec)


def training_run(name: str = "fraud-001", **spec: Any) -> Manifest:
    return _object("TrainingRun", name, {"experiment": "fraud", "trainer": {"xgboost": {}}} | spec)


def model(name: str = "fraud", **spec: Any) -> Manifest:
    return _object("RegisteredModel", name, spec)


def approval(name: str = "fraud-production-v3-bob", **spec: Any) -> Manifest:
    about = {"model": "fraud", "stage": "production", "version": "v3", "digest": DIGEST}
    return _object(
        "ModelApproval", name, about | {"decision": "Approve", "approver": "bob@example.com"} | spec
    )


def without(manifest: Manifest, *path: str | int) -> Manifest:
    """The object without one field."""
    out = copy.deepcopy(manifest)
    node: Any = out
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    return out
