"""Before a long build starts, the forecast of its duration and its slow steps; a short build has
none.
"""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.bringup import IMAGES, Bringup
from tests.cluster.console import Console
from tests.cluster.forecast import OTHERS, SECONDS, Forecast, duration
from tests.cluster.settings import Settings
from tests.cluster.steps import Plan, Step


def step(name: str, *after: str) -> Step:
    return Step(name, lambda log, key: None, lambda key: True, after=after)


def empty(cache: Path) -> Settings:
    """A machine on which nothing was built."""
    return replace(Settings.read(), cache=cache, mode="build")


def test_parallel_work_takes_half_of_its_sum_and_a_chain_all_of_it() -> None:
    three = ("coredns", "helm", "kubectl")
    side_by_side = Forecast(tuple(step(name) for name in three))
    assert side_by_side.seconds == sum(SECONDS[name] for name in three) / 2
    chain = Forecast((step("go"), step("kube", "go"), step("image-kube", "kube")))
    assert chain.seconds == OTHERS + SECONDS["kube"] + SECONDS["image-kube"]


def test_the_slowest_are_named_with_their_times() -> None:
    said = Forecast((step("pause"), step("minio"), step("kube"), step("helm"))).words(1020)
    assert "about 17 min on two cores" in said
    slowest = [f"{name} ({duration(SECONDS[name])})" for name in ("kube", "minio", "helm")]
    assert ", ".join(slowest) in said


def test_finished_steps_take_no_time(tmp_path: Path) -> None:
    steps = [step("go"), step("kube", "go"), step("minio")]
    plan = Plan(steps, tmp_path, Console(io.StringIO()))
    plan.run(["kube"])
    assert [each.name for each in Forecast(tuple(plan.todo(["kube", "minio"]))).steps] == ["minio"]


def test_on_an_empty_machine_the_total_is_announced_once_and_first(tmp_path: Path) -> None:
    said = io.StringIO()
    bringup = Bringup(empty(tmp_path), Console(said))
    images = [f"image-{name}" for name in IMAGES]
    bringup.announce(["kind", "kubectl", "node", *images, "helm"], there=False)
    bringup.announce(images)
    (line,) = said.getvalue().splitlines()
    assert "min on two cores" in line
    assert "kube (" in line


def test_a_short_build_is_not_announced(tmp_path: Path) -> None:
    said = io.StringIO()
    Bringup(empty(tmp_path), Console(said)).announce(["pause"])
    assert said.getvalue() == ""


def test_every_step_with_a_known_duration_exists(tmp_path: Path) -> None:
    bringup = Bringup(empty(tmp_path), Console(io.StringIO()))
    assert SECONDS.keys() <= {each.name for each in bringup.plan(building=True).steps}


TIMES = [(3, "3 s"), (89, "89 s"), (91, "2 min"), (1020, "17 min")]


@pytest.mark.parametrize(("seconds", "words"), TIMES)
def test_a_duration_is_rounded_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words
