"""A steady load from a pod in the cluster: started, observed, ended. tests/e2e/load.py sends and
counts the requests.
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
    """The results of a load.

    Args:
        sent: requests.
        answered: requests answered with 200, by the version that answered.
        lost: all others.
        spans: by version, its first and last answer, in seconds since the load began.
        answers: by version, the different bodies of its answers.
        errors: the first few losses.
        seconds: its duration.
        slowest: the longest time of an answer.
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
    """A running load. After the block, `result` has its results."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        self._kube, self._namespace, self._name = kube, namespace, name
        self.result: Result | None = None

    def now(self) -> dict[str, Any]:
        """Return the counts so far: sent, answered by version, lost."""
        lines = self._kube.kubectl(
            "logs", "-n", self._namespace, self._name, "--tail=1"
        ).splitlines()
        return (
            dict(json.loads(lines[-1]))
            if lines and lines[-1].startswith("{")
            else {"sent": 0, "answered": {}, "lost": 0}
        )

    def wait_for(self, version: str, requests: int, seconds: float = 120) -> None:
        """Wait until a version has answered this many more requests."""
        before = self.now()["answered"].get(version, 0)
        self._kube.wait(
            f"{requests} more answers of {version} under load",
            lambda: self.now()["answered"].get(version, 0) >= before + requests,
            seconds,
            lambda: f"{self.now()}\n{self._kube.explain_pods(self._namespace)}",
        )

    def end(self) -> Result:
        """Stop the pod and read its results."""
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
    """Run a load of this many requests per second; the block begins with the first answers, and its
    end ends the load.
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
