"""A small API server that forwards ports, which a real one without a kubelet cannot do.

It has a Service, its pods, and streams to a local port as the kubelet does. `test_on_cluster` tests
the same on a real cluster.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

from tests.cluster.apiserver import kubeconfig
from tests.harness import until

__all__ = ["Kubelet", "kubelet"]

ROOT = "/api/v1/namespaces/n"


class Kubelet:
    """The application. Attributes may be changed while it runs."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.allowed = True
        self.ready = {"p-1": True}
        self.asked: list[str] = []
        self.acting: set[tuple[str, ...]] = set()
        """The impersonated user of each request, by its headers."""
        self.url = ""

    def kubeconfig(self, folder: Path) -> str:
        (folder / "config").write_text(
            kubeconfig(self.url, b"", "token").replace(
                '"certificate-authority-data": ""', '"x": ""'
            )
        )
        return str(folder / "config")

    def pods(self) -> list[dict[str, Any]]:
        return [
            {
                "metadata": {"name": name, "namespace": "n"},
                "spec": {
                    "containers": [{"ports": [{"name": "http", "containerPort": self.target}]}]
                },
                "status": {"conditions": [{"type": "Ready", "status": str(ready)}]},
            }
            for name, ready in self.ready.items()
        ]

    async def __call__(self, scope, receive, send) -> None:
        named = sorted(
            b": ".join(each).decode()
            for each in scope["headers"]
            if each[0].startswith(b"impersonate-")
        )
        self.acting.add((scope["type"], *named))
        if scope["type"] == "websocket":
            await self.forward(scope, receive, send)
            return
        while (await receive()).get("more_body"):
            pass
        path = scope["path"]
        body: dict[str, Any] = {"status": {"allowed": self.allowed}}
        if path == f"{ROOT}/services/s":
            body = {"metadata": {"name": "s", "namespace": "n"}}
            body["spec"] = {"selector": {"app": "s"}, "ports": [{"port": 80, "targetPort": "http"}]}
        elif path == f"{ROOT}/pods":
            body = {"items": self.pods(), "metadata": {}}
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    async def forward(self, scope, receive, send) -> None:
        """Forward a port: channel 0 is data, 1 is errors; the first message of each has the
        port.
        """
        self.asked.append(scope["path"])
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        port = self.target.to_bytes(2, "little")
        for channel in (b"\x00", b"\x01"):
            await send({"type": "websocket.send", "bytes": channel + port})
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)

        async def inward() -> None:
            while piece := await reader.read(20_000):
                await send({"type": "websocket.send", "bytes": b"\x00" + piece})

        async def outward() -> None:
            while (message := await receive())["type"] == "websocket.receive":
                assert message["bytes"][0] == 0
                writer.write(message["bytes"][1:])
                await writer.drain()

        ways = [asyncio.create_task(inward()), asyncio.create_task(outward())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.close()
        with suppress(Exception):
            await send({"type": "websocket.close"})


@contextmanager
def kubelet(target: int) -> Iterator[Kubelet]:
    """Run one, in front of a port of this machine."""
    app = Kubelet(target)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, ws="wsproto", lifespan="off", log_level="error")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until(lambda: server.started, "it listens")
        app.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield app
    finally:
        server.should_exit = True
        thread.join(20)
