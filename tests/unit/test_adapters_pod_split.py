"""Counters of pods that split: the intervals add up to what pods counted, whatever pods do, and
count nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelyard.adapters.pod_counters import Counters
from modelyard.adapters.pod_traffic import PodTraffic
from modelyard.plan import Manifest
from modelyard.traffic import Arm, Interval, Split, SplitObservation
from tests.fakes.pods import FakePods
from tests.unit.builders import NOW

INTERVAL = timedelta(seconds=30)
STEP = timedelta(seconds=10)
ASKED = Split("uid-1", "production", "1f2e3d4c", 7, INTERVAL)
NONE = Arm()


def pod(uid: str) -> Manifest:
    return {"metadata": {"uid": uid}}


def said(
    requests: int,
    failures: int = 0,
    *,
    process: str = "1",
    revision: int | None = 7,
    stable: Arm = NONE,
) -> Counters:
    """Return the metrics page of a pod whose candidate has these requests and failures."""
    return Counters(
        process, 0, 0, revision, stable, Arm(requests, failures, 0, {3: requests - failures})
    )


class Pods:
    """Pods and the pages that they answer with, one after another."""

    def __init__(self) -> None:
        self.said: dict[str, Counters] = {}

    async def read(self, pods: Iterable[Manifest]) -> Mapping[str, Counters]:
        uids = {each["metadata"]["uid"] for each in pods}
        return {uid: counters for uid, counters in self.said.items() if uid in uids}


class Asked:
    """A split whose pods are read again and again."""

    def __init__(self) -> None:
        self.pods, self.now, self.split = Pods(), NOW, ASKED
        self.traffic = PodTraffic(self.pods)

    async def after(self, step: timedelta = STEP, **pages: Counters | None) -> SplitObservation:
        """Return the observation after pods answered, some time later; None: the pod exists and
        does not answer.
        """
        self.now += step
        self.pods.said = {uid: page for uid, page in pages.items() if page is not None}
        return await self.traffic.split(self.split, [pod(uid) for uid in pages], self.now)

    def judge(self, interval: Interval | None) -> None:
        assert interval is not None
        assert interval.number == self.split.judged + 1
        self.split = replace(self.split, judged=interval.number)


def arm(seen: SplitObservation) -> tuple[int, int] | None:
    """Return requests and failures of the candidate in the closed interval."""
    return (
        None
        if seen.interval is None
        else (seen.interval.candidate.requests, seen.interval.candidate.failures)
    )


# --- applied revisions and counters ---------------------------------------------------------------
async def test_only_pods_that_answer_have_an_applied_revision():
    asked = Asked()
    seen = await asked.after(
        a=said(5, 1), b=said(7, revision=6), c=said(0, revision=0), d=said(9, revision=None), e=None
    )
    assert seen.revisions == {"a": 7, "b": 6, "c": 0}


async def test_only_pods_that_apply_the_revision_are_summed():
    asked = Asked()
    well = Arm(100, 2, 3, {3: 90, 4: 5})
    seen = await asked.after(
        a=said(5, 1, stable=well), b=said(4, 4, stable=well), c=said(7, revision=6, stable=well)
    )
    assert (seen.stable, seen.candidate) == (Arm(200, 4, 6, {3: 180, 4: 10}), Arm(9, 5, 0, {3: 4}))
    assert seen.interval is None


async def test_pods_of_a_split_are_read_each_time():
    asked = Asked()
    await asked.after(a=said(5))
    assert (await asked.after(timedelta(), a=said(6))).candidate.requests == 6


# --- intervals ------------------------------------------------------------------------------------
async def test_an_interval_counts_from_the_first_answer_and_closes_when_it_is_long_enough():
    asked = Asked()
    assert arm(await asked.after(a=said(50, 5))) is None
    assert arm(await asked.after(a=said(60, 5))) is None
    assert arm(await asked.after(a=said(70, 6))) is None
    seen = await asked.after(a=said(90, 8))
    assert seen.interval == Interval(1, NONE, Arm(40, 3, 0, {3: 37}))


async def test_a_closed_interval_is_unchanged_until_it_is_judged():
    asked = Asked()
    await asked.after(a=said(0))
    first = await asked.after(INTERVAL, a=said(10))
    assert arm(first) == (10, 0)
    assert (await asked.after(a=said(25, 1))).interval == first.interval
    asked.judge(first.interval)
    # Its interval began when the previous one closed.
    assert arm(await asked.after(timedelta(seconds=19), a=said(27, 1))) is None
    second = await asked.after(timedelta(seconds=1), a=said(29, 1))
    assert second.interval is not None
    assert (second.interval.number, arm(second)) == (2, (19, 1))


async def test_an_interval_follows_the_last_judged_one_or_is_dropped():
    asked = Asked()
    asked.split = replace(ASKED, judged=40)
    await asked.after(a=said(0))
    seen = await asked.after(INTERVAL, a=said(10))
    assert seen.interval is not None
    assert seen.interval.number == 41
    for judged in (0, 44):  # the state was lost, or belongs to another operator
        asked.split = replace(ASKED, judged=judged)
        assert arm(await asked.after(a=said(11))) is None
        assert arm(await asked.after(INTERVAL, a=said(11 + judged))) is not None


async def test_no_interval_closes_before_a_pod_applies_the_revision():
    asked = Asked()
    for _ in range(5):
        assert arm(await asked.after(INTERVAL, a=said(9, revision=6))) is None
    assert arm(await asked.after(a=said(2))) is None
    assert arm(await asked.after(STEP, a=said(5))) is None
    assert arm(await asked.after(INTERVAL, a=said(6))) == (4, 0)


async def test_an_interval_without_requests_closes_too():
    asked = Asked()
    await asked.after(a=said(5))
    assert arm(await asked.after(INTERVAL, a=said(5))) == (0, 0)


# --- what pods do ---------------------------------------------------------------------------------
async def test_counts_of_a_silent_pod_go_into_the_interval_of_its_next_answer():
    asked = Asked()
    await asked.after(a=said(0), b=said(0))
    await asked.after(a=said(1), b=said(100))
    first = await asked.after(INTERVAL, a=said(2), b=None)
    assert arm(first) == (102, 0), "what it said before is known"
    asked.judge(first.interval)
    second = await asked.after(INTERVAL, a=said(3), b=said(160, 20))
    assert arm(second) == (61, 20)


async def test_a_restarted_process_counts_from_its_first_answer_and_earlier_counts_stay():
    asked = Asked()
    # When the last process is read, it has counted more than the one before.
    for process, requests in (("1", 10), ("1", 30), ("2", 25), ("2", 26), ("3", 500)):
        await asked.after(timedelta(seconds=1), a=said(requests, process=process))
    assert arm(await asked.after(INTERVAL, a=said(503, process="3"))) == (24, 0)


async def test_decreasing_counters_are_those_of_another_process():
    for fallen in (
        said(9),
        said(20, stable=Arm(8, 0, 0, {3: 8})),
        Counters("1", 0, 0, 7, Arm(9), Arm(20, 0, 0, {2: 20})),
    ):
        asked = Asked()
        await asked.after(a=said(10, stable=Arm(9, 0, 0, {})))
        await asked.after(a=said(20, stable=Arm(9, 0, 0, {})))
        await asked.after(a=fallen)
        assert (await asked.after(INTERVAL, a=fallen)).interval == Interval(
            1, NONE, Arm(10, 0, 0, {3: 10})
        )


async def test_a_new_pod_counts_from_its_first_answer_and_counts_of_a_deleted_one_stay():
    asked = Asked()
    await asked.after(a=said(0))
    await asked.after(a=said(5))
    await asked.after(b=said(1000))
    assert arm(await asked.after(INTERVAL, b=said(1001))) == (6, 0)


async def test_a_pod_that_applied_another_revision_counts_from_its_next_answer():
    asked = Asked()
    await asked.after(a=said(10))
    await asked.after(a=said(0, revision=0))
    await asked.after(a=said(15))
    assert arm(await asked.after(INTERVAL, a=said(16))) == (1, 0)


async def test_another_revision_or_other_pods_start_a_new_interval():
    changes: tuple[dict[str, Any], ...] = ({"revision": 8}, {"identity": "00000000"})
    for change in changes:
        asked = Asked()
        await asked.after(a=said(0))
        await asked.after(INTERVAL, a=said(10))
        asked.split = replace(asked.split, **change)
        assert arm(await asked.after(INTERVAL, a=said(20, revision=asked.split.revision))) is None
        assert arm(await asked.after(STEP, a=said(21, revision=asked.split.revision))) is None
        assert arm(await asked.after(INTERVAL, a=said(23, revision=asked.split.revision))) == (3, 0)


async def test_a_restarted_operator_starts_a_new_interval():
    asked = Asked()
    await asked.after(a=said(0))
    asked.traffic = PodTraffic(asked.pods)
    assert arm(await asked.after(INTERVAL, a=said(10))) is None
    assert arm(await asked.after(INTERVAL, a=said(12))) == (2, 0)


async def test_stages_do_not_share_counts():
    asked = Asked()
    await asked.after(a=said(0))
    asked.split = replace(ASKED, stage="staging")
    assert arm(await asked.after(INTERVAL, a=said(9))) is None
    asked.split = ASKED
    assert arm(await asked.after(timedelta(), a=said(9))) == (9, 0)


async def test_a_failure_read_before_its_request_keeps_the_interval_consistent():
    asked = Asked()
    await asked.after(a=said(10, 2))
    seen = await asked.after(INTERVAL, a=Counters("1", 0, 0, 7, NONE, Arm(10, 3, 0, {3: 8})))
    assert arm(seen) == (0, 0)


async def test_unread_counts_are_dropped():
    asked = Asked()
    for number in range(100):
        await asked.traffic.split(replace(ASKED, uid=f"uid-{number}"), [], NOW)
    await asked.traffic.split(replace(ASKED, uid="uid-new"), [], NOW + timedelta(hours=2))
    assert len(asked.traffic._splits._running) == 1


async def test_only_existing_pods_are_kept():
    asked = Asked()
    for number in range(100):
        await asked.after(**{f"pod-{number}": said(number)})
    (running,) = asked.traffic._splits._running.values()
    assert set(running.last) == {"pod-99"}


# --- any history ----------------------------------------------------------------------------------
@dataclass
class Life:
    """A pod that counts correctly: from zero in each process and under each revision."""

    uid: str
    revision: int = 7
    process: int = 1
    answers: bool = True
    counted: Counter[str] = field(default_factory=Counter)

    def begin(self, *, process: int | None = None, revision: int | None = None) -> None:
        self.process, self.revision = (
            process or self.process,
            revision if revision is not None else self.revision,
        )
        self.counted = Counter()

    def page(self) -> Counters:
        return Counters(
            str(self.process),
            0,
            0,
            self.revision,
            as_arm(self.counted, "stable"),
            as_arm(self.counted, "candidate"),
        )


def as_arm(counted: Counter[str], name: str) -> Arm:
    answers = {
        number: counted[f"{name} {number}"] for number in (0, 145) if counted[f"{name} {number}"]
    }
    failures, refusals = counted[f"{name} failures"], counted[f"{name} refusals"]
    return Arm(failures + refusals + sum(answers.values()), failures, refusals, answers)


def fields(found: Arm, name: str) -> Counter[str]:
    answers = {f"{name} {number}": count for number, count in found.latency.items()}
    return Counter(
        {
            f"{name} failures": found.failures,
            f"{name} refusals": found.refusals,
            f"{name} requests": found.requests,
        }
        | answers
    )


FATES = (
    "draw",
    "draw",
    "draw",
    "fall silent",
    "answer",
    "restart",
    "replace",
    "apply",
    "lose its rule",
    "another revision",
    "come back",
)
moves = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from(FATES), st.integers(0, 2), st.integers(1, 9)), max_size=6
        ),
        st.integers(0, 40),
        st.booleans(),
    ),
    max_size=25,
)
KINDS = [
    f"{name} {what}"
    for name in ("stable", "candidate")
    for what in ("failures", "refusals", "0", "145")
]


class Rollout:
    """Three pods, what happens to them, and an operator that reads and judges them."""

    def __init__(self) -> None:
        self.asked = Asked()
        self.pods = [Life(f"pod-{number}") for number in range(3)]
        self.counted: dict[int, Counter[str]] = {}
        self.judged: dict[int, Counter[str]] = {}
        self.born = 3

    def happens(self, fate: str, which: int, amount: int) -> None:
        life, asked = self.pods[which], self.asked
        match fate:
            case "draw":
                kind = KINDS[(which + amount * 5) % len(KINDS)]
                life.counted[kind] += amount
                whole = self.counted.setdefault(life.revision, Counter())
                whole[kind] += amount
                whole[f"{kind.split()[0]} requests"] += amount
            case "fall silent" | "answer":
                life.answers = fate == "answer"
            case "restart":
                life.begin(process=life.process + 1)
            case "replace":
                self.pods[which] = Life(f"pod-{self.born}", revision=0)
                self.born += 1
            case "apply" if life.revision != asked.split.revision:
                life.begin(revision=asked.split.revision)
            case "lose its rule":
                life.begin(revision=0)
            case "another revision":
                asked.split = replace(asked.split, revision=asked.split.revision + 1)
            case "come back":
                asked.traffic = PodTraffic(asked.pods)

    async def ask(self, seconds: int, *, judge: bool) -> Interval | None:
        pages = {life.uid: life.page() if life.answers else None for life in self.pods}
        seen = await self.asked.after(timedelta(seconds=seconds), **pages)
        assert seen.revisions == {life.uid: life.revision for life in self.pods if life.answers}
        if judge and seen.interval is not None:
            self.asked.judge(seen.interval)
            sums = self.judged.setdefault(self.asked.split.revision, Counter())
            sums.update(fields(seen.interval.stable, "stable"))
            sums.update(fields(seen.interval.candidate, "candidate"))
        return seen.interval


@given(moves)
async def test_intervals_never_have_more_than_pods_counted_under_their_revision(
    steps: list[tuple[list[tuple[str, int, int]], int, bool]],
):
    rollout, before = Rollout(), None
    for happens, seconds, judge in steps:
        for each in happens:
            rollout.happens(*each)
        found = await rollout.ask(seconds, judge=judge)
        if before is not None and not {"another revision", "come back"} & {
            fate for fate, _, _ in happens
        }:
            assert found == before, "it stays until it is judged"
        before = None if judge else found
    for revision, sums in rollout.judged.items():
        assert sums <= rollout.counted.get(revision, Counter()), revision


@given(moves)
async def test_counts_of_pods_that_were_silent_reach_an_interval(
    steps: list[tuple[list[tuple[str, int, int]], int, bool]],
):
    rollout = Rollout()
    await rollout.ask(0, judge=True)
    for happens, seconds, judge in steps:
        for fate, which, amount in happens:
            if fate in {"draw", "fall silent", "answer"}:
                rollout.happens(fate, which, amount)
        await rollout.ask(seconds, judge=judge)
    for life in rollout.pods:
        life.answers = True
    for _ in range(2):  # one may be closed and not judged yet
        await rollout.ask(30, judge=True)
    assert +rollout.judged[7] == +rollout.counted.get(7, Counter())


# --- the fake -------------------------------------------------------------------------------------
async def test_the_fake_pods_split_by_their_annotation():
    pods, now = FakePods(), NOW
    pods.drawn["v1"] = (Arm(90, 1, 0, {3: 89}), Arm(10, 2, 0, {4: 8}))
    told = {
        "labels": {"modelyard.io/version": "v1"},
        "annotations": {"modelyard.io/traffic": '{"revision": 7, "weight": 10}'},
    }
    there: list[Manifest] = [
        {"metadata": {"uid": f"uid-{name}", "name": name} | told} for name in ("a", "b", "c")
    ]
    pods.behind["b"] = 6
    pods.silent.add("c")
    traffic = PodTraffic(pods)
    assert (await traffic.split(ASKED, there, now)).revisions == {"uid-a": 7, "uid-b": 6}
    seen = await traffic.split(ASKED, there, now + INTERVAL)
    assert seen.interval == Interval(1, Arm(90, 1, 0, {3: 89}), Arm(10, 2, 0, {4: 8}))
    assert seen.candidate.requests == 20
