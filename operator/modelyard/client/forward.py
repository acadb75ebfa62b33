"""A port of this machine that leads to a Service's pods, by the API server's port-forward: what `kubectl port-forward service/...` does.

kr8s has one of its own; it takes the pod's port for the Service's, and asks without end and without a pause when it is refused.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from modelyard.client.errors import NotAllowed, NotFound, Unreachable

if TYPE_CHECKING:
    from modelyard.client.kube import Kube
    from modelyard.client.transport import Login

__all__ = ["chosen", "listening", "pod_port", "ready"]

_PIECE = 32 * 1024
Manifest = dict[str, Any]


def chosen(kube: "Kube", service: str, port: int, namespace: str) -> tuple[str, int]:
    """Return a ready pod of a Service and its port; see `Kube.forward` for what is raised."""
    body = kube.get("Service", service, namespace)
    selector = (body.get("spec") or {}).get("selector") or {}
    if not selector:
        raise NotFound(f"The Service {namespace}/{service} selects no pods: there is nothing to forward to.", kind="Service", name=service)
    pods = kube.list("Pod", namespace, labels=",".join(f"{key}={value}" for key, value in selector.items()))
    pod = next((each for each in pods if ready(each)), None)
    if pod is None:
        raise Unreachable(f"None of the {len(pods)} pods of the Service {namespace}/{service} is ready.")
    if not kube.can("create", "pods/portforward", namespace=namespace):
        where = f"in the namespace {namespace}"
        text = (
            f"{service} is reached by a port-forward, which you may not make {where}. Ask for the verb create on pods/portforward {where}."
        )
        raise NotAllowed(text, verb="create", resource="pods/portforward", namespace=namespace)
    return pod["metadata"]["name"], pod_port(body, pod, port)


def ready(pod: Manifest) -> bool:
    """Tell whether a pod answers."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ended = pod["metadata"].get("deletionTimestamp")
    return not ended and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def pod_port(service: Manifest, pod: Manifest, port: int) -> int:
    """Return the port of a pod that a Service's port leads to.

    Raises:
        NotFound: The Service has no such port, or the pod none of that name.

    """
    name = service["metadata"]["name"]
    there = next((each for each in service["spec"].get("ports") or [] if each["port"] == port), None)
    if there is None:
        raise NotFound(f"The Service {name} has no port {port}.", kind="Service", name=name)
    target = there.get("targetPort") or port
    if isinstance(target, int):
        return target
    named = {each.get("name"): each["containerPort"] for one in pod["spec"]["containers"] for each in one.get("ports") or []}
    if target not in named:
        raise NotFound(f"The Service {name} leads to a port {target}, which its pods do not have.", kind="Service", name=name)
    return int(named[target])


@asynccontextmanager
async def listening(to: "Login", namespace: str, pod: str, port: int) -> AsyncGenerator[str, None]:
    """Listen on a free port of this machine; each connection gets a stream of its own to the pod's port."""

    open_ = set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_.add(task)
        try:
            # A stream that does not come about, or breaks: the local connection ends, as it would without anything in between.
            with suppress(Exception):
                await _piped(to, f"/api/v1/namespaces/{namespace}/pods/{pod}", port, reader, writer)
        finally:
            open_.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname())
    finally:
        server.close()
        for task in tuple(open_):
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)


async def _piped(to: "Login", path: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy both ways until one side ends. Channel 0 is data, 1 is errors; the first message of each says which port it is."""
    async with to.api.open_websocket(version="", base=path, url="portforward", params={"ports": str(port)}) as socket:

        async def outward() -> None:
            while piece := await reader.read(_PIECE):
                await socket.send_bytes(b"\x00" + piece)

        async def inward() -> None:
            begun = set[int]()
            while message := await socket.receive_bytes():
                channel, data = message[0], message[1:]
                if channel in begun and channel == 0:
                    writer.write(data)
                    await writer.drain()
                elif channel in begun and data:
                    return
                begun.add(channel)

        ways = [asyncio.create_task(outward()), asyncio.create_task(inward())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
