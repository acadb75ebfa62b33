"""Counters of a canary: per revision, over several workers, of which some have ended."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelyard.adapters import pod_counters
from modelyard_runtime.serve.arms import CANDIDATE, INVITED, STABLE
from modelyard_runtime.serve.forward import Forwarder
from modelyard_runtime.serve.limits import Limits
from modelyard_runtime.serve.metrics import Metrics
from modelyard_runtime.serve.rule import Rule
from modelyard_runtime.serve.split import Drawn
from modelyard_runtime.serve.splitter import Splitter
from modelyard_runtime.serve.traffic import Traffic
from tests.runtime.programs import environment

RULE = Rule(
    revision=7, candidate="fraud-v4", version="v4", runtime="2e3d4c5b", weight=10, timeout=2.0
)
WORKER = """
import json, sys
from modelyard_runtime.serve.traffic import Traffic
traffic = Traffic("v3", "1f2e3d4c")
for line in sys.stdin:
    exec(line)
    totals = traffic.totals()
    said = json.loads(traffic.page())
    said["totals"] = totals and {" ".join(name): count for name, count in totals[1].items()}
    print(json.dumps(said), flush=True)
"""


@contextmanager
def worker(folder: Path) -> Iterator[Callable[[str], dict[str, Any]]]:
    """A worker process that counts and is killed at the end; yields a function that sends it a
    command and returns its report on all workers.
    """
    pipe = subprocess.PIPE
    env = environment(folder, {"PROMETHEUS_MULTIPROC_DIR": str(folder)})
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], env=env, stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        into, out = process.stdin, process.stdout

        def do(line: str) -> dict[str, Any]:
            into.write(line + "\n")
            into.flush()
            found: dict[str, Any] = json.loads(out.readline())
            return found

        try:
            do("pass")
            yield do
        finally:
            process.kill()


def page(traffic: Traffic) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(traffic.page())
    return found


def counted(**more: Any) -> dict[str, Any]:
    return {"drawn": 0, "requests": 0, "failures": 0, "refusals": 0, "latency": {}} | more


def test_arms_are_counted_separately_and_from_zero_with_a_new_revision():
    traffic = Traffic("v3", "1f2e3d4c")
    assert page(traffic)["revision"] == 0
    assert page(traffic).keys().isdisjoint({"arms", "invited"})
    traffic.arms.begin(7, 10)
    for arm, seconds in ((STABLE, 0.0002), (STABLE, 0.0005), (CANDIDATE, 99.0)):
        traffic.arms.answered(arm, seconds)
    traffic.arms.failed(CANDIDATE)
    traffic.arms.refused(INVITED)
    found = page(traffic)
    assert (found["revision"], found["requests"]) == (7, 0)
    stable, candidate = (
        counted(requests=2, latency={"0": 1, "8": 1}),
        counted(requests=2, failures=1, latency={"145": 1}),
    )
    assert found["arms"] == {"stable": stable, "candidate": candidate}
    assert found["invited"] == counted(requests=1, refusals=1)
    traffic.arms.begin(7, 20)
    assert page(traffic)["arms"] == found["arms"], "the same revision"
    for revision in (8, 0):
        traffic.arms.begin(revision, 0)
        found = page(traffic)
        assert found["revision"] == revision
        assert (found["arms"], found["invited"]) == (
            {"stable": counted(), "candidate": counted()},
            counted(),
        )


def figures(traffic: Traffic) -> dict[tuple[str, ...], float]:
    text = Metrics("risk.fraud", "v3").page(traffic.totals)[0].decode()
    samples = [
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    ]
    assert all(
        (each.labels["model"], each.labels["version"]) == ("risk.fraud", "v3") for each in samples
    )
    return {
        (each.name, *(each.labels.get(name, "") for name in ("arm", "outcome"))): each.value
        for each in samples
        if each.value
    }


def test_figures_for_prometheus_only_grow():
    traffic, name = Traffic("v3", "1f2e3d4c"), "modelyard_traffic_requests_total"
    assert figures(traffic) == {}
    for revision in (1, 2, 3):
        traffic.arms.begin(revision, 50)
        traffic.arms.answered(CANDIDATE, 0.1)
        traffic.arms.failed(CANDIDATE)
        traffic.arms.refused(STABLE)
        expected = {
            (name, "candidate", "ok"): revision,
            (name, "candidate", "failure"): revision,
            (name, "stable", "refusal"): revision,
        }
        assert figures(traffic) == {**expected, ("modelyard_traffic_weight", "", ""): 50}
    traffic.arms.begin(0, 0)
    assert figures(traffic) == expected


def test_the_revision_is_the_smallest_of_the_living_workers(tmp_path: Path):
    with worker(tmp_path) as one:
        one("traffic.arms.begin(7, 10); traffic.arms.failed(0)")
        with worker(tmp_path) as other:
            found = one("pass")
            assert (found["revision"], found["arms"]["stable"]) == (0, counted()), (
                "the other has no rule yet"
            )
            found = other(
                "traffic.arms.begin(7, 10); traffic.arms.failed(1); traffic.answered(200, 0.1)"
            )
            both = {
                "stable": counted(requests=1, failures=1),
                "candidate": counted(requests=1, failures=1),
            }
            assert (found["revision"], found["arms"]) == (7, both)
            found = one("traffic.arms.begin(8, 20)")
            assert (found["revision"], found["arms"]) == (7, both | {"stable": counted()})
            one("traffic.arms.begin(7, 10); traffic.arms.failed(0)")
        # It was killed and its file remains: its counts stay valid, its revision no longer counts.
        assert len(list(tmp_path.glob("traffic-*"))) == 2
        found = one("pass")
        assert (found["revision"], found["arms"], found["requests"]) == (7, both, 1)
        found = one("traffic.arms.begin(8, 20)")
        assert (found["revision"], found["arms"]["candidate"]) == (8, counted())
        assert (found["totals"]["candidate failure"], found["totals"]["stable failure"]) == (1, 2)


def splitter(traffic: Traffic) -> Splitter:
    limits = Limits(body=1, one=1, work=1, held=1, connections=1)
    found = Splitter(
        "fraud",
        "v3",
        traffic.arms,
        traffic.callers,
        Forwarder("v3", "{name}:80", limits),
        longest=3.0,
    )
    asyncio.run(found.apply(RULE))
    return found


# (status, seconds, what it counts as)
OUTCOMES = [
    (200, 2.0, (1, 0, 0)),
    (200, 2.1, (1, 1, 0)),
    (404, 0.1, (1, 0, 1)),
    (404, 2.1, (1, 1, 0)),
    (500, 0.1, (1, 1, 0)),
]


@pytest.mark.parametrize(("status", "seconds", "expected"), OUTCOMES)
@pytest.mark.parametrize("arm", ["stable", "candidate"])
def test_an_answer_counts_the_same_for_both_arms(
    arm: str, status: int, seconds: float, expected: tuple[int, ...]
):
    traffic = Traffic("v3", "1f2e3d4c")
    splitter(traffic).count(Drawn(RULE, candidate=arm == "candidate"), status, seconds)
    found = page(traffic)["arms"][arm]
    assert (found["requests"], found["failures"], found["refusals"]) == expected


def test_the_limit_of_a_request_bounds_the_rule_s_timeout():
    traffic = Traffic("v3", "1f2e3d4c")
    by, patient = splitter(traffic), replace(RULE, revision=8, timeout=600.0)
    asyncio.run(by.apply(patient))
    for seconds in (3.0, 3.1):
        by.count(Drawn(patient, candidate=False), 200, seconds)
    assert page(traffic)["arms"]["stable"] == counted(requests=2, failures=1, latency={"109": 1})


@pytest.mark.parametrize("candidate", [True, False])
def test_a_user_is_not_counted_again_after_a_failed_request(candidate: bool):
    traffic = Traffic("v3", "1f2e3d4c")
    by, name = splitter(traffic), "candidate" if candidate else "stable"
    for status in (200, 404, 500, 500, 200, 404):
        by.count(Drawn(RULE, candidate, key=1), status, 0.1)
    by.count(Drawn(RULE, candidate=True, key=2), 200, 0.1)
    found = page(traffic)["arms"]
    assert (found[name]["failures"], found[name]["refusals"]) == (1, 1)
    assert found["stable"]["requests"] + found["candidate"]["requests"] == 4


def test_users_who_failed_are_remembered_within_bounds_and_for_one_candidate():
    traffic = Traffic("v3", "1f2e3d4c")
    by, slots = splitter(traffic), 1 << 15

    def failures(keys: Iterable[int], **more: Any) -> int:
        rule = replace(RULE, header=b"x-user", **more)
        asyncio.run(by.apply(rule))
        for key in keys:
            by.count(Drawn(rule, candidate=True, key=key), 500, 0.1)
        return page(traffic)["arms"]["candidate"]["failures"]

    # Nine keys for eight slots: the ninth replaces another one.
    assert failures([*(slots * n for n in range(1, 9)), 9 * slots, 9 * slots], revision=8) == 9
    assert failures([9 * slots], revision=9, weight=50) == 0
    assert failures([9 * slots], revision=10, runtime="3e4d5c6b") == 1


def test_requests_drawn_by_another_rule_are_not_counted():
    traffic = Traffic("v3", "1f2e3d4c")
    splitter(traffic).count(Drawn(replace(RULE, revision=6), candidate=True), 200, 0.1)
    assert page(traffic)["arms"]["candidate"] == counted()


def test_the_longest_page_is_read_by_the_operator():
    """All counts are present, with 17 digits."""
    traffic = Traffic("v" * 63, "r" * 63)
    words = traffic._counts
    for at in range(1, len(words)):
        words[at] = 1 << 55
    page = traffic.page()
    assert {len(arm["latency"]) for arm in json.loads(page)["arms"].values()} == {146}
    assert 10_000 < len(page) < pod_counters._BYTES // 2
