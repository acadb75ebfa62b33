"""Base images built from Debian's packages, where none can be pulled."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.cluster.console import Failed, Log
from tests.cluster.engine import Engine, apt_install, which
from tests.cluster.settings import Settings
from tests.cluster.steps import Step, hash_files

__all__ = [
    "DEBIAN",
    "KEY_LABEL",
    "PYTHON",
    "base_steps",
    "build_image",
    "image_done",
    "mirror_of",
    "prune",
]

DEBIAN = "debian:trixie-slim"
PYTHON = "python:3.13-slim"
SUITE = "trixie"
KEY_LABEL = "io.modelyard.cluster.key"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def mirror_of(sources: Iterable[str]) -> str | None:
    """Return the first mirror of Debian in apt's source files, in either of their formats; ``None``
    without one.
    """
    for text in sources:
        for line in text.splitlines():
            found = re.match(r"\s*(?:URIs:|deb\s+(?:\[[^\]]*\]\s*)?)\s*(https?://\S+)", line)
            if found and found[1].rstrip("/").endswith("/debian"):
                return found[1].rstrip("/")
    return None


def apt_sources() -> list[str]:
    folder = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *(sorted(folder.iterdir()) if folder.is_dir() else [])]
    return [file.read_text(errors="replace") for file in files if file.is_file()]


def image_done(engine: Engine, tag: str, *, foreign: bool = False) -> Callable[[str], bool]:
    """Return a step's ``done`` for an image: it exists and was built for the key, or (``foreign``)
    not by us.
    """

    def done(key: str) -> bool:
        label = engine.label(tag, KEY_LABEL)
        return label == key or (foreign and label == "")

    return done


def builder_environment() -> dict[str, str]:
    """Return the environment for the classic builder, which uses local images without asking a
    registry.
    """
    return {"DOCKER_BUILDKIT": "0"}


def build_image(
    log: Log, context: Path, tag: str, key: str, arguments: Mapping[str, str] | None = None
) -> None:
    """Build an image from a folder with a Dockerfile, labelled with its step's key."""
    given = {
        name: os.environ[name]
        for name in ("http_proxy", "https_proxy", "no_proxy")
        if os.environ.get(name)
    }
    words = [
        word
        for name, value in {**given, **(arguments or {})}.items()
        for word in ("--build-arg", f"{name}={value}")
    ]
    log.run(
        ["docker", "build", "--label", f"{KEY_LABEL}={key}", "-t", tag, *words, context],
        env=builder_environment(),
    )


def prune(log: Log) -> None:
    """Remove images of ours whose name belongs to a newer one."""
    log.run(["docker", "image", "prune", "-f", "--filter", f"label={KEY_LABEL}"])


def fresh_context(settings: Settings, name: str) -> Path:
    """Return an empty folder for a build's files."""
    folder = settings.build / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def bootstrap(settings: Settings, log: Log, key: str) -> None:
    """Build Debian's smallest system as an image."""
    if os.geteuid() != 0:
        raise Failed("debootstrap needs root")
    if not which("debootstrap"):
        apt_install(log, ["debootstrap"])
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        apt_install(log, ["debian-archive-keyring"])
    target = settings.build / "debian"
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    program = which("debootstrap") or "debootstrap"
    mirror = mirror_of(apt_sources())  # without a mirror, debootstrap uses Debian's own
    log.run(
        [
            program,
            "--variant=minbase",
            "--include=ca-certificates",
            SUITE,
            target,
            *([mirror] if mirror else []),
        ]
    )
    for waste in (
        "var/cache/apt/archives",
        "var/lib/apt/lists",
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
    ):
        shutil.rmtree(target / waste, ignore_errors=True)
    (target / "var/cache/apt/archives/partial").mkdir(parents=True)
    (target / "var/lib/apt/lists/partial").mkdir(parents=True)
    shutil.copyfile(BUNDLE, target / "etc/ssl/certs/ca-certificates.crt")
    import_image(log, target, DEBIAN, key, 'CMD ["bash"]')
    shutil.rmtree(target, ignore_errors=True)


def import_image(log: Log, folder: Path, tag: str, key: str, *changes: str) -> None:
    """Import a folder as an image."""
    words = [
        word for change in (f"LABEL {KEY_LABEL}={key}", *changes) for word in ("--change", change)
    ]
    log.write(f"$ tar -C {folder} -c . | docker import {tag}")
    packed = subprocess.Popen(
        ["tar", "-C", str(folder), "--numeric-owner", "-c", "."], stdout=subprocess.PIPE
    )
    log.run(["docker", "import", *words, "-", tag], stdin=packed.stdout)
    if packed.wait():
        raise Failed(f"tar ended with {packed.returncode}")


def pip_configuration() -> str:
    """Return the machine's package index as a pip.conf; empty for the default one."""
    if index := os.environ.get("PIP_INDEX_URL"):
        return f"[global]\nindex-url = {index}\n"
    conf = Path("/etc/pip.conf")
    return conf.read_text() if conf.exists() else ""


def python_base(settings: Settings, log: Log, key: str) -> None:
    context = fresh_context(settings, "python")
    shutil.copyfile(settings.here / "bases" / "python.Dockerfile", context / "Dockerfile")
    shutil.copyfile(BUNDLE, context / "ca-certificates.crt")
    (context / "pip.conf").write_text(pip_configuration())
    build_image(log, context, PYTHON, key)


def base_steps(settings: Settings, engine: Engine) -> list[Step]:
    """Return the steps for stand-ins of the public base images. An existing image that is not ours
    is left alone.
    """
    bases = settings.here / "bases"
    return [
        Step(
            "debian",
            lambda log, key: bootstrap(settings, log, key),
            image_done(engine, DEBIAN, foreign=True),
            inputs=(SUITE, "2"),
            after=("engine",),
            doing=f"building {DEBIAN} with debootstrap from {SUITE}",
        ),
        Step(
            "python",
            lambda log, key: python_base(settings, log, key),
            image_done(engine, PYTHON, foreign=True),
            inputs=(
                hash_files([bases], bases),
                hash_files([BUNDLE], Path("/")) if BUNDLE.exists() else "",
                pip_configuration(),
            ),
            after=("debian",),
            doing=f"building {PYTHON} with Debian's own Python",
        ),
    ]
