"""Argo Rollouts next to modelyard: its controller, built from Go modules, as a process with the
cluster's kubeconfig; and a Rollout of the same pods as the operator's.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.rollout import Bench, deployment, front, version_of
from tests.cluster.console import Console, Failed, Log
from tests.cluster.gobuild import environment, toolchain_step
from tests.cluster.settings import Settings
from tests.cluster.steps import Plan, Step
from tests.demo.kube import Kube, Manifest
from tests.servers import free_port

__all__ = ["ARGO", "Rollout", "controlling"]

ARGO = "Argo Rollouts 1.10"
_MODULE, _VERSION = "github.com/argoproj/argo-rollouts", "v1.10.2"
_SUM = "h1:sEPWsY+HUvnXj3Vh0ejb+GDTceQ/palqhFo2FVQJMk0="
"""The checksum of the module's files; the module's own go.sum pins what it needs."""
_TOOLCHAIN = "go1.26.10"
"""The minimum version in the module's go.mod."""
_ROLLOUTS = "apis/argoproj.io/v1alpha1/namespaces/{}/rollouts"
_NAME = "argo"
_SECONDS = 120


def _sources(settings: Settings, log: Log) -> Path:
    """Download the module; return its folder in Go's cache of modules."""
    command = ["go", "mod", "download", "-json", f"{_MODULE}@{_VERSION}"]
    log.write(" ".join(command))
    env = environment(settings) | {"GOTOOLCHAIN": _TOOLCHAIN}
    done = subprocess.run(
        command, env=env, cwd=settings.cache, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"{_MODULE} cannot be downloaded: {done.stderr.strip() or done.stdout}")
    found = json.loads(done.stdout)
    if found["Sum"] != _SUM:
        raise Failed(f"{_MODULE}@{_VERSION} has the checksum {found['Sum']}, not {_SUM}")
    return Path(found["Dir"])


def _built(settings: Settings, console: Console) -> tuple[Path, Path]:
    """Return the controller's program, and the folder of its CRDs, from the cache or built."""
    folder = settings.cache / "bench" / "argo" / _VERSION
    program, crds = folder / "rollouts-controller", folder / "crds"

    def build(log: Log, _key: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        source = _sources(settings, log)
        log.run(
            [
                "go",
                "build",
                "-trimpath",
                "-ldflags",
                "-s -w",
                "-o",
                program,
                "./cmd/rollouts-controller",
            ],
            env=environment(settings) | {"GOTOOLCHAIN": _TOOLCHAIN},
            cwd=source,
        )
        crds.unlink(missing_ok=True)
        crds.symlink_to(source / "manifests" / "crds")

    step = Step(
        "bench-argo",
        build,
        lambda _key: program.exists() and crds.exists(),
        inputs=(_VERSION, _SUM, _TOOLCHAIN),
        after=("go",),
        doing=f"building the controller of {_MODULE} {_VERSION}",
        heavy=True,
    )
    Plan([toolchain_step(settings), step], settings.cache, console).run(["bench-argo"])
    return program, crds


@contextmanager
def controlling(kube: Kube, settings: Settings, console: Console) -> Iterator[None]:
    """Run Argo Rollouts' CRDs and its controller for the duration of a block.

    Raises:
        Failed: It cannot be built.

    """
    program, crds = _built(settings, console)
    kube.kubectl("apply", "--server-side", "-k", str(crds))
    command = [
        str(program),
        *("--kubeconfig", str(kube.kubeconfig), "--leader-elect=false", "--loglevel", "warn"),
        *("--metricsPort", str(free_port()), "--healthzPort", str(free_port())),
    ]
    log = settings.cache / "bench" / "argo" / "log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
            kube.kubectl("delete", "--ignore-not-found", "--wait=false", "-k", str(crds))


class Rollout:
    """A Rollout of one pod that gives a new version another pod, in the bench's steps."""

    name = ARGO

    def __init__(self, bench: Bench, steps: list[dict[str, Any]]) -> None:
        self._bench, self._steps = bench, steps
        self.service = _NAME

    def create(self) -> None:
        """Create it with its Service; return when it serves v1.

        Its weights are ratios of pods, because there is no mesh and no gateway.
        """
        body = deployment(_NAME, self._bench.pods["v1"])
        canary = {"maxSurge": 1, "maxUnavailable": 0, "steps": self._steps}
        body |= {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}
        body["spec"]["strategy"] = {"canary": canary}
        self._bench.create(_ROLLOUTS, body)
        self._bench.create("api/v1/namespaces/{}/services", front(_NAME))
        self.settled()

    def begin(self) -> None:
        """Set v2."""
        self._template("v2")

    def is_paused(self, index: int) -> bool:
        """Return whether it has reached the pause of that index."""
        status = self._body().get("status") or {}
        return status.get("currentStepIndex") == index and bool(status.get("pauseConditions"))

    def resume(self, _number: int) -> None:
        """Pass the pause, as `kubectl argo rollouts promote` does."""
        self._bench.patch(f"{_ROLLOUTS}/{_NAME}/status", {"status": {"pauseConditions": None}})

    def abort(self) -> None:
        """Abort it, as `kubectl argo rollouts abort` does."""
        self._bench.patch(f"{_ROLLOUTS}/{_NAME}/status", {"status": {"abort": True}})

    def settled(self) -> None:
        """Set v1 again; return when no other version has pods."""
        if (self._body().get("status") or {}).get("abort"):
            self._template("v1")
        self._bench.kube.wait(
            "the Rollout serves v1", self._is_settled, _SECONDS, self._bench.there.explain_all
        )

    def _is_settled(self) -> bool:
        body = self._body()
        status = body.get("status") or {}
        labels = f"modelyard.io/bench={_NAME}"
        pods = self._bench.kube.list("Pod", self._bench.there.name, labels)
        return (
            status.get("phase") == "Healthy"
            and status.get("observedGeneration") == str(body["metadata"]["generation"])
            and {pod["metadata"]["labels"]["version"] for pod in pods} == {"v1"}
        )

    def _template(self, version: str) -> None:
        pod = self._bench.pods[version]
        labels = {"version": version_of(pod)}
        self._bench.patch(
            f"{_ROLLOUTS}/{_NAME}",
            {"spec": {"template": {"metadata": {"labels": labels}, "spec": pod}}},
        )

    def _body(self) -> Manifest:
        found: Manifest = self._bench.read(f"{_ROLLOUTS}/{_NAME}")
        return found
