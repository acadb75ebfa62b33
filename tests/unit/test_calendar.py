"""The cluster's freezes from a ConfigMap: an invalid entry is an error, never a missing freeze; and
how a watch follows it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from modelyard.adapters.kubernetes_freeze import Freezes
from modelyard.api.freeze import CALENDAR_KEY, Calendar, parse_calendar
from modelyard.registered_model.freezes import frozen

WEEKEND = {"schedule": "0 18 * * 5", "duration": "62h", "reason": "weekend"}


def calendar(**given: Any) -> Calendar:
    return parse_calendar({CALENDAR_KEY: json.dumps(given)})


def test_windows_and_a_stop_are_read():
    found = calendar(
        windows=[WEEKEND | {"timeZone": "Europe/Berlin", "stages": ["production"]}], stop=None
    )
    assert [(each.time_zone, each.stages) for each in found.windows] == [
        ("Europe/Berlin", ("production",))
    ]
    assert calendar(windows=[]) == Calendar()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "it has no key calendar.json"),
        ({"Calendar.json": "{}"}, "it has no key calendar.json"),
        ({CALENDAR_KEY: "{"}, "Expecting"),
        ({CALENDAR_KEY: "[]"}, "Input should be a valid dictionary"),
        (
            {CALENDAR_KEY: json.dumps({"window": [WEEKEND]})},
            "window: Extra inputs are not permitted",
        ),
        (
            {CALENDAR_KEY: json.dumps({"windows": [{"schedule": "0 18 * * 5"}]})},
            "windows.0.duration: Field required",
        ),
        (
            {CALENDAR_KEY: json.dumps({"windows": [WEEKEND | {"timezone": "Europe/Berlin"}]})},
            "a freeze has no field timezone",
        ),
        (
            {CALENDAR_KEY: json.dumps({"windows": [WEEKEND | {"duration": "10000d"}]})},
            "write at most 999d",
        ),
        ({CALENDAR_KEY: json.dumps({"stop": {"reason": "x"}})}, "stop.until: Field required"),
        (
            {CALENDAR_KEY: json.dumps({"stop": {"reason": "x", "until": "2030-01-01T00:00:00"}})},
            "stop.until: Input should have timezone",
        ),
        ({CALENDAR_KEY: "[" * 30_000}, "nested too deeply"),
        ({CALENDAR_KEY: " " * 70_000}, "more than 65536 characters"),
    ],
)
def test_an_invalid_calendar_is_an_error(data: dict[str, str], words: str):
    with pytest.raises(ValueError, match=words):
        parse_calendar(data)


@pytest.mark.parametrize(
    "until", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"]
)
def test_an_extreme_end_of_a_stop_does_not_overflow(until: str):
    found = calendar(stop={"reason": "incident", "until": until}, windows=[WEEKEND])
    held = frozen(found.windows, datetime(2026, 2, 8, tzinfo=UTC), found.stop)
    assert held is not None
    assert held.reason == "incident"


def body(data: dict[str, str], uid: str = "u") -> dict[str, Any]:
    return {
        "metadata": {"namespace": "modelyard-system", "name": "modelyard-freeze", "uid": uid},
        "data": data,
    }


def test_a_watch_reports_each_change_once_and_what_it_cannot_read():
    freezes, told = Freezes(), []
    freezes.changed = lambda: told.append(freezes.current)
    assert not freezes.put("v1/ConfigMap", body({CALENDAR_KEY: "{}"})), "no freezes, as before"
    assert freezes.put("v1/ConfigMap", body({CALENDAR_KEY: json.dumps({"windows": [WEEKEND]})}))
    assert not freezes.put("v1/ConfigMap", body({CALENDAR_KEY: json.dumps({"windows": [WEEKEND]})}))
    assert freezes.put("v1/ConfigMap", body({CALENDAR_KEY: "{"}))
    assert str(freezes.current).startswith("modelyard-system/modelyard-freeze: ")
    assert not freezes.remove("v1/ConfigMap", "modelyard-system", "modelyard-freeze", "another"), (
        "of one that was there before"
    )
    assert freezes.remove_missing("v1/ConfigMap", freezes.uids("v1/ConfigMap"), ()) == 1
    assert (freezes.current, len(told)) == (Calendar(), 3)
