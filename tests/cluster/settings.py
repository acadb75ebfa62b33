"""Versions, folders and modes of the test cluster."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CLUSTERS",
    "DEMO_CLUSTER",
    "GO_DEFAULT",
    "GO_MINIMUM",
    "KUBERNETES",
    "MODES",
    "MODULES",
    "NODE_IMAGE",
    "PULLED_NODE_IMAGE",
    "TESTS_CLUSTER",
    "Settings",
]

# The demo and the tests have a cluster each: the tests uninstall the operator with its CRDs, fill
# the node and stop MLflow and S3, and the demo's objects must survive all of that.
DEMO_CLUSTER, TESTS_CLUSTER = "modelyard", "modelyard-tests"
CLUSTERS = (DEMO_CLUSTER, TESTS_CLUSTER)
# The last minor version of Kubernetes whose kubelet still starts under cgroup v1.
KUBERNETES = "v1.34.4"
NODE_IMAGE = f"modelyard/node:{KUBERNETES}"
PULLED_NODE_IMAGE = "kindest/node:v1.34.0"
# Kubernetes needs only 1.24; Argo CD (tests/gitops) requires 1.25.5, and a distribution's Go
# fetches no newer one.
GO_MINIMUM = (1, 26)
GO_DEFAULT = "1.26"

# Programs that can be installed by their module's name; the others have a module of ours in go/.
MODULES = {
    "kind": "sigs.k8s.io/kind@v0.33.0",
    "helm": "helm.sh/helm/v3/cmd/helm@v3.19.0",
    "minio": "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
    "local-path-provisioner": "github.com/rancher/local-path-provisioner@v0.0.30",
}

MODES = ("auto", "build", "pull")


def chosen(environment: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """Return the value of a variable, by default the first allowed one."""
    value = environment.get(name) or allowed[0]
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it is one of {', '.join(allowed)}")
    return value


@dataclass(frozen=True)
class Settings:
    """Folders, and how images are obtained.

    Args:
        cache: folder that outlives clusters: binaries, logs, stamps, the kubeconfig. Never inside
            the repository.
        mode: ``auto``, ``build`` (nothing is ever pulled) or ``pull``.
        root: the repository.
        cluster: the kind cluster's name, one of ``CLUSTERS``.
    """

    cache: Path
    mode: str
    root: Path
    cluster: str = DEMO_CLUSTER

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment variables that README.md lists.

        Raises:
            ValueError: A value is none of those allowed.
        """
        mode = chosen(environment, "MODELYARD_IMAGES", MODES)
        cluster = chosen(environment, "MODELYARD_CLUSTER", CLUSTERS)
        cache = environment.get("MODELYARD_CACHE") or "~/.cache/modelyard"
        root = Path(__file__).resolve().parents[2]
        return cls(Path(cache).expanduser().resolve(), mode, root, cluster)

    @property
    def here(self) -> Path:
        return self.root / "tests" / "cluster"

    @property
    def bin(self) -> Path:
        return self.cache / "bin"

    @property
    def build(self) -> Path:
        return self.cache / "build"

    @property
    def logs(self) -> Path:
        return self.cache / "logs"

    @property
    def kubeconfig(self) -> Path:
        suffix = self.cluster.removeprefix(DEMO_CLUSTER)
        return self.cache / f"kubeconfig{suffix}"

    @property
    def node(self) -> str:
        """Return the name of the container that is the cluster's only node."""
        return f"{self.cluster}-control-plane"

    @property
    def architecture(self) -> str:
        return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
