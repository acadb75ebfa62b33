"""A port of this machine that leads to a Service's pods, by the API server's port-forward: what
`kubectl port-forward service/...` does.

kr8s has one of its own; it takes the pod's port for the Service's, and asks without end and without
a pause when it is refused.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from modelyard.client.errors import NotAllowed, NotFound, Unreachable
from modelyard.client.kube import transport

if TYPE_CHECKING:
    from modelyard.client.kube.kube import Kube
    from modelyard.client.kube.transport import Login

__all__ = ["chosen", "listening", "may_forward", "pod_port", "ready", "selector"]

_PIECE = 32 * 1024
Manifest = dict[str, Any]


def chosen(service: Manifest, pods: Sequence[Manifest], port: int) -> tuple[str, int]:
    """Return a ready pod of a Service, and the pod's port that a port of the Service leads to.

    Raises:
        NotFound: The Service has no such port, or the pod none of that name.
        Unreachable: No pod is ready.

    """
    pod = next((each for each in pods if ready(each)), None)
    if pod is None:
        meta = service["metadata"]
        raise Unreachable(
            f"None of the {len(pods)} pods of the Service {meta['namespace']}/{meta['name']} is"
            " ready."
        )
    return str(pod["metadata"]["name"]), pod_port(service, pod, port)


def selector(service: Manifest) -> str:
    """Return a Service's selector, as a label selector.

    Raises:
        NotFound: It has none, so there is nothing to forward to.

    """
    labels = (service.get("spec") or {}).get("selector") or {}
    if not labels:
        name = service["metadata"]["name"]
        raise NotFound(
            f"The Service {name} selects no pods: there is nothing to forward to.",
            kind="Service",
            name=name,
        )
    return ",".join(f"{key}={value}" for key, value in labels.items())


def may_forward(kube: "Kube", service: str, namespace: str) -> None:
    """Ask whether the user may forward ports.

    Raises:
        NotAllowed: With what to ask for.

    """
    if not kube.can("create", "pods/portforward", namespace=namespace):
        where = f"in the namespace {namespace}"
        text = (
            f"{service} is reached by a port-forward, which is not yours to make: ask for the verb"
            f" create on pods/portforward {where}."
        )
        raise NotAllowed(text, verb="create", resource="pods/portforward", namespace=namespace)


def ready(pod: Manifest) -> bool:
    """Tell whether a pod answers."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ended = pod["metadata"].get("deletionTimestamp")
    return not ended and any(
        each["type"] == "Ready" and each["status"] == "True" for each in conditions
    )


def pod_port(service: Manifest, pod: Manifest, port: int) -> int:
    """Return the port of a pod that a Service's port leads to.

    Raises:
        NotFound: The Service has no such port, or the pod none of that name.

    """
    name = service["metadata"]["name"]
    there = next(
        (each for each in service["spec"].get("ports") or [] if each["port"] == port), None
    )
    if there is None:
        raise NotFound(f"The Service {name} has no port {port}.", kind="Service", name=name)
    target = there.get("targetPort") or port
    if isinstance(target, int):
        return target
    named = {
        each.get("name"): each["containerPort"]
        for one in pod["spec"]["containers"]
        for each in one.get("ports") or []
    }
    if target not in named:
        raise NotFound(
            f"The Service {name} leads to a port {target}, which its pods do not have.",
            kind="Service",
            name=name,
        )
    return int(named[target])


@asynccontextmanager
async def listening(
    to: "Login", namespace: str, service: str, port: int
) -> AsyncGenerator[str, None]:
    """Listen on a free port of this machine; each connection goes to a pod that the Service
    leads to at that moment.
    """

    open_ = set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_.add(task)
        try:
            # A stream that does not come about, or breaks: the local connection ends, as it would
            # without anything in between. Nor is it told when the end of the block cancels it:
            # Python 3.11 would print a trace.
            with suppress(Exception, asyncio.CancelledError):
                pod, target = await _looked_up(to, f"/api/v1/namespaces/{namespace}", service, port)
                await _piped(
                    to, f"/api/v1/namespaces/{namespace}/pods/{pod}", target, reader, writer
                )
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


async def _looked_up(to: "Login", root: str, service: str, port: int) -> tuple[str, int]:
    found = json.loads((await transport.send(to, "GET", f"{root}/services/{service}")).body)
    pods = json.loads(
        (
            await transport.send(
                to, "GET", f"{root}/pods", params={"labelSelector": selector(found)}
            )
        ).body
    )
    return chosen(found, pods["items"], port)


async def _piped(
    to: "Login", path: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Copy both ways until one side ends. Channel 0 is data, 1 is errors; the first message of
    each says which port it is.
    """
    asked: dict[str, Any] = {"params": {"ports": str(port)}, "headers": to.headers({})}
    async with to.api.open_websocket(version="", base=path, url="portforward", **asked) as socket:

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
