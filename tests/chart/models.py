"""RegisteredModels for the tests of the policies, and checks of the API server's answers."""

from __future__ import annotations

import itertools
from typing import Any

from tests.chart.api import MODELS, Answer, Api, Manifest, path_of

__all__ = ["held", "made", "may", "model", "names", "refused"]

VERSIONS = {"v1": {"runId": "run-1"}, "v2": {"runId": "run-2"}}
names = (f"model-{number}" for number in itertools.count())


def model(name: str, stages: dict[str, Any] | None = None, **spec: Any) -> Manifest:
    body = {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "RegisteredModel",
        "metadata": {"name": name, "namespace": "risk"},
    }
    return body | {
        "spec": {"versions": VERSIONS, **({"stages": stages} if stages is not None else {}), **spec}
    }


def made(
    admin: Api, stages: dict[str, Any] | None = None, name: str | None = None, **spec: Any
) -> str:
    """Create a model as the administrator; return its path."""
    body = model(name or next(names), stages, **spec)
    assert admin.create(path_of(MODELS, "risk"), body).code == 201
    return path_of(MODELS, "risk", body["metadata"]["name"])


def held(stage: str, version: str | None) -> Manifest:
    return {"spec": {"stages": {stage: {"version": version}}}}


def refused(answer: Answer, *words: str) -> bool:
    """Return whether the policy refused the request, with these words."""
    assert answer.code == 403, (answer.code, answer.message)
    for word in words:
        assert word in answer.message
    return True


def may(
    admin: Api, user: str, verb: str, resource: str, subresource: str = "", namespace: str = "risk"
) -> bool:
    spec = {
        "user": user,
        "resourceAttributes": {
            "group": "modelyard.io",
            "resource": resource,
            "subresource": subresource,
            "verb": verb,
            "namespace": namespace,
        },
    }
    answer = admin.create(path_of("authorization.k8s.io/v1/subjectaccessreviews"), {"spec": spec})
    assert answer.code == 201
    return bool(answer.body["status"]["allowed"])
