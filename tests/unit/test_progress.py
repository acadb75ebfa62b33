"""The stored progress of an analysis: no interval counts twice, and a damaged text starts over."""

from __future__ import annotations

import json
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.api.analysis import METRICS, Metric
from modelyard.api.wire import LATENCY_EDGES
from modelyard.registered_model import counted
from modelyard.registered_model.progress import SIZE, Judged, Progress, advanced, begun, fails, key
from modelyard.registered_model.sequential import Counts, Limit
from modelyard.traffic import Arm, Interval
from tests.unit.analyses import after, analysis, arm, interval

DEFAULT = analysis()
BAD = arm(100, failures=60)
GOOD = arm(100)
STABLE = arm(1000, failures=1)
SLOW = {"name": "slow", "latency": {"quantile": "0.99", "ratioToStable": "2"}}


# --- which metrics, which limits ------------------------------------------------------------------
def test_errors_and_refusals_are_judged_by_default():
    assert [metric.name for metric in DEFAULT.judged] == ["errors", "refusals"]
    assert DEFAULT.alpha == 0.005
    with_latency = analysis(SLOW, falseAlarms="0.03")
    assert [metric.name for metric in with_latency.judged] == ["errors", "refusals", "slow"]
    assert isclose(with_latency.alpha, 0.01)
    own = analysis({"name": "mine", "errorRate": {"atMost": "0.02"}})
    assert [metric.name for metric in own.judged] == ["refusals", "mine"]


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ({"errorRate": {"moreThanStable": "0.005"}}, Limit(1, 0.005)),
        ({"errorRate": {"moreThanStable": "0"}}, Limit(1, 0)),
        ({"errorRate": {"timesStable": "2"}}, Limit(2, 0)),
        ({"errorRate": {"timesStable": "2", "moreThanStable": "1e-3"}}, Limit(2, 0.001)),
        ({"refusalRate": {"atMost": "0.02"}}, Limit(0, 0.02)),
        ({"latency": {"ratioToStable": "1.5"}}, Limit(1, 0)),
        ({"latency": {"quantile": "0.75", "atMost": "50ms"}}, Limit(0, 0.25)),
    ],
)
def test_a_metric_becomes_a_limit(written: dict[str, object], limit: Limit):
    assert counted.limit(Metric.model_validate({"name": "m", **written})) == limit


@pytest.mark.parametrize(
    ("written", "counts"),
    [
        ({"errorRate": {"moreThanStable": "0"}}, Counts(3, 40, 7, 900)),
        ({"refusalRate": {"moreThanStable": "0"}}, Counts(2, 40, 5, 900)),
        ({"latency": {"atMost": "1ms"}}, Counts(4, 35, 88, 888)),  # the edge 1 ms is number 16
        ({"latency": {"atMost": "900us"}}, None),
    ],
)
def test_the_counts_of_an_interval(written: dict[str, object], counts: Counts | None):
    candidate, stable = Arm(40, 3, 2, {16: 31, 17: 4}), Arm(900, 7, 5, {16: 800, 17: 80, 145: 8})
    if counts is None:
        with pytest.raises(ValueError, match="pattern"):
            Metric.model_validate({"name": "m", **written})
        return
    metric = Metric.model_validate({"name": "m", **written})
    assert counted.counts(metric, interval(1, candidate, stable), {}) == counts


def test_the_candidate_may_be_slower_by_the_ratio_than_a_quantile_of_earlier_intervals():
    metric = Metric.model_validate(
        {"name": "m", "latency": {"quantile": "0.9", "ratioToStable": "2"}}
    )
    earlier = {20: 80.0, 24: 15.0, 30: 5.0}  # a tenth is above edge 20, and 20 above edge 23 too
    now = interval(
        2, Arm(60, latency={30: 50, 31: 4, 32: 6}), Arm(50, latency={23: 40, 24: 9, 25: 1})
    )
    assert metric.latency is not None
    assert counted.threshold(metric.latency, earlier) == 23
    assert counted.steps(metric.latency) == 8
    assert counted.counts(metric, now, earlier) == Counts(6, 60, 10, 50)
    assert counted.counts(metric, now, {}) is None, "the first interval has no threshold"
    assert counted.counts(metric, now, {20: 4.0}) is None


@pytest.mark.parametrize(
    ("ratio", "steps"), [("1", 0), ("1.09", 1), ("1.5", 5), ("2", 8), ("2.01", 9), ("100", 54)]
)
def test_a_ratio_is_rounded_up_to_whole_edges(ratio: str, steps: int):
    metric = Metric.model_validate({"name": "m", "latency": {"ratioToStable": ratio}})
    assert metric.latency is not None
    assert counted.steps(metric.latency) == steps
    assert float(ratio) <= 2 ** (steps / 8) * (1 + 1e-9) <= float(ratio) * 1.0906


