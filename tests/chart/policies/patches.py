"""Paths and patches of modelyard's own kinds, which the cases of several policies share."""

from __future__ import annotations

from typing import Any

from tests.chart.api import EXPERIMENTS, MODELS, RUNS, Manifest, path_of
from tests.chart.policies.objects import SPACE

__all__ = ["EXPERIMENT", "FREE", "MODEL", "RUN", "STRANGER", "owners", "spec", "stages"]

MODEL = {
    name: path_of(MODELS, SPACE, name)
    for name in (
        "cleared",
        "owned",
        "purging",
        "overridden",
        "frozen",
        "planned",
        "automatic",
        "guarded",
    )
}
EXPERIMENT = {name: path_of(EXPERIMENTS, SPACE, name) for name in ("kept", "purging", "aged")}
RUN = {
    name: path_of(RUNS, SPACE, name)
    for name in (
        "plain",
        "source-of-v1",
        "source-of-v2",
        "source-of-v8",
        "purging",
        *(f"trained-v{n}" for n in range(1, 5)),
    )
}
STRANGER = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "name": "made-up",
    "uid": "00000000-0000-0000-0000-00000000ffff",
}
FREE = {
    "replicas": 3,
    "autoscaling": {"maxReplicas": 3},
    "resources": {"limits": {"memory": "2Gi"}},
    "nodeSelector": {"pool": "a"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
}


def stages(**changes: Any) -> Manifest:
    return {"spec": {"stages": changes}}


def spec(**changes: Any) -> Manifest:
    return {"spec": changes}


def owners(*references: Manifest) -> Manifest:
    return {"metadata": {"ownerReferences": list(references)}}
