"""The kind cluster: created, checked, restarted after its engine ended, deleted."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.console import Console, Failed, Log
from tests.cluster.engine import Engine, lacks_sys_resource
from tests.cluster.settings import Settings

__all__ = ["Cluster", "unready"]

READY_SECONDS = 180.0
SAY_SECONDS = 5.0
# kind's default: the addresses of Services.
SERVICES = "10.96.0.0/16"
# The namespaces of the cluster's own workloads; other workloads do not count for its health.
SYSTEM = ("kube-system", "local-path-storage")
# A killed node comes back in half a minute; one that takes much longer is created again.
# Waiting is cheaper than deleting a cluster that only answers slowly on a busy machine.
RETURN_SECONDS = 180.0


def condition(item: Mapping[str, Any], kind: str) -> bool:
    return any(
        entry["type"] == kind and entry["status"] == "True"
        for entry in item.get("status", {}).get("conditions", [])
    )


def settled(pod: Mapping[str, Any], since: str) -> bool:
    """Return whether all containers of a pod are ready and were started after ``since``; older
    states are from before the node's restart.
    """
    statuses = pod.get("status", {}).get("containerStatuses", [])
    started = [
        status.get("state", {}).get("running", {}).get("startedAt", "") for status in statuses
    ]
    return (
        bool(statuses)
        and all(status["ready"] for status in statuses)
        and all(moment[:19] >= since[:19] for moment in started)
    )


def unready(objects: list[Mapping[str, Any]], since: str = "") -> list[str]:
    """Return the problems of a cluster as texts; empty for a healthy one.

    Args:
        objects: nodes, StorageClasses, and the Deployments, DaemonSets and Pods of the system, as
            the API gives them.
        since: when the node was started, in UTC as RFC 3339.
    """
    out: list[str] = []
    nodes = [item for item in objects if item["kind"] == "Node"]
    if not nodes:
        out.append("there is no node")
    out += [
        f"node {node['metadata']['name']} is not Ready"
        for node in nodes
        if not condition(node, "Ready")
    ]
    deployments = {
        item["metadata"]["name"]: item for item in objects if item["kind"] == "Deployment"
    }
    for name in sorted({"coredns", *deployments}):
        if name not in deployments:
            out.append(f"{name} is not there")
        elif deployments[name].get("status", {}).get("readyReplicas", 0) < deployments[name][
            "spec"
        ].get("replicas", 1):
            out.append(f"{name} is not ready")
    for item in objects:
        status, name = item.get("status", {}), item["metadata"]["name"]
        if item["kind"] == "DaemonSet" and status.get("numberReady", 0) < max(
            1, status.get("desiredNumberScheduled", 0)
        ):
            out.append(f"{name} is not ready")
        if (
            item["kind"] == "Pod"
            and "deletionTimestamp" not in item["metadata"]
            and not settled(item, since)
        ):
            out.append(f"pod {name} is not ready")
    default = "storageclass.kubernetes.io/is-default-class"
    if not any(
        item["kind"] == "StorageClass"
        and item["metadata"].get("annotations", {}).get(default) == "true"
        for item in objects
    ):
        out.append("there is no default StorageClass")
    return out


class Cluster:
    """The cluster of this machine that the settings name."""

    def __init__(self, settings: Settings, engine: Engine, console: Console) -> None:
        self._settings = settings
        self._engine = engine
        self._console = console
        self.node = settings.node
        self._flags = ["--name", settings.cluster, "--kubeconfig", settings.kubeconfig]

    def kubectl(self, *words: str, timeout: float = 20.0) -> str | None:
        """Return the output of kubectl on the cluster, or ``None`` if it fails."""
        command = [
            self._settings.bin / "kubectl",
            "--kubeconfig",
            self._settings.kubeconfig,
            "--request-timeout=10s",
            *words,
        ]
        try:
            done = subprocess.run(
                [str(word) for word in command], capture_output=True, check=False, timeout=timeout
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.decode() if done.returncode == 0 else None

    def troubles(self) -> list[str]:
        """Return why the cluster is not healthy; empty if it is."""
        if not self._settings.kubeconfig.exists():
            return ["there is no kubeconfig"]
        since = self._engine.read("inspect", "--format", "{{.State.StartedAt}}", self.node)
        if since is None:
            return ["the engine has no node of it"]
        listed = self.kubectl(
            "get", "nodes,storageclasses,deployments,daemonsets,pods", "-A", "-o", "json"
        )
        if listed is None:
            return ["the API server does not answer"]
        system = [
            item
            for item in json.loads(listed)["items"]
            if item["metadata"].get("namespace", SYSTEM[0]) in SYSTEM
        ]
        return unready(system, since)

    def container(self) -> str | None:
        """Return the state of the node's container, as the engine names it; ``None`` without
        one.
        """
        return self._engine.read("inspect", "--format", "{{.State.Status}}", self.node)

    def revive(self, log: Log) -> bool:
        """Restart a cluster whose node exists but ended or is still starting; return whether it is
        healthy.
        """
        state = self.container()
        if state is None:
            return False
        if state != "running":
            self._console.say(f"cluster: its node is {state}; restarting it")
            if self._engine.read("start", self.node) is None:
                return False
        if not self.export(log):
            return False
        self.keep_inside(log)
        return not self.wait(RETURN_SECONDS)

    def keep_inside(self, log: Log) -> None:
        """Drop packets for Services that would leave the node: while kube-proxy writes its rules, a
        Service has none for a moment.

        A dropped packet is sent again a second later. Outside of the node another server could
        answer, such as this machine's proxy.
        """
        rule = f"FORWARD -d {SERVICES} -o eth0 -j DROP"
        script = f"iptables -C {rule} 2>/dev/null || iptables -I {rule}"
        log.run(["docker", "exec", self.node, "sh", "-c", script])

    def wait(self, seconds: float) -> list[str]:
        """Wait until there is no problem, or for that long; return the problems left. Print at most
        every five seconds what it waits for.
        """
        deadline, said = time.monotonic() + seconds, -SAY_SECONDS
        while True:
            troubles = self.troubles()
            if not troubles or time.monotonic() > deadline:
                return troubles
            if self._console.elapsed - said >= SAY_SECONDS:
                said = self._console.elapsed
                more = [f"and {len(troubles) - 3} more"] if len(troubles) > 3 else []
                self._console.say(f"cluster: waiting: {'; '.join([*troubles[:3], *more])}")
            time.sleep(0.5)

    def create(self, log: Log, image: str, pulled: bool) -> None:
        """Create the cluster and wait until it is healthy; raises ``Failed``."""
        folder = self._settings.here / "kind"
        config = (folder / ("pull.yaml" if pulled else "build.yaml")).read_text()
        if lacks_sys_resource():
            config += (folder / "no-sys-resource.yaml").read_text()
        path = self._settings.build / "kind.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(config)
        self._kind(
            log, "create", "cluster", "--image", image, "--config", str(path), "--wait", "0s"
        )
        self.keep_inside(log)
        if troubles := self.wait(READY_SECONDS):
            raise Failed(
                f"the cluster is not Ready after {READY_SECONDS:.0f} s: {'; '.join(troubles)}"
            )

    def delete(self, log: Log) -> None:
        """Delete the cluster, its container and volumes, if they exist."""
        if self._engine.answers() and self.container() is not None:
            self._kind(log, "delete", "cluster")
            if self.container() is not None:
                log.run(["docker", "rm", "-f", "-v", self.node])
        self._settings.kubeconfig.unlink(missing_ok=True)

    def export(self, log: Log) -> bool:
        """Write the kubeconfig again; the API server's port may change on a restart."""
        try:
            self._kind(log, "export", "kubeconfig")
        except Failed:
            return False
        return True

    def _kind(self, log: Log, *words: str) -> None:
        env = {
            "KIND_EXPERIMENTAL_PROVIDER": "docker",
            "PATH": f"{self._settings.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }
        command: list[str | Path] = [self._settings.bin / "kind", *words, *self._flags]
        log.run(command, env=env)
        if self._settings.kubeconfig.exists():
            self._settings.kubeconfig.chmod(0o600)
