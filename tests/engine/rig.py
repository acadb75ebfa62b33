"""A real API server with the toy's CRD, operators as separate processes, and a user."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml

from modelyard.engine.report import conditions_of
from modelyard.plan import Manifest
from tests.cluster.apiserver import ApiServer
from tests.engine.toy import manifest

__all__ = ["Operator", "User", "operator", "until", "user"]

ROOT = Path(__file__).parents[2]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OURS = "/apis/modelyard.io/v1alpha1"
FAST = {
    "MODELYARD_LEASE_DURATION": "4",
    "MODELYARD_LEASE_DEADLINE": "2.5",
    "MODELYARD_LEASE_PERIOD": "0.5",
}

T = TypeVar("T")


async def until(condition: Callable[[], Awaitable[T | None]], what: str, seconds: float = 180) -> T:
    """Return the first value of a condition that is neither None nor False; fail on a timeout."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                value = await condition()
                if value is not None and value is not False:
                    return value
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{what}: not in {seconds:g} s") from None


@dataclass
class User:
    """A user with a separate client."""

    session: aiohttp.ClientSession

    async def request(
        self, method: str, path: str, body: Any = None, media: str = "application/json"
    ) -> tuple[int, Manifest]:
        data = None if body is None else json.dumps(body)
        async with self.session.request(
            method, path, data=data, headers={"Content-Type": media}
        ) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else {"message": text}

    async def must(
        self, method: str, path: str, body: Any = None, media: str = "application/json"
    ) -> Manifest:
        status, answer = await self.request(method, path, body, media)
        assert status < 300, f"{method} {path}: {answer}"
        return answer

    async def install(self) -> None:
        """Install the toy's CRD; return when it is served."""
        await self.must("POST", CRDS, yaml.safe_load((ROOT / "tests/engine/crd.yaml").read_text()))
        await until(self._served, "the toy is served")

    async def _served(self) -> bool:
        return (await self.request("GET", f"{OURS}/experiments"))[0] == 200

    async def namespace(self, name: str) -> None:
        await self.must("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    async def takes_pods(self, name: str) -> None:
        """Wait until pods can be created in a namespace: they need its service account."""

        async def has_account() -> bool:
            path = f"/api/v1/namespaces/{name}/serviceaccounts/default"
            return (await self.request("GET", path))[0] == 200

        await until(has_account, f"{name} has a service account")

    def path(self, name: str = "", namespace: str = "risk") -> str:
        return f"{OURS}/namespaces/{namespace}/experiments" + (f"/{name}" if name else "")

    async def create(self, name: str, namespace: str = "risk", **spec: Any) -> Manifest:
        return await self.must(
            "POST", self.path(namespace=namespace), manifest(name, namespace, **spec)
        )

    async def get(self, name: str, namespace: str = "risk") -> Manifest | None:
        status, body = await self.request("GET", self.path(name, namespace))
        return body if status == 200 else None

    async def patch(self, name: str, patch: Manifest, namespace: str = "risk") -> Manifest:
        return await self.must(
            "PATCH", self.path(name, namespace), patch, "application/merge-patch+json"
        )

    async def delete(self, name: str, namespace: str = "risk") -> None:
        await self.must("DELETE", self.path(name, namespace))

    async def toys(self) -> list[Manifest]:
        return list((await self.must("GET", f"{OURS}/experiments"))["items"])

    async def clear(self) -> None:
        """Remove all toys with their finalizers."""
        for body in await self.toys():
            meta = body["metadata"]
            if meta.get("finalizers"):
                await self.patch(
                    meta["name"], {"metadata": {"finalizers": None}}, meta["namespace"]
                )
            await self.request("DELETE", self.path(meta["name"], meta["namespace"]))

    async def config_map(self, name: str, namespace: str = "risk") -> Manifest | None:
        status, body = await self.request(
            "GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        )
        return body if status == 200 else None

    async def ready(
        self, name: str, namespace: str = "risk", value: str | None = None, seconds: float = 180
    ) -> Manifest:
        """Wait until the operator has carried out the spec."""

        async def is_ready() -> Manifest | None:
            body = await self.get(name, namespace)
            status = (body or {}).get("status") or {}
            if body is None or status.get("observedGeneration") != body["metadata"]["generation"]:
                return None
            said = value is None or status.get("value") == value
            return (
                body
                if said and conditions_of(status).get("Ready", {}).get("status") == "True"
                else None
            )

        return await until(is_ready, f"{name} is ready", seconds)

    async def gone(self, name: str, namespace: str = "risk") -> None:
        async def is_gone() -> bool:
            return await self.get(name, namespace) is None

        await until(is_gone, f"{name} is gone")

    async def holder(self) -> str | None:
        """Return the holder of the lease; None if there is none."""
        path = "/apis/coordination.k8s.io/v1/namespaces/modelyard-system/leases/modelyard"
        status, body = await self.request("GET", path)
        return (body["spec"].get("holderIdentity") or None) if status == 200 else None


@asynccontextmanager
async def user(server: ApiServer) -> AsyncIterator[User]:
    """A user for the length of a block."""
    tls = ssl.create_default_context(cafile=str(server.ca))
    headers = {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(
        server.url, headers=headers, connector=aiohttp.TCPConnector(ssl=tls)
    ) as session:
        yield User(session)


@dataclass
class Operator:
    """An operator's process."""

    process: asyncio.subprocess.Process
    log: list[str] = field(default_factory=list)

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode().rstrip())

    async def says(self, words: str, seconds: float = 180) -> str:
        """Wait for a log line with these words, and return it."""

        async def said() -> str | None:
            return next((line for line in self.log if words in line), None)

        try:
            return await until(said, f"the operator says {words!r}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said\n" + "\n".join(self.log[-30:])) from None

    async def page(self, path: str) -> tuple[int, str]:
        """Get one of its pages."""
        line = await self.says("Serving /healthz")
        port = int(line.rsplit(":", 1)[1])
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{port}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def ended(self, seconds: float = 180) -> int:
        """Wait until the process exits; return its exit code."""
        try:
            async with asyncio.timeout(seconds):
                return await self.process.wait()
        except TimeoutError:
            raise AssertionError("it does not end; it said\n" + "\n".join(self.log[-50:])) from None

    async def stop(self) -> int:
        """Send SIGTERM, as Kubernetes does."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        await self.ended()


@asynccontextmanager
async def operator(
    kubeconfig: Path,
    identity: str = "one",
    module: str = "tests.engine.toy_operator",
    **settings: str,
) -> AsyncIterator[Operator]:
    """Run an operator for the length of a block, then kill what is left of it."""
    environment = os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT}",
        "MODELYARD_LOG_FORMAT": "text",
        "MODELYARD_LISTEN_HOST": "127.0.0.1",
        "MODELYARD_LISTEN_HEALTH": "0",
        "MODELYARD_LISTEN_METRICS": "0",
        "MODELYARD_LEASE_IDENTITY": identity,
        **FAST,
        **settings,
    }
    arguments = ("run",) if module == "modelyard" else ()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    made = Operator(process)
    reader = asyncio.create_task(made.read())
    try:
        yield made
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reader
