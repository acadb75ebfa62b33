"""Many Experiments on an API server: created, changed one at a time, watched, and removed."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import yaml

from tests.cluster.apiserver import ApiServer
from tests.cluster.settings import Settings
from tests.engine.rig import until

__all__ = ["Api", "Crowd", "Watcher", "api"]

OURS = "/apis/modelyard.io/v1alpha1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MERGE = "application/merge-patch+json"
AT_ONCE = 20
# A namespace is a tenant: a cluster has several, and none of them gets all of the operator's
# workers.
NAMESPACES = tuple(f"bench-{number}" for number in range(10))
SYSTEM = "modelyard-system"

Body = dict[str, Any]
Key = tuple[str, str]


class Api:
    """An administrator's client."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(
        self, method: str, path: str, body: Any = None, media: str = "application/json"
    ) -> Body:
        data = None if body is None else json.dumps(body)
        async with self.session.request(
            method, path, data=data, headers={"Content-Type": media}
        ) as answer:
            found = await answer.json()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {found.get('message')}")
            return dict(found)

    async def all(self, work: Iterable[Coroutine[Any, Any, Any]]) -> None:
        """Run all calls, this many at a time."""
        todo = iter(work)

        async def worker() -> None:
            for each in todo:
                await each

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))

    async def prepare(self, connection: Callable[[str], Body]) -> None:
        """Install our kinds and make the namespaces, each with its connection; return when the
        kinds are served.
        """
        for path in sorted((Settings.read().root / "crds").glob("*.yaml")):
            await self.ask("POST", CRDS, yaml.safe_load(path.read_text()))
        for name in (SYSTEM, *NAMESPACES):
            await self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        for name in NAMESPACES:
            await self.ask("POST", f"/api/v1/namespaces/{name}/secrets", connection(name))
        await until(self._served, "our kinds are served", 30)

    async def _served(self) -> bool:
        for plural in ("experiments", "trainingruns", "registeredmodels"):
            async with self.session.get(f"{OURS}/{plural}?limit=1") as answer:
                if answer.status != 200:
                    return False
        return True

    async def requests(self) -> Counter[tuple[str, str]]:
        """Return how many requests the server has answered, by verb and resource, without open
        watches.
        """
        async with self.session.get("/metrics") as answer:
            text = await answer.text()
        found: Counter[tuple[str, str]] = Counter()
        for line in text.splitlines():
            if line.startswith("apiserver_request_total{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
                found[
                    labels["verb"],
                    "/".join(filter(None, (labels["resource"], labels["subresource"]))),
                ] += int(float(line.rpartition(" ")[2]))
        return found


@asynccontextmanager
async def api(server: ApiServer) -> AsyncIterator[Api]:
    """Yield a client for the duration of a block."""
    tls = ssl.create_default_context(cafile=str(server.ca))
    headers = {"Authorization": f"Bearer {server.token}", "Accept": "application/json"}
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    async with aiohttp.ClientSession(
        server.url, headers=headers, connector=connector, read_bufsize=2**20
    ) as session:
        yield Api(session)


@dataclass
class Watcher:
    """The changes that the watch has received since it began, with their times.

    Attributes:
        settled: When an object was first Ready for a generation, by key and generation.
        changed: When a generation was first received.
        events: Changes seen, by key.

    """

    settled: dict[tuple[Key, int], float] = field(default_factory=dict)
    changed: dict[tuple[Key, int], float] = field(default_factory=dict)
    events: Counter[Key] = field(default_factory=Counter)
    done: set[Key] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _failure: BaseException | None = None

    async def follow(
        self, session: aiohttp.ClientSession, version: str, *, again: bool = False
    ) -> None:
        """Follow all changes after the list's version, until cancelled.

        Args:
            session: The API server.
            version: Of the list.
            again: List and watch again if the watch ends or is refused, as by an API server that
                has just started.

        """
        try:
            await self._streamed(session, version)
            while again:
                await asyncio.sleep(0.05)
                async with session.get(f"{OURS}/experiments") as answer:
                    listing = await answer.json()
                    if answer.status == 200:
                        version = listing["metadata"]["resourceVersion"]
                        for each in listing["items"]:
                            self.take({"type": "ADDED", "object": each}, time.monotonic())
                self._news.set()
                await self._streamed(session, version)
            raise RuntimeError("the watch ended")
        except Exception as error:  # noqa: BLE001 - waiters get it
            self._failure = error
            self._news.set()

    async def _streamed(self, session: aiohttp.ClientSession, version: str) -> None:
        """Follow a watch until it ends."""
        params = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3600"}
        async with session.get(
            f"{OURS}/experiments", params=params, timeout=aiohttp.ClientTimeout(total=None)
        ) as answer:
            rest = b""
            while answer.status == 200 and (chunk := await answer.content.readany()):
                now = time.monotonic()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self.take(json.loads(line), now)
                self._news.set()

    def take(self, event: Body, now: float) -> None:
        """Record one event."""
        if event["type"] not in ("ADDED", "MODIFIED"):
            if event["type"] == "ERROR":
                raise RuntimeError(f"the watch says {event['object']}")
            return
        body = event["object"]
        meta, status = body["metadata"], body.get("status") or {}
        key, generation = (meta["namespace"], meta["name"]), meta["generation"]
        self.events[key] += 1
        self.changed.setdefault((key, generation), now)
        ready = any(
            each["type"] == "Ready" and each["status"] == "True"
            for each in status.get("conditions") or ()
        )
        if ready and status.get("observedGeneration") == generation:
            self.settled.setdefault((key, generation), now)
            self.done.add(key)

    async def until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait until the received changes fulfil a condition."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    if self._failure:
                        raise self._failure
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise RuntimeError(f"{what}: not in {seconds:.0f} s") from None


class Crowd:
    """This many Experiments, evenly over some namespaces."""

    def __init__(self, client: Api, count: int, namespaces: tuple[str, ...] = NAMESPACES) -> None:
        self.keys = tuple(
            (namespaces[number % len(namespaces)], f"experiment-{number:05}")
            for number in range(count)
        )
        self._api, self._namespaces = client, namespaces
        self._serial = 0

    async def make(self) -> None:
        await self._api.all(
            self._api.ask("POST", path(namespace), manifest(namespace, name))
            for namespace, name in self.keys
        )

    async def change(self, key: Key) -> int:
        """Change a spec without an effect on MLflow and S3; return the new generation."""
        self._serial += 1
        patch = {"spec": {"objective": {"metric": f"metric-{self._serial}"}}}
        body = await self._api.ask("PATCH", path(*key), patch, MERGE)
        return int(body["metadata"]["generation"])

    async def remove(self) -> None:
        """Delete all of its namespaces, finalizers or not."""
        for namespace in self._namespaces:
            await self._api.ask("DELETE", path(namespace))
        left = [
            each
            for namespace in self._namespaces
            for each in (await self._api.ask("GET", path(namespace)))["items"]
        ]
        release = {"metadata": {"finalizers": None}}
        await self._api.all(
            self._api.ask(
                "PATCH",
                path(each["metadata"]["namespace"], each["metadata"]["name"]),
                release,
                MERGE,
            )
            for each in left
        )

        async def gone() -> bool:
            return not [
                each
                for namespace in self._namespaces
                for each in (await self._api.ask("GET", f"{path(namespace)}?limit=1"))["items"]
            ]

        await until(gone, "all are gone", 60)

    @asynccontextmanager
    async def watched(self, *, again: bool = False) -> AsyncIterator[Watcher]:
        """Run a watch for the duration of a block; `again`: see `Watcher.follow`."""
        version = (await self._api.ask("GET", f"{OURS}/experiments?limit=1"))["metadata"][
            "resourceVersion"
        ]
        watcher = Watcher()
        task = asyncio.create_task(watcher.follow(self._api.session, version, again=again))
        try:
            yield watcher
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def path(namespace: str, name: str = "") -> str:
    return f"{OURS}/namespaces/{namespace}/experiments" + (f"/{name}" if name else "")


def manifest(namespace: str, name: str) -> Body:
    """Return an Experiment as a user writes it."""
    return {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": namespace, "labels": {"team": namespace}},
        "spec": {
            "description": f"Card fraud, {name}",
            "tags": {"team": namespace},
            "objective": {"metric": "accuracy", "goal": "Maximize"},
        },
    }
