"""The node image: a kind node of our own with the images of the control plane in it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.bases import DEBIAN, KEY_LABEL, build_image, fresh_context, image_done
from tests.cluster.console import Failed, Log
from tests.cluster.engine import Engine
from tests.cluster.gobuild import KUBE_NAMES
from tests.cluster.settings import KUBERNETES, NODE_IMAGE, Settings
from tests.cluster.steps import Step, hash_files

__all__ = ["node_steps", "pick_images"]

KUBE = "modelyard/kube:cluster"
ETCD = "modelyard/etcd:cluster"
COREDNS = "modelyard/coredns:cluster"
PAUSE = "modelyard/pause:cluster"
STORAGE = "modelyard/local-path-provisioner:cluster"
BARE = "modelyard/node-bare:cluster"
# Images that are one program and its Dockerfile.
SINGLE = {ETCD: "etcd", COREDNS: "coredns", PAUSE: "pause", STORAGE: "local-path-provisioner"}
IMPORT_SECONDS = 30.0


def pick_images(listed: Iterable[str]) -> dict[str, str]:
    """Return our stand-in for each image that kubeadm lists, by the last part of its name;
    ``Failed`` for a missing one.
    """
    ours = dict.fromkeys(KUBE_NAMES, KUBE) | {"etcd": ETCD, "coredns": COREDNS, "pause": PAUSE}
    out: dict[str, str] = {}
    for reference in listed:
        name = reference.rsplit("/", 1)[-1].split(":")[0]
        if name not in ours:
            raise Failed(f"kubeadm wants {reference}, and nothing here stands in for it")
        out[reference] = ours[name]
    return out


def kubeadm_images(settings: Settings, log: Log) -> dict[str, str]:
    listed = log.read(
        [settings.bin / "kubeadm", "config", "images", "list", "--kubernetes-version", KUBERNETES]
    )
    return pick_images(listed.split())


def build_single(settings: Settings, log: Log, key: str, tag: str, program: str) -> None:
    context = fresh_context(settings, f"image-{program}")
    shutil.copyfile(settings.here / "bases" / f"{program}.Dockerfile", context / "Dockerfile")
    shutil.copy2((settings.bin / program).resolve(), context / program)
    build_image(log, context, tag, key)


def build_bare(settings: Settings, log: Log, key: str) -> None:
    """Gather the files that the node's Dockerfile copies, and build it."""
    source, context = settings.here / "node", fresh_context(settings, "node")
    pause = next(
        reference for reference, image in kubeadm_images(settings, log).items() if image == PAUSE
    )

    def put(name: str | Path, to: str, mode: int = 0o644) -> Path:
        target = context / to
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
        target.chmod(mode)
        return target

    put("Dockerfile", "Dockerfile")
    for unit in ("containerd.service", "kubelet.service", "kubelet.slice"):
        put(unit, f"units/{unit}")
    config = put("containerd.toml", "etc/containerd/config.toml")
    config.write_text(config.read_text().replace("@PAUSE@", pause))
    put("cni.conflist", "etc/cni/net.d/10-modelyard.conflist")
    put("storage.yaml", "kind/manifests/default-storage.yaml")
    (context / "kind" / "version").write_text(KUBERNETES)
    put("entrypoint", "local/bin/entrypoint", 0o755)
    put("kubelet-cgroup", "local/bin/kubelet-cgroup", 0o755)
    put(settings.bin / "modelyard-runc", "local/sbin/modelyard-runc", 0o755)
    for program in ("kubeadm", "kubectl"):
        put(settings.bin / program, f"bin/{program}", 0o755)
    put(settings.bin / "kube", "bin/kubelet", 0o755)
    build_image(log, context, BARE, key)


def import_images(settings: Settings, engine: Engine, log: Log, key: str) -> None:
    """Load the images into the node's own store, in a container of it, and commit the container as
    the node image.
    """
    stands_in = kubeadm_images(settings, log)
    for reference, image in stands_in.items():
        log.run(["docker", "tag", image, reference])
    saved = settings.build / "node-images.tar"
    log.run(["docker", "save", "-o", saved, *stands_in, DEBIAN, STORAGE])
    container = "modelyard-node-build"
    log.run(["docker", "rm", "-f", container]) if engine.read("inspect", container) else None
    try:
        log.run(
            [
                "docker",
                "run",
                "-d",
                "--privileged",
                "--net",
                "none",
                "--name",
                container,
                "--entrypoint",
                "sleep",
                BARE,
                "3600",
            ]
        )
        log.run(["docker", "exec", "-d", container, "containerd"])
        deadline = time.monotonic() + IMPORT_SECONDS
        while subprocess.run(
            ["docker", "exec", container, "ctr", "version"], capture_output=True, check=False
        ).returncode:
            if time.monotonic() > deadline:
                raise Failed("containerd does not start in the node")
            time.sleep(0.3)
        # Unpacked at first use only: a snapshot in an image's layer could not be mounted again.
        with saved.open("rb") as archive:
            log.run(
                [
                    "docker",
                    "exec",
                    "-i",
                    container,
                    "ctr",
                    "-n",
                    "k8s.io",
                    "images",
                    "import",
                    "--no-unpack",
                    "-",
                ],
                stdin=archive,
            )
        log.run(["docker", "exec", container, "pkill", "-TERM", "-x", "containerd"])
        log.run(["docker", "stop", "-t", "5", container])
        changes = [
            f"LABEL {KEY_LABEL}={key}",
            'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]',
            "CMD []",
        ]
        log.run(
            [
                "docker",
                "commit",
                *(word for change in changes for word in ("--change", change)),
                container,
                NODE_IMAGE,
            ]
        )
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", container], capture_output=True, check=False)
        saved.unlink(missing_ok=True)


def single_step(settings: Settings, engine: Engine, tag: str, program: str) -> Step:
    dockerfile = settings.here / "bases" / f"{program}.Dockerfile"
    return Step(
        f"image-{program}",
        lambda log, key: build_single(settings, log, key, tag, program),
        image_done(engine, tag),
        inputs=(hash_files([dockerfile], dockerfile.parent),),
        after=("engine", program, *(("debian",) if program == "kube" else ())),
        doing=f"building the image of {program}",
    )


def node_steps(settings: Settings, engine: Engine) -> list[Step]:
    """Return the steps for the images of the control plane and for the node that contains them."""
    images = {**SINGLE, KUBE: "kube"}
    node = settings.here / "node"
    return [
        *(single_step(settings, engine, tag, program) for tag, program in images.items()),
        Step(
            "node-bare",
            lambda log, key: build_bare(settings, log, key),
            image_done(engine, BARE),
            inputs=(hash_files([node], node), KUBERNETES),
            after=("debian", "kube", "kubeadm", "kubectl", "modelyard-runc"),
            doing="building the node: systemd, containerd and the kubelet on Debian",
        ),
        Step(
            "node",
            lambda log, key: import_images(settings, engine, log, key),
            image_done(engine, NODE_IMAGE),
            after=("node-bare", *(f"image-{program}" for program in images.values())),
            doing=f"adding the control plane's images to {NODE_IMAGE}",
        ),
    ]
