"""The heartbeat of a run that trains in this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from modelyard.client.errors import ClientError, Failed, NotFound
from modelyard.client.kube import Kube
from modelyard.kube.names import HEARTBEAT_ANNOTATION

__all__ = ["Heartbeat", "beating"]

_BEAT = 20.0
"""Seconds between two heartbeats. After 90 s without one the operator closes the run."""
_SOON = 5.0
"""Seconds until the next attempt, after a heartbeat that failed."""


class Heartbeat(threading.Thread):
    """A thread that annotates the TrainingRun every 20 s, and notices when it has ended.

    Attributes:
        ended: Why the run can no longer succeed; None as long as it can.

    """

    def __init__(self, kube: Kube, name: str, namespace: str) -> None:
        super().__init__(name=f"modelyard-heartbeat-{name}", daemon=True)
        self._kube, self._name, self._namespace = kube, name, namespace
        self._over = threading.Event()
        self.ended: Failed | None = None

    def run(self) -> None:
        """Send heartbeats until `stop` is called or the TrainingRun has ended."""
        pause = 0.0
        while not self._over.wait(pause):
            try:
                body = self.beat()
            except NotFound:
                self.ended = Failed(
                    f"TrainingRun {self._namespace}/{self._name}",
                    "Deleted",
                    "it was deleted during the training.",
                )
                return
            except ClientError:
                pause = _SOON
                continue
            pause = _BEAT
            status = body.get("status") or {}
            if status.get("completionTime"):
                if failure := status.get("failure"):
                    self.ended = Failed(
                        f"TrainingRun {self._namespace}/{self._name}",
                        failure["reason"],
                        failure["message"],
                    )
                return

    def beat(self) -> dict[str, Any]:
        """Send one heartbeat, and return the TrainingRun."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return self._kube.patch(
            "TrainingRun",
            self._name,
            {"metadata": {"annotations": {HEARTBEAT_ANNOTATION: now}}},
            self._namespace,
        )

    def stop(self) -> None:
        """Stop the thread."""
        self._over.set()


@contextmanager
def beating(kube: Kube, name: str, namespace: str) -> Iterator[Heartbeat]:
    """Send heartbeats for the length of a block."""
    heart = Heartbeat(kube, name, namespace)
    heart.start()
    try:
        yield heart
    finally:
        heart.stop()
        heart.join(5)
