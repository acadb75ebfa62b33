"""etcd and kube-apiserver as plain processes, for tests that need an API server and no kubelet.

    with running() as server:
        ...  # server.kubeconfig is the path of an administrator's kubeconfig

Everything is in one temporary folder and is removed with the block. Pods are accepted and never
run; Services get addresses without a server. Without ``controllers`` nothing collects garbage
and a namespace's deletion does not end.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.bringup import Bringup
from tests.cluster.console import Console, Failed, tail
from tests.cluster.settings import Settings

__all__ = ["ApiServer", "kill", "running"]

START_SECONDS = 240.0  # four seconds alone; the tests may share their machine
STOP_SECONDS = 15.0
# The controllers that an operator's owned objects need; no pod becomes ready.
CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "ttl-after-finished-controller",
)


@dataclass(frozen=True)
class ApiServer:
    """A running API server.

    Args:
        url: its address on the loopback.
        kubeconfig: an administrator's.
        token: the administrator's bearer token.
        ca: its certificate, which is also its authority's.
        folder: where its logs lie: ``etcd.log``, ``kube-apiserver.log``,
            ``kube-controller-manager.log``.
    """

    url: str
    kubeconfig: Path
    token: str
    ca: Path
    folder: Path


# Below the kernel's range of ephemeral ports: a server may take seconds until it listens on its
# port, and by then another process could have it.
PORTS = range(12_000, 30_000)


def free_ports(count: int) -> list[int]:
    """Return this many different unused ports of the loopback."""
    found: list[int] = []
    while len(found) < count:
        port = PORTS[secrets.randbelow(len(PORTS))]
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            found += [port] * (port not in found)
    return found


def kubeconfig(url: str, ca: bytes, token: str) -> str:
    """Return a kubeconfig; JSON is YAML."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "api",
                    "cluster": {
                        "server": url,
                        "certificate-authority-data": base64.b64encode(ca).decode(),
                    },
                }
            ],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "api", "context": {"cluster": "api", "user": "admin"}}],
            "current-context": "api",
        }
    )


class Processes:
    """Processes with a log each, stopped in reverse order."""

    def __init__(self, folder: Path, stop_seconds: float = STOP_SECONDS) -> None:
        self._folder = folder
        self._stop_seconds = stop_seconds
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, command: Sequence[str | Path]) -> None:
        words = [str(word) for word in command]
        name = Path(words[0]).name
        with (self._folder / f"{name}.log").open("wb") as out:
            process = subprocess.Popen(
                words,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
            )
        self._started.append((name, process))

    def check(self) -> None:
        """Raise ``Failed`` with the end of its log if a process has ended."""
        for name, process in self._started:
            if process.poll() is not None:
                raise Failed(
                    f"{name} ended with {process.returncode}\n{tail(self._folder / f'{name}.log')}"
                )

    def end(self) -> None:
        for _, process in reversed(self._started):
            process.terminate()
            try:
                process.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answers(url: str, ca: Path, token: str) -> bool:
    """Return whether the server is ready to serve everything."""
    if not ca.exists():
        return False
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {token}"})
    secure = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ca)))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), secure)
    try:
        with opener.open(request, timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def write_keys(folder: Path, token: str) -> None:
    """Write the administrator's token, and the key that signs service accounts' tokens."""
    (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
    (folder / "tokens.csv").chmod(0o600)
    done = subprocess.run(
        ["openssl", "genrsa", "-out", str(folder / "service-accounts.key"), "2048"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"openssl: {done.stderr.decode()}")


def apiserver_command(
    binary: Path, folder: Path, port: int, etcd: int, extra: Sequence[str]
) -> list[str | Path]:
    """Return the API server's command: all admission plugins of a real one, no audit, no rate
    limits.
    """
    key = folder / "service-accounts.key"
    return [
        binary,
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--cert-dir={folder}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        *extra,
    ]


def controllers_command(binary: Path, folder: Path) -> list[str | Path]:
    config = folder / "kubeconfig"
    return [
        binary,
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--controllers={','.join(CONTROLLERS)}",
        f"--service-account-private-key-file={folder / 'service-accounts.key'}",
        f"--root-ca-file={folder / 'apiserver.crt'}",
        "--leader-elect=false",
        # As on a real cluster: policies distinguish the controllers by their accounts.
        "--use-service-account-credentials=true",
        "--secure-port=0",
        "--concurrent-gc-syncs=5",
    ]


@contextlib.contextmanager
def running(controllers: bool = False, arguments: Sequence[str] = ()) -> Iterator[ApiServer]:
    """Run an API server for the duration of a block; build its programs first if they are missing.

    Args:
        controllers: also run the controllers that collect garbage, end namespaces and their like.
        arguments: further arguments of kube-apiserver.

    Raises:
        Failed: a program ended, or the server is not ready in START_SECONDS; the message holds the
            end of its log.
    """
    settings = Settings.read()
    binaries = settings.bin
    if not all(
        (binaries / name).exists() for name in ("etcd", "kube-apiserver", "kube-controller-manager")
    ):
        Bringup(settings, Console(sys.stderr)).programs(["etcd", "kube"])
    folder = Path(tempfile.mkdtemp(prefix="modelyard-api-"))
    processes = Processes(folder)
    try:
        client, peer, port = free_ports(3)
        token = secrets.token_urlsafe(24)
        write_keys(folder, token)
        processes.start(etcd_command(binaries / "etcd", folder, client, peer))
        # The plugin refuses a pod whose service account is missing, and only the controllers create
        # a namespace's own.
        extra = [] if controllers else ["--disable-admission-plugins=ServiceAccount"]
        processes.start(
            apiserver_command(
                binaries / "kube-apiserver", folder, port, client, [*extra, *arguments]
            )
        )
        server = ApiServer(
            f"https://127.0.0.1:{port}",
            folder / "kubeconfig",
            token,
            folder / "apiserver.crt",
            folder,
        )
        wait_ready(server, processes)
        server.kubeconfig.write_text(kubeconfig(server.url, server.ca.read_bytes(), token))
        server.kubeconfig.chmod(0o600)
        if controllers:
            processes.start(controllers_command(binaries / "kube-controller-manager", folder))
        yield server
    finally:
        processes.end()
        shutil.rmtree(folder, ignore_errors=True)


def kill(server: ApiServer) -> list[str]:
    """Kill the server's process, found by its folder, but not etcd; return its command line, which
    restarts it.
    """
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode().rstrip("\0").split("\0")
        except OSError:
            continue
        if words[0].endswith("/kube-apiserver") and f"--cert-dir={server.folder}" in words:
            os.kill(int(entry.name), signal.SIGKILL)
            return words
    raise Failed("no API server runs there")


def etcd_command(binary: Path, folder: Path, client: int, peer: int) -> list[str | Path]:
    """Return etcd's command, for temporary data: it does not wait for the disk."""
    return [
        binary,
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--log-level=warn",
    ]


def wait_ready(server: ApiServer, processes: Processes) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(server.url, server.ca, server.token):
        processes.check()
        if time.monotonic() > deadline:
            raise Failed(
                f"kube-apiserver is not ready after {START_SECONDS:.0f} s\n"
                f"{tail(server.folder / 'kube-apiserver.log')}"
            )
        time.sleep(0.05)
