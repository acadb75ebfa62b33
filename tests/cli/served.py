"""The model fraud on an API server, with the statuses that the operator would write. Actions of
users are in the tests.
"""

from __future__ import annotations

from typing import Any

from tests.client.side import Side
from tests.harness import Manifest

__all__ = [
    "HISTORY",
    "NEW",
    "OLD",
    "TIME",
    "VERSIONS",
    "held",
    "registered",
    "runtime",
    "served_model",
    "serves",
]

VERSIONS = {"v1": {"runId": "1" * 32}, "v2": {"runId": "2" * 32}}
TIME = "2026-01-01T00:00:00Z"


def registered(*names: str) -> list[Manifest]:
    return [
        {
            "name": name,
            "mlflowVersion": name[1:],
            "runId": name[1:] * 32,
            "flavor": "xgboost",
            "bytes": 1000,
        }
        for name in names
    ]


OLD, NEW = "modelyard/runtime:1.2.3", "modelyard/runtime:1.3.0"


def runtime(image: str = OLD) -> Manifest:
    return {"image": image, "revision": 1, "identity": "0a1b2c3d"}


def held(version: str | None, image: str = OLD, **more: Any) -> Manifest:
    """Return `status.stages` when a version is effective in production, as a merge patch."""
    effective = {"digest": "sha256:" + "0" * 64, "runtime": runtime(image)} if version else {}
    return {
        "production": {"version": version, "desired": version, "sinceTime": TIME, "blocked": None}
        | effective
        | more
    }


SYNCED = {
    "type": "Synced",
    "status": "True",
    "reason": "Synced",
    "message": "",
    "lastTransitionTime": TIME,
}
HISTORY = [
    {"time": TIME, "stage": "production", "to": "v1", "outcome": "Promoted"},
    {
        "time": "2026-01-01T01:00:00Z",
        "stage": "production",
        "from": "v1",
        "to": "v2",
        "outcome": "Promoted",
        "durationSeconds": 9,
    },
]


def serves(side: Side, version: str | None, name: str = "fraud", **status: Any) -> Manifest:
    """Write the operator's status when a version is effective in production."""
    known = {
        "stages": held(version),
        "versions": registered("v1", "v2"),
        "operatorRuntime": {"image": OLD, "revision": 1},
    }
    written = side.status("RegisteredModel", name, "Serving", "", ready=True, **(known | status))
    conditions = [*written["status"]["conditions"], SYNCED]
    return side.patch("RegisteredModel", name, {"status": {"conditions": conditions}}, "/status")


def served_model(side: Side) -> Manifest:
    """Create the model fraud, with v2 in production after v1."""
    side.ours(
        "RegisteredModel",
        "fraud",
        {"versions": VERSIONS, "stages": {"production": {"version": "v2"}}},
    )
    previous = {"version": "v1", "digest": "sha256:" + "1" * 64, "runtime": runtime()}
    return serves(side, "v2", history=HISTORY, stages=held("v2", previous=previous))
