"""A steady load from a pod in the cluster: begun, looked at, ended. What is sent, and how it is
counted, is in tests/e2e/load.py.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.demo.kube import Failed, Kube

__all__ = ["Load", "Result", "steady_load"]

SCRIPT = Path(__file__).parents[1] / "e2e" / "load.py"


@dataclass(frozen=True)
class Result:
    """What came of a load.

    Args:
        sent: requests.
        answered: requests answered with 200, by the version that answered.
        lost: all others.
        spans: by version, when the first and the last of them were, in seconds since the load
            began.
        answers: by version, the different bodies that it answered.
        errors: the first few losses.
        seconds: how long it went on.
        slowest: the longest that an answer took.
    """

    sent: int
    answered: dict[str, int]
    lost: int
    spans: dict[str, list[float]]
    answers: dict[str, list[str]]
    errors: list[dict[str, Any]]
    seconds: float
    slowest: float


class Load:
    """A load that goes on. After the block, `result` says what came of it."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name
        self.result: Result | None = None

    def now(self) -> dict[str, Any]:
        """The counts so far: sent, answered by version, lost."""
        lines = self._kube.kubectl(
            "logs", "-n", self._namespace, self._name, "--tail=1"
        ).splitlines()
        return (
            dict(json.loads(lines[-1]))
            if lines and lines[-1].startswith("{")
            else {"sent": 0, "answered": {}, "lost": 0}
        )

    def wait_for(self, version: str, requests: int, seconds: float = 120) -> None:
        """Returns when a version has answered so many requests more."""
        before = self.now()["answered"].get(version, 0)
        self._kube.wait(
            f"{requests} more answers of {version} under load",
            lambda: self.now()["answered"].get(version, 0) >= before + requests,
            seconds,
            lambda: f"{self.now()}\n{self._kube.explain_pods(self._namespace)}",
        )

    def end(self) -> Result:
        """Tells the pod to stop, and reads what it says."""
        stop = ["python", "-c", "import os, signal; os.kill(1, signal.SIGTERM)"]
        self._kube.kubectl("exec", "-n", self._namespace, self._name, "--", *stop)

        def ended() -> bool:
            pod = self._kube.get("Pod", self._name, self._namespace)
            if pod is None:
                raise Failed(f"the pod {self._name} is gone")
            return str(pod["status"]["phase"]) in ("Succeeded", "Failed")

        self._kube.wait("the load ends", ended, 60)
        said = self.now()
        if not said.pop("done", False):
            raise Failed(
                f"the load said nothing at its end:\n{self._kube.explain_pods(self._namespace)}"
            )
        self.result = Result(**said)
        return self.result


@contextmanager
def steady_load(
    kube: Kube,
    image: str,
    namespace: str,
    url: str,
    body: Any,
    rate: float = 50,
    name: str = "load",
) -> Iterator[Load]:
    """Begin a load of so many requests a second; the block begins when the first are answered,
    and its end ends the load.
    """
    kube.program(
        "kubectl",
        "delete",
        "pod",
        name,
        "-n",
        namespace,
        "--ignore-not-found",
        "--grace-period=0",
        "--force",
    )
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/name": "modelyard-load"},
    }
    spec = kube.restricted(
        ["python", "/load/load.py", url, json.dumps(body), str(rate)], image, mounts={"/load": name}
    )
    script = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"load.py": SCRIPT.read_text()},
    }
    kube.apply(
        script,
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        namespace=namespace,
    )
    load = Load(kube, namespace, name)

    def running() -> bool:
        pod = kube.get("Pod", name, namespace) or {}
        up = pod.get("status", {}).get("phase") == "Running"
        return bool(up and sum(load.now()["answered"].values()) >= 10)

    try:
        kube.wait("the load begins", running, 60, lambda: kube.explain_pods(namespace))
        yield load
        if load.result is None:
            load.end()
    finally:
        kube.program(
            "kubectl",
            "delete",
            "pod,configmap",
            name,
            "-n",
            namespace,
            "--ignore-not-found",
            "--grace-period=0",
            "--force",
        )
