"""Versions, folders and modes. What is done with them does not belong here."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "CLUSTER",
    "GO_DEFAULT",
    "GO_MINIMUM",
    "KUBERNETES",
    "MODES",
    "MODULES",
    "NODE_CONTAINER",
    "NODE_IMAGE",
    "PULLED_NODE_IMAGE",
    "Settings",
]

CLUSTER = "modelyard"
NODE_CONTAINER = f"{CLUSTER}-control-plane"
# The last line of Kubernetes whose kubelet still starts under cgroup v1.
KUBERNETES = "v1.34.4"
NODE_IMAGE = f"modelyard/node:{KUBERNETES}"
PULLED_NODE_IMAGE = "kindest/node:v1.34.0"
# Kubernetes would do with 1.24; Argo CD (tests/gitops) asks for 1.25.5, and a distribution's Go fetches no newer one.
GO_MINIMUM = (1, 26)
GO_DEFAULT = "1.26"

# Programs that their own modules let be installed by name; the others have a module of ours under go/.
MODULES = {
    "kind": "sigs.k8s.io/kind@v0.33.0",
    "helm": "helm.sh/helm/v3/cmd/helm@v3.19.0",
    "minio": "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c",
    "local-path-provisioner": "github.com/rancher/local-path-provisioner@v0.0.30",
}

MODES = ("auto", "build", "pull")


@dataclass(frozen=True)
class Settings:
    """Where things lie and how images are come by.

    Args:
        cache: folder that outlives clusters: binaries, logs, stamps, the kubeconfig. Never inside the repository.
        mode: ``auto``, ``build`` (nothing is ever pulled) or ``pull``.
        root: the repository.
    """

    cache: Path
    mode: str
    root: Path

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads ``MODELYARD_CACHE`` and ``MODELYARD_IMAGES``; raises ``ValueError`` for a mode that there is not."""
        mode = environment.get("MODELYARD_IMAGES") or "auto"
        if mode not in MODES:
            raise ValueError(f"MODELYARD_IMAGES is {mode!r}; it is one of {', '.join(MODES)}")
        cache = environment.get("MODELYARD_CACHE") or "~/.cache/modelyard"
        return cls(Path(cache).expanduser().resolve(), mode, Path(__file__).resolve().parents[2])

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
        return self.cache / "kubeconfig"

    @property
    def architecture(self) -> str:
        return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
