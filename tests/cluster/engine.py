"""The Docker engine: found, installed or started. Images and clusters do not belong here."""

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
# The program looked for, and the package that has it.
PACKAGES = {"dockerd": "docker.io", "iptables": "iptables"}


def which(name: str) -> str | None:
    """The path of a program; looks in the folders of the system's programs too, which a PATH may
    leave out.
    """
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def lacks_sys_resource(status: str | None = None) -> bool:
    """Whether this machine keeps CAP_SYS_RESOURCE from root; ``status`` is the text of
    ``/proc/self/status``.
    """
    text = Path("/proc/self/status").read_text() if status is None else status
    bounding = next(
        (line.split()[1] for line in text.splitlines() if line.startswith("CapBnd:")), "0"
    )
    return not int(bounding, 16) >> CAP_SYS_RESOURCE & 1


def apt_install(log: Log, packages: Iterable[str]) -> None:
    """Installs Debian packages; ``Failed`` where there is no apt, or no root to use it."""
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
    """The engine of one machine, reached through its own client."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console

    def answers(self) -> bool:
        """Whether an engine answers the client now."""
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
        """Installs what the machine lacks of the engine and its client."""
        apt_install(log, {package for program, package in PACKAGES.items() if not which(program)})
        if not shutil.which("docker"):
            apt_install(log, ["docker-cli"])

    def start(self, log: Log, wrapper: Path | None) -> None:
        """Starts an engine that outlives this process and waits until it answers.

        Args:
            wrapper: what containers are run with instead of runc, where the machine lacks a
                capability.
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
        """Waits for a daemon that is starting or ending; whether it answers. Removes what a dead
        one left, which would keep the next from starting."""
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
        """The output of a docker command, or ``None`` when it fails."""
        if not shutil.which("docker"):
            return None
        done = subprocess.run(["docker", *words], capture_output=True, check=False)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def label(self, image: str, key: str) -> str | None:
        """An image's label; empty when it has none, ``None`` when there is no such image."""
        return self.read(
            "image", "inspect", "--format", f'{{{{index .Config.Labels "{key}"}}}}', image
        )

    def image_id(self, image: str) -> str | None:
        """An image's id, or ``None`` when there is no such image."""
        return self.read("image", "inspect", "--format", "{{.Id}}", image)


def daemon_lives(pid_file: Path, name: str) -> bool:
    """Whether the process that a daemon's pid file names is that daemon, and not a dead one that
    nobody has buried.
    """
    try:
        stat = Path(f"/proc/{int(pid_file.read_text().strip())}/stat").read_text()
    except (OSError, ValueError):
        return False
    command, _, rest = stat.partition("(")[2].rpartition(")")
    return command == name and rest.split()[0] not in ("Z", "X")