@given(
    earlier=st.dictionaries(st.integers(0, 145), st.floats(0.001, 1e6), max_size=20),
    ratio=st.sampled_from(["1", "1.5", "100"]),
    quantile=st.sampled_from(["0.5", "0.99", "0.999"]),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_threshold_is_an_edge_for_both(earlier: dict[int, float], ratio: str, quantile: str):
    metric = Metric.model_validate(
        {"name": "m", "latency": {"ratioToStable": ratio, "quantile": quantile}}
    )
    assert metric.latency is not None
    edge = counted.threshold(metric.latency, earlier)
    if sum(earlier.values()) < 5:
        assert edge is None
    else:
        assert edge is not None
        assert 0 <= edge <= edge + counted.steps(metric.latency) < len(LATENCY_EDGES)


def test_older_latencies_weigh_less_and_are_forgotten():
    found: dict[int, float] = {10: 64.0}
    for _ in range(20):
        found = counted.decayed(found, Arm(1, latency={11: 1}))
    assert isclose(found[10], 32)
    for _ in range(400):
        found = counted.decayed(found, Arm(1, latency={11: 1}))
    assert set(found) == {11}


def test_absurd_counters_of_pods_are_bounded():
    nonsense = Arm(-5, 10**30, -1, {-3: 5, 999: 7, 5: -9})
    asked = analysis(SLOW, {"name": "fast", "latency": {"atMost": "1s"}})
    for candidate, stable in (
        (nonsense, STABLE),
        (BAD, nonsense),
        (Arm(10**30, 10**31), Arm(10**30)),
    ):
        found = after(asked, [(candidate, stable)] * 3, weight=50)
        assert Progress.load(found.dump()) == found


# --- intervals ------------------------------------------------------------------------------------
def test_an_interval_counts_once():
    once = after(DEFAULT, [(BAD, STABLE)])
    assert advanced(once, interval(1, BAD, STABLE), DEFAULT, weight=10, sticky=False) is once
    assert advanced(once, interval(0, BAD, STABLE), DEFAULT, weight=10, sticky=False) is once


def test_a_lost_interval_is_left_out():
    both = after(DEFAULT, [(GOOD, STABLE), (BAD, STABLE)])
    first = after(DEFAULT, [(GOOD, STABLE)])
    skipped = advanced(first, interval(7, BAD, STABLE), DEFAULT, weight=0, sticky=False)
    assert skipped.intervals == 7
    assert skipped.metrics == both.metrics


def test_an_interval_without_data_does_not_count():
    found = after(DEFAULT, [(GOOD, STABLE), (Arm(), STABLE), (GOOD, Arm())])
    assert found.intervals == 3
    assert found.metrics == after(DEFAULT, [(GOOD, STABLE)]).metrics


def test_after_a_fail_nothing_is_judged():
    found = after(DEFAULT, [(BAD, STABLE)] * 2)
    assert fails(found.metrics["errors"], DEFAULT)
    assert advanced(found, interval(3, GOOD, STABLE), DEFAULT, weight=10, sticky=False) is found


def test_a_restart_between_two_intervals_changes_nothing():
    asked = analysis(SLOW)
    intervals = [
        (
            arm(30 + i, int(i == 5), latency={50: 25, 60: i}),
            arm(300, i % 2, latency={45: 280, 55: 9 + i}),
        )
        for i in range(12)
    ]
    found = Progress(key="k")
    for number, (candidate, stable) in enumerate(intervals, 1):
        found = begun("k", found.dump())
        found = advanced(found, interval(number, candidate, stable), asked, weight=10, sticky=False)
    assert found == after(asked, intervals, weight=10)
    assert found.metrics["slow"].intervals == 11, "the first interval only says what is slow"


# --- the text -------------------------------------------------------------------------------------
counts = st.integers(0, 10**15)
weights = st.floats(0, 1e15)
sums = st.tuples(st.floats(-1e18, 1e18), st.floats(-1e18, 1e18))
judged = st.builds(
    Judged,
    intervals=counts,
    bets=st.tuples(*[weights] * 7),
    sums=st.tuples(*[sums] * 7),
    failed=counts,
    requests=counts,
    stable_failed=counts,
    stable_requests=counts,
)
progresses = st.builds(
    Progress,
    key=st.text("0123456789abcdef", min_size=16, max_size=16),
    intervals=counts,
    metrics=st.dictionaries(st.text("abc-9", min_size=1, max_size=30), judged, max_size=6),
    stable_latency=st.dictionaries(st.integers(0, 145), weights, max_size=20),
)


@given(progresses)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_written_text_is_read_back(progress: Progress):
    assert Progress.load(progress.dump()) == progress


def test_the_longest_text_is_below_its_bound():
    number = -1.2345678901234567e-17
    one = Judged(
        intervals=10**15,
        bets=(-number,) * 7,
        sums=((number, number),) * 7,
        failed=10**15,
        requests=10**15,
        stable_failed=10**15,
        stable_requests=10**15,
    )
    names = [f"{i}" * 30 for i in range(METRICS + 2)]
    latency = dict.fromkeys(range(146), -number)
    text = Progress(key="k" * 64, metrics=dict.fromkeys(names, one), stable_latency=latency).dump()
    assert len(text) < SIZE / 2
    assert Progress.load(text) is not None


WHOLE = after(analysis(SLOW), [(GOOD, STABLE)] * 3, weight=10).dump()


def changed(path: str, value: object) -> str:
    """Return the text with one value replaced; a path that ends in + appends to a list."""
    document = json.loads(WHOLE)
    *folders, last = path.split(".")
    node = document
    for folder in folders:
        node = node[folder]
    node[int(last) if isinstance(node, list) else last] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '"k"',
        WHOLE[:-1],
        WHOLE + "x",
        WHOLE + " " * SIZE,
        "[" * 30_000,
        "\ud800",
        changed("key", 1),
        changed("key", "k" * 65),
        changed("intervals", -1),
        changed("intervals", 1.5),
        changed("intervals", "3"),
        changed("intervals", True),
        changed("intervals", 10**400),
        changed("more", 1),
        changed("metrics", []),
        changed("metrics.errors", None),
        changed("metrics.errors.bets", [1.0] * 6),
        changed("metrics.errors.bets", [1.0] * 8),
        changed("metrics.errors.bets.0", -1.0),
        changed("metrics.errors.bets.0", "1"),
        changed("metrics.errors.bets.0", float("nan")),
        changed("metrics.errors.bets.0", float("inf")),
        changed("metrics.errors.sums", [[0.0, 0.0]] * 6),
        changed("metrics.errors.sums.3", [0.0]),
        changed("metrics.errors.sums.3", [1e300, 0.0]),
        changed("metrics.errors.requests", 10**16),
        changed("metrics.errors.more", 1),
        changed("metrics", {str(i): {} for i in range(7)}),
        changed("stable_latency", {"146": 1.0}),
        changed("stable_latency", {"-1": 1.0}),
        changed("stable_latency", {"x": 1.0}),
        changed("stable_latency", {"1": -1.0}),
        changed("split", []),
        changed("split.drawn", -1),
    ],
)
def test_a_damaged_text_starts_over(text: str):
    assert Progress.load(WHOLE) is not None
    assert Progress.load(text) is None
    assert begun("k", text) == Progress(key="k")


