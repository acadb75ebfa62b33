"""Events that reach Kopf on a real API server: all news, and nothing that the cache already has."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import aiohttp

from modelyard.adapters.kubernetes_address import api_addresses
from modelyard.adapters.kubernetes_known import answers
from modelyard.plan import Manifest
from tests.cluster.apiserver import ApiServer
from tests.engine.ground import TOYS
from tests.engine.rig import User
from tests.engine.test_watch import operating


async def listed(session: aiohttp.ClientSession, path: str) -> tuple[set[str], str]:
    """Return the names in a list, and its resourceVersion."""
    async with session.get(path) as answer:
        found = await answer.json()
    return {item["metadata"]["name"] for item in found["items"]}, found["metadata"][
        "resourceVersion"
    ]


async def streamed(answer: aiohttp.ClientResponse, count: int) -> list[Any]:
    """Return this many events of a watch, read as Kopf reads them."""
    found: list[Any] = []
    rest = b""
    async with asyncio.timeout(90):
        async for chunk in answer.content.iter_chunked(1024 * 1024):
            *lines, rest = (rest + chunk).split(b"\n")
            found += [json.loads(line) for line in lines if line]
            if len(found) >= count:
                return found
    raise AssertionError(f"the watch ended after {found}")


def version(body: Manifest) -> str:
    return str(body["metadata"]["resourceVersion"])


async def test_a_list_leaves_out_known_objects(server: ApiServer, admin: User) -> None:
    names = [f"known-{uuid4().hex[:8]}" for _ in range(3)]
    made = [await admin.create(name) for name in names]
    async with (
        operating(server.kubeconfig) as side,
        side.api.session(answers(side.cache)) as session,
    ):
        assert set(names) <= (await listed(session, admin.path()))[0]
        for body in made:
            side.cache.put(TOYS, body)
        assert not set(names) & (await listed(session, admin.path()))[0]
        await admin.patch(names[0], {"spec": {"value": "new"}})
        assert set(names) & (await listed(session, admin.path()))[0] == {names[0]}
        await admin.delete(names[1])
        again = await admin.create(names[1])
        assert again["metadata"]["uid"] != made[1]["metadata"]["uid"]
        assert set(names) & (await listed(session, admin.path()))[0] == set(names[:2])


async def test_a_known_change_becomes_a_bookmark_and_news_is_unchanged(
    server: ApiServer, admin: User
) -> None:
    ours, theirs = f"known-{uuid4().hex[:8]}", f"known-{uuid4().hex[:8]}"
    async with (
        operating(server.kubeconfig) as side,
        side.api.session(answers(side.cache)) as session,
    ):
        _, since = await listed(session, admin.path())
        before = await admin.create(ours)
        after = await admin.patch(ours, {"spec": {"value": "new"}})
        side.cache.put(TOYS, after)
        news = await admin.create(theirs)
        await admin.delete(ours)
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": since}
        async with session.get(admin.path(), params=query) as answer:
            events = await streamed(answer, 4)
    bookmarks = [
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version(each)}}}
        for each in (before, after)
    ]
    assert events[:2] == bookmarks
    assert (events[2]["type"], events[2]["object"]) == ("ADDED", news)
    assert [
        event["object"]["metadata"]["name"] for event in events[3:] if event["type"] == "DELETED"
    ] == [ours]


async def test_other_answers_are_unchanged(server: ApiServer, admin: User) -> None:
    async with (
        operating(server.kubeconfig) as side,
        side.api.session(answers(side.cache)) as session,
        session.get(admin.path("nobody"), params={"watch": "true"}) as answer,
    ):
        assert answer.status == 404
        assert (await answer.json())["reason"] == "NotFound"


async def test_the_api_server_advertises_its_address(server: ApiServer) -> None:
    """It advertises an address in addition to the one in use; on this machine both may be the
    same.
    """
    async with operating(server.kubeconfig) as side:
        versions = await side.api.read("/api", "find", "versions")
        found = await api_addresses(side.api)
    advertised = {
        each["serverAddress"].rpartition(":")[0].strip("[]")
        for each in versions["serverAddressByClientCIDRs"]
    }
    assert advertised
    assert {"127.0.0.1", *advertised} == set(found)
