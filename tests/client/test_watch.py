"""Watches that break: resumed, listed again after events expired, or ended with an error."""

from __future__ import annotations

import threading
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from modelyard.client.errors import NotAllowed, Unreachable
from modelyard.client.kube import Kube
from modelyard.client.kube.background import background
from tests.client.scripted import listing, obj, scripted

GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}


def event(type_: str, body: dict) -> dict:
    return {"type": type_, "object": body}


def seen(script, folder: Path, count: int) -> list[tuple[str, str, str]]:
    """Return the first events of a watch."""
    with Kube("n", kubeconfig=script.kubeconfig(folder)) as kube:
        events = kube.watch("Experiment", seconds=180)
        found = [
            (each.type, each.object["metadata"]["name"], each.object["metadata"]["resourceVersion"])
            for each in islice(events, count)
        ]
        events.close()
    return found


def versions(script) -> list[str]:
    """Return the version at which each watch began; `list` for a list."""
    queries = [parse_qs(urlsplit(path).query) for path in script.asked]
    return [query["resourceVersion"][0] if "watch" in query else "list" for query in queries]


def test_a_watch_resumes_where_it_ended_including_bookmarks(tmp_path: Path):
    first = [
        event("MODIFIED", obj("a", 6)),
        event("BOOKMARK", {"kind": "Experiment", "metadata": {"resourceVersion": "9"}}),
    ]
    with scripted(listing(5, obj("a", 4)), first, [event("ADDED", obj("b", 10))]) as script:
        assert seen(script, tmp_path, 3) == [
            ("Added", "a", "4"),
            ("Modified", "a", "6"),
            ("Added", "b", "10"),
        ]
        assert versions(script) == ["list", "5", "9"]


@pytest.mark.parametrize("forgotten", [[GONE], 410], ids=["in the stream", "at its start"])
def test_expired_events_are_recovered_by_listing_and_yielded_as_events(tmp_path: Path, forgotten):
    """In the meantime a changed, b was deleted and c was created."""
    there = listing(5, obj("a", 4), obj("b", 5))
    with scripted(there, forgotten, listing(20, obj("a", 15), obj("c", 16)), []) as script:
        found = seen(script, tmp_path, 5)
        assert found == [
            ("Added", "a", "4"),
            ("Added", "b", "5"),
            ("Deleted", "b", "5"),
            ("Modified", "a", "15"),
            ("Added", "c", "16"),
        ]


def test_the_states_of_an_object_include_its_deletion_whenever_it_happens(tmp_path: Path):
    """Deleted before the first list, between two lists, and during the watch."""
    never, later = (
        listing(5),
        [
            event("ADDED", obj("a", 6)),
            event("DELETED", obj("a", 7)),
            event("ADDED", obj("a", 8)),
            GONE,
        ],
    )
    with (
        scripted(never, later, listing(20), []) as script,
        Kube("n", kubeconfig=script.kubeconfig(tmp_path)) as kube,
    ):
        states = kube.states("Experiment", "a", seconds=180)
        assert [body and body["metadata"]["resourceVersion"] for body in islice(states, 5)] == [
            None,
            "6",
            None,
            "8",
            None,
        ]
        states.close()


def test_a_wait_reads_and_watches_from_one_list(tmp_path: Path):
    """An object deleted between two lists would be missed, and would have no further event."""
    with scripted(listing(5, obj("a", 4)), [event("DELETED", obj("a", 6))]) as script:
        with Kube("n", kubeconfig=script.kubeconfig(tmp_path)) as kube:
            assert kube.until(
                "Experiment", "a", lambda body: body is None or None, what="it to go", seconds=180
            )
        assert versions(script) == ["list", "5"]


@pytest.mark.parametrize("trouble", ['{"type": "MOD', 500, 429], ids=["a cut line", "500", "429"])
def test_a_broken_watch_is_resumed(tmp_path: Path, trouble):
    broken = [trouble] if isinstance(trouble, str) else trouble
    with scripted(listing(5), broken, [event("ADDED", obj("a", 6))]) as script:
        assert seen(script, tmp_path, 1) == [("Added", "a", "6")]
        assert versions(script) == ["list", "5", "5"]


def test_a_forbidden_watch_is_raised_and_not_retried(tmp_path: Path):
    with scripted(listing(5), 401, 401) as script, pytest.raises(NotAllowed):
        seen(script, tmp_path, 1)


def test_a_watch_of_an_absent_server_is_unreachable_in_the_end(tmp_path: Path):
    with scripted(listing(5)) as script:
        path = script.kubeconfig(tmp_path)
    with Kube("n", kubeconfig=path) as kube:
        kube.PATIENCE = 2
        with pytest.raises(Unreachable, match="does not answer"):
            next(kube.watch("Experiment", seconds=120))


def test_a_caller_that_stops_early_closes_the_stream(tmp_path: Path):
    ended = threading.Event()

    async def numbers():
        try:
            while True:
                yield 1
        finally:
            ended.set()

    stream = background().stream(numbers)
    assert next(stream) == 1
    stream.close()
    assert ended.wait(120)


def test_an_error_of_a_stream_is_raised_where_it_is_read():
    async def broken():
        yield 1
        raise KeyError("x")

    stream = background().stream(broken)
    assert next(stream) == 1
    with pytest.raises(KeyError):
        next(stream)
