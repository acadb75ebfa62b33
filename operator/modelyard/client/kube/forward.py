"""Port-forwards to the pods of a Service, as `kubectl port-forward service/...` does.

kr8s has port-forwards too, but takes the Service's port for the pod's, and retries forever without
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
    """Return the name of a ready pod of a Service, and its port for a port of the Service.

    Raises:
        NotFound: The Service has no such port, or the pod has no port of the target's name.
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
        NotFound: The Service has no selector, so that there is nothing to forward to.

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
    """Check that the user may forward ports.

    Raises:
        NotAllowed: The user lacks the verb `create` on `pods/portforward`.

    """
    if not kube.can("create", "pods/portforward", namespace=namespace):
        where = f"in the namespace {namespace}"
        text = (
            f"{service} is reached by a port-forward, which you may not create. Ask for the verb"
            f" create on pods/portforward {where}."
        )
        raise NotAllowed(text, verb="create", resource="pods/portforward", namespace=namespace)


def ready(pod: Manifest) -> bool:
    """Tell whether a pod is ready and not being deleted."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ended = pod["metadata"].get("deletionTimestamp")
    return not ended and any(
        each["type"] == "Ready" and each["status"] == "True" for each in conditions
    )


def pod_port(service: Manifest, pod: Manifest, port: int) -> int:
    """Return the port of a pod for a Service's port.

    Raises:
        NotFound: The Service has no such port, or the pod has no port of the target's name.

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
            f"The Service {name} targets a port {target}, which its pods do not have.",
            kind="Service",
            name=name,
        )
    return int(named[target])


@asynccontextmanager
async def listening(
    to: "Login", namespace: str, service: str, port: int
) -> AsyncGenerator[str, None]:
    """Listen on a free local port. Each connection goes to a pod that is ready at that time.

    Yields:
        The local address, such as `127.0.0.1:40123`.

    """
    open_ = set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_.add(task)
        try:
            # If the stream to the pod fails, the local connection is closed, as it would be without
            # a forward. Cancellation at the end of the block is suppressed too, since Python 3.11
            # would print a traceback.
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
    answer = await transport.send(to, "GET", f"{root}/services/{service}")
    found = json.loads(answer.body)
    labels = {"labelSelector": selector(found)}
    pods = json.loads((await transport.send(to, "GET", f"{root}/pods", params=labels)).body)
    return chosen(found, pods["items"], port)


async def _piped(
    to: "Login", path: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Copy in both directions until one side ends.

    Channel 0 carries data and channel 1 errors. The first message of each contains its port.
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