def test_the_text_of_another_rollout_starts_over():
    assert begun("k", WHOLE) == Progress.load(WHOLE)
    assert begun("other", WHOLE) == Progress(key="other")
    assert begun("k", None) == Progress(key="k")


def test_only_a_change_of_the_test_starts_over():
    mine = key(DEFAULT, "1f2e3d4c", 0)
    other_tests = [
        key(analysis(falseAlarms="0.02"), "1f2e3d4c", 0),
        key(analysis(failureLimit=2), "1f2e3d4c", 0),
        key(analysis(SLOW), "1f2e3d4c", 0),
        key(DEFAULT, "00000000", 0),
        key(DEFAULT, "1f2e3d4c", 1),
    ]
    assert mine not in other_tests
    assert len(set(other_tests)) == len(other_tests)
    same = analysis(
        minRequests=7, noData="Abort", inconclusive="Hold", interval="10s", falseAlarms="0.010"
    )
    assert key(same, "1f2e3d4c", 0) == mine


# --- the split ------------------------------------------------------------------------------------
def split(
    drawn: int, others: int, intervals: int, *, weight: int = 10, sticky: bool = False
) -> Progress:
    return after(DEFAULT, [(arm(drawn), arm(others))] * intervals, weight=weight, sticky=sticky)


@pytest.mark.parametrize(
    ("drawn", "others", "weight", "sticky", "is_broken"),
    [
        (100, 900, 10, False, False),
        (112, 888, 10, False, False),
        (200, 800, 10, False, True),
        (50, 950, 10, False, True),
        (0, 1000, 10, False, True),
        (1000, 0, 10, False, True),
        (200, 800, 10, True, False),  # one caller may send many requests
        (1000, 0, 0, False, False),  # nothing is drawn
        (1000, 0, 100, False, False),
        (1, 99, 1, False, False),
    ],
)
def test_a_share_that_contradicts_the_weight_is_a_broken_split(
    drawn: int, others: int, weight: int, sticky: bool, is_broken: bool
):
    assert split(drawn, others, 8, weight=weight, sticky=sticky).split.is_broken is is_broken


def test_three_odd_intervals_alone_break_no_split():
    assert not split(0, 10**6, 3).split.is_broken
    assert split(0, 10**6, 4).split.is_broken


def test_with_a_broken_split_nothing_is_judged():
    broken = split(500, 500, 8)
    found = advanced(
        broken, Interval(9, stable=STABLE, candidate=BAD), DEFAULT, weight=10, sticky=False
    )
    assert found.intervals == 9
    assert found.metrics == broken.metrics
    assert found.metrics["errors"].intervals < 8
