"""Whether a running pod's container crashed, and since when a pod no longer answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.kube.pod_life import server_end, unready_since

SINCE = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEFORE, AFTER = "2026-01-01T11:59:59Z", "2026-01-01T12:00:01Z"


def ended(
    reason: str = "Error",
    code: int = 1,
    at: str = AFTER,
    name: str = "model",
    state: str = "lastState",
) -> Any:
    return {
        "name": name,
        state: {"terminated": {"reason": reason, "exitCode": code, "finishedAt": at}},
        "restartCount": 1,
    }


def pod(*statuses: Any, deleted: bool = False, **status: Any) -> Any:
    return {
        "metadata": {"deletionTimestamp": AFTER} if deleted else {},
        "status": {"containerStatuses": statuses} | status,
    }


def life(ready: str, changed: str) -> list[dict[str, str]]:
    """Return the conditions of a pod whose init containers had finished at BEFORE."""
    return [
        {"type": "Ready", "status": ready, "lastTransitionTime": changed},
        {"type": "Initialized", "status": "True", "lastTransitionTime": BEFORE},
    ]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (pod(), None),
        (pod(ended()), "exit code 1"),
        (pod(ended(state="state")), "exit code 1"),
        (pod(ended(code=139)), "exit code 139"),
        (
            pod(ended("Completed", 0)),
            "exit code 0",
        ),  # its liveness probe failed, and it ended cleanly
        (pod(ended("OOMKilled", 137)), "OOMKilled"),
        (pod(ended(at=BEFORE)), None),  # before the switch
        (pod(ended(name="sidecar")), None),
        (pod(ended("Unknown", 255)), None),  # its node was rebooted
        (pod(ended("ContainerStatusUnknown", 137)), None),
        (pod(ended(), deleted=True), None),
        (pod(ended(), phase="Failed", reason="Evicted"), None),
        (
            pod(
                ended(),
                conditions=[
                    {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": AFTER}
                ],
            ),
            None,
        ),
        (pod({"name": "model", "state": {"running": {}}, "ready": True}), None),
        (
            pod(ended("OOMKilled", 137), conditions=life("False", BEFORE)),
            None,
        ),  # while it loads: it was never ready
        (pod(ended("OOMKilled", 137), conditions=life("False", AFTER)), "OOMKilled"),
        (pod(ended(), conditions=life("True", AFTER)), "exit code 1"),
    ],
)
def test_how_a_server_ended(found: Any, says: str | None):
    assert server_end(found, "model", SINCE) == says


def conditions(ready: str, containers: str) -> list[dict[str, str]]:
    return [
        {"type": "Ready", "status": ready, "lastTransitionTime": AFTER},
        {"type": "ContainersReady", "status": containers, "lastTransitionTime": BEFORE},
    ]


@pytest.mark.parametrize(
    ("found", "since"),
    [
        (pod({"name": "model", "started": True}, conditions=conditions("False", "False")), AFTER),
        (pod({"name": "model", "started": True}, conditions=conditions("True", "True")), None),
        (
            pod({"name": "model", "started": True}, conditions=conditions("False", "True")),
            None,
        ),  # its node is unreachable
        (
            pod({"name": "model", "started": False}, conditions=conditions("False", "False")),
            None,
        ),  # it is starting: a scale-up or a node drain
        (
            pod(
                {"name": "model", "started": True},
                conditions=conditions("False", "False"),
                deleted=True,
            ),
            None,
        ),
        (pod(), None),
    ],
)
def test_since_when_a_pod_does_not_answer(found: Any, since: str | None):
    assert unready_since(found, "model") == (datetime.fromisoformat(since) if since else None)
