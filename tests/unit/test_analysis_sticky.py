"""An analysis under `sticky`: real pods' counting of callers, judged by the operator.

Both versions give one caller the same answer, or the candidate alone is bad. Simulated callers, the
real splitter and the real test.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.api.analysis import Analysis
from modelyard.registered_model.judgement import verdict
from modelyard.registered_model.progress import Progress, advanced
from modelyard.traffic import Arm, Interval
from modelyard_runtime.serve import arms
from modelyard_runtime.serve.callers import Callers
from modelyard_runtime.serve.rule import Rule
from modelyard_runtime.serve.splitter import Splitter

Answers = Callable[[int, bool], int]
"""The status for a caller, and whether the candidate answers."""


class NoCandidate:
    """A candidate that no request is forwarded to."""

    loaded = True

    def full(self, size: int) -> bool:
        return False


class Pods:
    """Stable pods of several workers each, under one rule."""

    def __init__(self, pods: int, workers: int, weight: int) -> None:
        self.pods = [self._pod(workers, weight) for _ in range(pods)]

    @staticmethod
    def _pod(workers: int, weight: int) -> list[tuple[Splitter, Any]]:
        callers, made = Callers(None), []
        for _ in range(workers):
            words = memoryview(bytearray(arms.WORDS * 8)).cast("Q")
            splitter = Splitter("fraud", "v1", arms.Arms(words), callers, NoCandidate(), longest=2)  # type: ignore[arg-type]
            asyncio.run(splitter.apply(Rule(1, "svc", "v2", "r2", weight, 2.0, header=b"x-user")))
            made.append((splitter, words))
        return made

    def ask(self, chance: random.Random, user: bytes, status: Callable[[bool], int]) -> None:
        splitter, _ = chance.choice(chance.choice(self.pods))
        drawn = splitter.draw([(b"x-user", user)], 10)
        assert drawn is not None
        splitter.count(drawn, status(drawn.candidate), 0.01)

    def counted(self) -> tuple[Arm, Arm]:
        words = [words for pod in self.pods for _, words in pod]
        page = arms.pages(words, words)["arms"]
        return arm(page["stable"]), arm(page["candidate"])


def arm(found: dict[str, Any]) -> Arm:
    latency = {int(edge): count for edge, count in found["latency"].items()}
    return Arm(found["requests"], found["failures"], found["refusals"], latency, found["drawn"])


def less(new: Arm, old: Arm) -> Arm:
    latency = {edge: count - old.latency.get(edge, 0) for edge, count in new.latency.items()}
    return Arm(
        new.requests - old.requests,
        new.failures - old.failures,
        new.refusals - old.refusals,
        latency,
    )


def rollout(
    answers: Answers,
    *,
    run: int = 1,
    pods: int = 1,
    workers: int = 2,
    users: int = 100,
    weight: int = 50,
    intervals: int = 6,
) -> str:
    """Return the verdict at the end of a hold in which each caller sends four requests per
    interval.
    """
    chance, there = random.Random(run), Pods(pods, workers, weight)
    progress, before, asked = Progress(key="k"), (Arm(), Arm()), Analysis()
    for number in range(1, intervals + 1):
        for user in range(users):
            for _ in range(4):
                there.ask(chance, b"%d-%d" % (run, user), lambda c, u=user: answers(u, c))
        now = there.counted()
        interval = Interval(number, less(now[0], before[0]), less(now[1], before[1]))
        progress = advanced(progress, interval, asked, weight=weight, sticky=True, pods=pods)
        before = now
        is_over = number == intervals
        found = verdict(progress, asked, hold_over=is_over, requests=now[1].requests)
        if found.verdict == "Fail":
            break
    return found.verdict.value


@pytest.mark.parametrize(("pods", "users", "weight"), [(1, 100, 5), (1, 100, 50), (3, 400, 10)])
def test_a_candidate_that_fails_every_request_is_rejected(pods: int, users: int, weight: int):
    found = rollout(
        lambda _, candidate: 500 if candidate else 200, pods=pods, users=users, weight=weight
    )
    assert found == "Fail"


@pytest.mark.parametrize(("pods", "users"), [(1, 400), (2, 800)])
def test_a_candidate_that_fails_a_third_of_the_callers_is_rejected(pods: int, users: int):
    found = rollout(lambda user, c: 500 if c and user % 3 == 0 else 200, pods=pods, users=users)
    assert found == "Fail"


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize(("pods", "workers"), [(1, 6), (3, 2)])
def test_a_caller_whose_requests_fail_on_both_versions_rejects_no_candidate(
    status: int, pods: int, workers: int
):
    """The caller is drawn for the candidate in about half of the runs."""
    alarms = [
        run
        for run in range(25)
        if rollout(
            lambda user, _: status if user == 0 else 200, run=run, pods=pods, workers=workers
        )
        == "Fail"
    ]
    assert alarms == []
