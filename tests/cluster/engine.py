"""The Docker engine: found, installed or started."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.console import Console, Failed, Log, tail
from tests.cluster.settings import Settings
from tests.watcher import unmarked

__all__ = ["Engine", "apt_install", "lacks_sys_resource"]

CAP_SYS_RESOURCE = 24
ANSWER_SECONDS = 60.0
DOCKER_PID = Path("/var/run/docker.pid")
CONTAINERD_PID = Path("/var/run/docker/containerd/containerd.pid")
# Program and the package that has it.
PACKAGES = {"dockerd": "docker.io", "iptables": "iptables"}


def which(name: str) -> str | None:
    """Return the path of a program; looks in the system's folders too, which PATH may omit."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def lacks_sys_resource(status: str | None = None) -> bool:
    """Return whether root lacks CAP_SYS_RESOURCE on this machine; ``status`` is the text of
    ``/proc/self/status``.
    """
    text = Path("/proc/self/status").read_text() if status is None else status
    bounding = next(
        (line.split()[1] for line in text.splitlines() if line.startswith("CapBnd:")), "0"
    )
    return not int(bounding, 16) >> CAP_SYS_RESOURCE & 1


def apt_install(log: Log, packages: Iterable[str]) -> None:
    """Install Debian packages; ``Failed`` without apt or without root."""
    names = sorted(packages)
    if not names:
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Failed(
            f"needs {', '.join(names)}, and can install them only as root where there is apt-get"
        )
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    log.run(["apt-get", "update"], env=env)
    log.run(["apt-get", "install", "-y", "--no-install-recommends", *names], env=env)


class Engine:
    """The engine of this machine, used through its own client."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console

    def answers(self) -> bool:
        """Return whether an engine answers the client now."""
        if not shutil.which("docker"):
            return False
        try:
            done = subprocess.run(
                ["docker", "version", "--format", "{{.Server.Version}}"],
                capture_output=True,
                check=False,
                timeout=20,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def install(self, log: Log) -> None:
        """Install missing parts of the engine and its client."""
        apt_install(log, {package for program, package in PACKAGES.items() if not which(program)})
        if not shutil.which("docker"):
            apt_install(log, ["docker-cli"])

    def start(self, log: Log, wrapper: Path | None) -> None:
        """Start an engine that outlives this process, and wait until it answers.

        Args:
            wrapper: replaces runc if the machine lacks a capability.
        """
        if os.geteuid() != 0:
            raise Failed("no Docker engine answers, and only root can start one")
        dockerd = which("dockerd")
        if dockerd is None:
            raise Failed("there is no dockerd to start")
        if self._comes_up():
            return
        command = [dockerd]
        if wrapper is not None:
            command += ["--add-runtime", f"modelyard={wrapper}", "--default-runtime", "modelyard"]
        daemon_log = self._settings.logs / "dockerd.log"
        log.write("$ " + " ".join(command) + f" >{daemon_log}")
        with daemon_log.open("ab") as out:
            daemon = subprocess.Popen(
                command,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env=unmarked(),
            )
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self.answers():
            if daemon.poll() is not None:
                raise Failed(f"dockerd ended with {daemon.returncode}\n{tail(daemon_log)}")
            if time.monotonic() > deadline:
                raise Failed(
                    f"dockerd does not answer after {ANSWER_SECONDS:.0f} s\n{tail(daemon_log)}"
                )
            time.sleep(0.3)

    def _comes_up(self) -> bool:
        """Wait for a daemon that is starting or ending; return whether it answers. Remove the files
        of a dead one, which would keep the next from starting.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        while daemon_lives(DOCKER_PID, "dockerd"):
            if self.answers():
                return True
            if time.monotonic() > deadline:
                raise Failed(f"a dockerd runs ({DOCKER_PID}) and does not answer")
            time.sleep(0.3)
        DOCKER_PID.unlink(missing_ok=True)
        if not daemon_lives(CONTAINERD_PID, "containerd"):
            CONTAINERD_PID.unlink(missing_ok=True)
        return False

    def read(self, *words: str) -> str | None:
        """Return the output of a docker command, or ``None`` if it fails."""
        if not shutil.which("docker"):
            return None
        done = subprocess.run(["docker", *words], capture_output=True, check=False)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def label(self, image: str, key: str) -> str | None:
        """Return an image's label; empty if it has none, ``None`` if there is no such image."""
        return self.read(
            "image", "inspect", "--format", f'{{{{index .Config.Labels "{key}"}}}}', image
        )

    def image_id(self, image: str) -> str | None:
        """Return an image's id, or ``None`` if there is no such image."""
        return self.read("image", "inspect", "--format", "{{.Id}}", image)


def daemon_lives(pid_file: Path, name: str) -> bool:
    """Return whether the process in a daemon's pid file is that daemon and not a zombie."""
    try:
        stat = Path(f"/proc/{int(pid_file.read_text().strip())}/stat").read_text()
    except (OSError, ValueError):
        return False
    command, _, rest = stat.partition("(")[2].rpartition(")")
    return command == name and rest.split()[0] not in ("Z", "X")
