"""An asynchronous watch that resumes after a broken connection. `Kube.watch` is its public form."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

from modelyard.client.errors import Unreachable
from modelyard.client.kube import answers, transport
from modelyard.client.kube.kinds import Kind

__all__ = ["PATIENCE", "Event", "watched"]

Type = Literal["Added", "Modified", "Deleted"]
_TYPES: Mapping[str, Type] = {"ADDED": "Added", "MODIFIED": "Modified", "DELETED": "Deleted"}
PATIENCE = 8
"""Consecutive failures that a watch tolerates: half a minute, as pauses double up to 8 s each."""


@dataclass(frozen=True)
class Event:
    """A change of an object.

    Attributes:
        type: `Added` (also for each object that exists at the start), `Modified` or `Deleted`.
        object: The object, if deleted in its last state.

    """

    type: Type
    object: dict[str, Any]


class _Expired(Exception):
    """The API server no longer has the events since that resourceVersion (410): list again."""


async def watched(
    to: transport.Login,
    path: str,
    params: Mapping[str, str],
    request: answers.Request,
    kind: Kind,
    *,
    patience: int = PATIENCE,
) -> AsyncGenerator[Event | None, None]:
    """Yield an event for each object that exists, then None, then an event for each change.

    None is yielded again after each further list. An object without an event before it does not
    exist.

    Raises:
        Unreachable: There were more than `patience` consecutive failures.

    """
    known: dict[str, dict[str, Any]] = {}
    failures, version = 0, ""
    given = {key: value for key, value in params.items() if value}
    while True:
        try:
            if not version:
                listing = await _listed(to, path, given, request)
                for event in _differences(known, listing["items"] or [], kind):
                    yield event
                version = listing["metadata"]["resourceVersion"]
                yield None
            async with aclosing(_stream(to, path, given, version, request)) as stream:
                async for type_, body in stream:
                    failures, version = 0, body["metadata"]["resourceVersion"]
                    if type_ != "BOOKMARK":
                        _remember(known, type_, body)
                        yield Event(_TYPES[type_], body)
        except _Expired:
            version = ""
        except transport.Broken as error:
            failures += 1
            if failures > patience:
                raise Unreachable(
                    f"The API server at {request.server} does not answer: {error}. Is it up, and is"
                    " the context right?"
                ) from error
            await asyncio.sleep(min(8.0, 0.25 * 2**failures))


async def _listed(
    to: transport.Login, path: str, params: Mapping[str, str], request: answers.Request
) -> dict[str, Any]:
    answer = await transport.send(to, "GET", path, params=params)
    if answer.code >= 500:
        raise transport.Broken(f"HTTP {answer.code}")
    if answer.code >= 400:
        raise answers.error(request, answer.code, answer.body)
    return dict(json.loads(answer.body))


async def _stream(
    to: transport.Login,
    path: str,
    params: Mapping[str, str],
    version: str,
    request: answers.Request,
) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
    more = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
    async with aclosing(transport.lines(to, path, {**params, **more})) as lines:
        async for line in lines:
            if isinstance(line, transport.Response):
                raise _ended(line, request)
            try:
                event = json.loads(line)
            except ValueError as error:
                raise transport.Broken("a line was cut off") from error
            if event["type"] == "ERROR":
                raise _ended(
                    transport.Response(
                        int(event["object"].get("code") or 500),
                        json.dumps(event["object"]).encode(),
                    ),
                    request,
                )
            yield event["type"], event["object"]


def _ended(answer: transport.Response, request: answers.Request) -> Exception:
    """Return why a watch ended: events no longer available, connection broken, or refused."""
    if answer.code == 410:
        return _Expired()
    if answer.code >= 500 or answer.code == 429:
        return transport.Broken(f"HTTP {answer.code}")
    return answers.error(request, answer.code, answer.body)


def _differences(
    known: dict[str, dict[str, Any]], items: list[dict[str, Any]], kind: Kind
) -> list[Event]:
    """Return the differences of a list from `known` as events, and update `known`."""
    found = {
        item["metadata"]["uid"]: {"apiVersion": kind.api_version, "kind": kind.name, **item}
        for item in items
    }
    events = [Event("Deleted", body) for uid, body in known.items() if uid not in found]
    for uid, body in found.items():
        if uid not in known:
            events.append(Event("Added", body))
        elif known[uid]["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            events.append(Event("Modified", body))
    known.clear()
    known.update(found)
    return events


def _remember(known: dict[str, dict[str, Any]], type_: str, body: dict[str, Any]) -> None:
    if type_ == "DELETED":
        known.pop(body["metadata"]["uid"], None)
    else:
        known[body["metadata"]["uid"]] = body
