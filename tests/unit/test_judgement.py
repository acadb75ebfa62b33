"""An analysis' verdict on a candidate: the table of verdicts row by row, and the messages."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.analysis import Analysis, AnalysisVerdict
from modelyard.registered_model.judgement import MESSAGE, Judgement, finds, forecast, verdict
from modelyard.registered_model.progress import Judged, Progress
from modelyard.traffic import Arm
from tests.unit.analyses import after, analysis, arm

FAIL, NO_DATA, INCONCLUSIVE, CONTINUE, PASS = AnalysisVerdict
POINTS = analysis(
    {"name": "errors", "errorRate": {"moreThanStable": "0.005"}},
    {"name": "refusals", "refusalRate": {"moreThanStable": "0.005"}},
)
EMPTY = Progress(key="k")
BAD = after(POINTS, [(arm(80, 8), arm(7920, 2))] * 3)
CLEAN = after(POINTS, [(arm(100), arm(9900, 4, 2))] * 10)
FEW = after(POINTS, [(arm(60), arm(5940, 2, 4))] * 10)
BROKEN = after(POINTS, [(arm(500), arm(500))] * 8, weight=10)


@pytest.mark.parametrize(
    ("progress", "hold_over", "requests", "found"),
    [
        # A Fail waits neither for the end of the hold nor for minRequests.
        (BAD, False, 240, FAIL),
        (BAD, True, 240, FAIL),
        (BAD, True, 100_000, FAIL),
        # Before the hold is over there is no other verdict.
        (EMPTY, False, 0, CONTINUE),
        (FEW, False, 100_000, CONTINUE),
        (CLEAN, False, 100_000, CONTINUE),
        (BROKEN, False, 100_000, CONTINUE),
        # Too few requests in this step, whatever came before it; or no interval with data.
        (EMPTY, True, 0, NO_DATA),
        (EMPTY, True, 100_000, NO_DATA),
        (CLEAN, True, 499, NO_DATA),
        (BROKEN, True, 100_000, NO_DATA),
        (CLEAN, True, 500, PASS),
        (FEW, True, 600, INCONCLUSIVE),
    ],
)
def test_the_table_of_verdicts(
    progress: Progress, hold_over: bool, requests: int, found: AnalysisVerdict
):
    assert verdict(progress, POINTS, hold_over=hold_over, requests=requests).verdict is found


def worst(first: Arm, second: Arm, *, hold_over: bool = True, requests: int = 1000) -> Judgement:
    """Return the verdict after ten intervals; the second metric is the refusal rate."""
    stable = arm(9900, 4, 4)
    asked, intervals = POINTS, [(first, stable), (second, stable)] * 5
    return verdict(after(asked, intervals), asked, hold_over=hold_over, requests=requests)


@pytest.mark.parametrize(
    ("candidate", "found", "metric"),
    [
        (arm(100), PASS, None),
        (arm(100, 1), INCONCLUSIVE, "errors"),
        (arm(100, 0, 1), INCONCLUSIVE, "refusals"),
        (arm(100, 0, 40), FAIL, "refusals"),
        (arm(100, 1, 40), FAIL, "refusals"),
    ],
)
def test_a_step_has_the_worst_verdict_of_its_metrics(
    candidate: Arm, found: AnalysisVerdict, metric: str | None
):
    said = worst(candidate, candidate)
    assert said.verdict is found
    assert metric is None or said.metric == metric
    assert said.message.startswith(f"{said.metric}: ")


def test_the_order_of_verdicts():
    """NoData is worse than Inconclusive: a latency without a threshold, beside errors that are
    within their limit.
    """
    asked = analysis({"name": "slow", "latency": {"ratioToStable": "1.5"}}, minRequests=1)
    found = verdict(
        after(asked, [(arm(100, 2), arm(9900, 4))]), asked, hold_over=True, requests=100
    )
    assert (found.verdict, found.metric) == (NO_DATA, "slow")
    assert (
        found.message
        == "slow: NoData. There was no interval in which both versions answered that could be"
        " judged."
    )


def test_no_exact_excess_of_zero_is_shown():
    asked = analysis({"name": "errors", "errorRate": {"moreThanStable": "0"}})
    found = after(asked, [(arm(10_000), arm(90_000))] * 20)
    assert verdict(found, asked, hold_over=True, requests=10_000).verdict is INCONCLUSIVE


# --- words ----------------------------------------------------------------------------------------
def said(
    progress: Progress, asked: Analysis = POINTS, *, hold_over: bool = True, requests: int = 1000
) -> str:
    return verdict(progress, asked, hold_over=hold_over, requests=requests).message


def with_evidence(value: float, asked: Analysis = POINTS, **counted: Any) -> Progress:
    """Return the progress when a metric has this much evidence."""
    name = asked.judged[0].name
    judged = Judged(intervals=9999, bets=(value - 1e-4,) * 7, **counted)
    return Progress(key="k", intervals=9999, metrics={name: judged})


def test_a_fail_has_counts_limit_and_evidence():
    counted = {"failed": 19, "requests": 240, "stable_failed": 4, "stable_requests": 23_760}
    assert said(with_evidence(412, **counted)) == (
        "errors: Fail. 19 of 240 candidate requests failed, 4 of 23,760 stable; limit stable + 0.5"
        " points; evidence 412 of 200."
    )


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        ({"errorRate": {"moreThanStable": "0"}}, "stable"),
        ({"errorRate": {"timesStable": "2"}}, "2 times stable"),
        (
            {"errorRate": {"timesStable": "1.5", "moreThanStable": "0.001"}},
            "1.5 times stable + 0.1 points",
        ),
        ({"errorRate": {"moreThanStable": "0.25"}}, "stable + 25 points"),
        ({"refusalRate": {"atMost": "0.02"}}, "2 %"),
        ({"latency": {"ratioToStable": "1.5"}}, "1.54 times the stable p99"),
        ({"latency": {"quantile": "0.999", "ratioToStable": "2"}}, "2 times the stable p99.9"),
        ({"latency": {"atMost": "50ms"}}, "1 %"),
    ],
)
def test_limits_in_words(written: dict[str, object], limit: str):
    asked = analysis({"name": "m", **written})
    judged = Judged(
        intervals=9, bets=(9999.0,) * 7, failed=5, requests=10, stable_failed=1, stable_requests=90
    )
    found = said(Progress(key="k", metrics={"m": judged}), asked)
    assert f"; limit {limit}; evidence 9,999 of " in found


def test_latencies_in_words():
    asked = analysis({"name": "slow", "latency": {"quantile": "0.9", "ratioToStable": "2"}})
    stable = arm(1000, latency={56: 850, 64: 150})
    fast, slow = arm(100, latency={70: 100}), arm(100, latency={90: 100})
    found = after(asked, [(fast, stable)] * 2 + [(slow, stable)] * 3)
    assert said(found, asked) == (
        "slow: Fail. 300 of 400 candidate answers above 117 ms, 600 of 4,000 stable above 58.7 ms;"
        " limit 2 times the stable p90; evidence "
    ) + found_evidence(found, "slow", asked)
    absolute = analysis({"name": "slow", "latency": {"quantile": "0.9", "atMost": "50ms"}})
    failing = after(absolute, [(slow, stable)] * 2)
    assert said(failing, absolute).startswith(
        "slow: Fail. 200 of 200 candidate answers above 53.8 ms; limit 10 %; evidence "
    )


def found_evidence(progress: Progress, name: str, asked: Analysis) -> str:
    return f"{progress.metrics[name].evidence.value:,.0f} of {1 / asked.alpha:.0f}."


def test_the_other_verdicts_in_words():
    assert said(EMPTY, hold_over=False) == "errors: no interval is judged yet."
    assert said(CLEAN, hold_over=False).startswith(
        "errors: 0 of 1,000 candidate requests failed, 40 of 99,000 stable; evidence 0."
    )
    assert (
        said(CLEAN, requests=499)
        == "NoData. 499 candidate requests in this step; minRequests is 500."
    )
    assert said(CLEAN) == (
        "errors: Pass. Within stable + 0.5 points: 0 of 1,000 candidate requests failed, 40 of"
        " 99,000 stable; more than stable + 0.36 points is excluded."
    )
    assert said(FEW).startswith(
        "errors: Inconclusive. Not shown to be worse; up to stable + 0.63 points"
    )
    assert said(FEW).endswith(
        " is not excluded; limit stable + 0.5 points. 0 of 600 candidate requests failed, 20 of"
        " 59,400 stable."
    )


def test_a_broken_split_in_words():
    found = verdict(BROKEN, POINTS, hold_over=True, requests=4000)
    assert found == Judgement(
        NO_DATA,
        "",
        f"The split is broken, and nothing is judged: {BROKEN.split.drawn:,} of"
        f" {BROKEN.split.requests:,} requests were drawn for the candidate, and the weights say"
        f" {BROKEN.split.requests // 10:,}. Set the version back, or raise attempt to try again.",
    )


def test_a_fail_before_the_split_broke_stays():
    found = BROKEN.model_copy(update={"metrics": BAD.metrics})
    assert verdict(found, POINTS, hold_over=False, requests=0).verdict is FAIL


def inconclusive(asked: Analysis, **counted: int) -> Progress:
    """Return the progress when only the metric that the analysis names is not shown to be within
    its limit.
    """
    within, other = Judged(intervals=9, sums=((0.0, -1e9),) * 7), Judged(intervals=9, **counted)
    return Progress(
        key="k",
        metrics={each.name: other if each in asked.metrics else within for each in asked.judged},
    )


def test_messages_are_bounded():
    most = 10**15
    counted = {"failed": most, "requests": most, "stable_failed": most, "stable_requests": most}
    long = analysis(
        {"name": "n" * 30, "errorRate": {"timesStable": "12.345678", "moreThanStable": "0.1234567"}}
    )
    found = said(inconclusive(long, **counted), long)
    assert len(found) == MESSAGE
    assert found.startswith(
        f"{'n' * 30}: Inconclusive. Not shown to be worse; up to 12.3 times stable + 100 points is"
        " not"
    )


def test_a_message_with_usual_figures_is_whole():
    counted = {
        "failed": 99_999,
        "requests": 9_999_999,
        "stable_failed": 999_999,
        "stable_requests": 99_999_999,
    }
    for kind in ("errorRate", "refusalRate"):
        asked = analysis(
            {"name": "n" * 30, kind: {"timesStable": "1.5", "moreThanStable": "0.001"}}
        )
        assert said(inconclusive(asked, **counted), asked).endswith(" stable.")


def test_the_message_is_about_the_metric_with_most_evidence():
    little, much = Judged(intervals=9, bets=(0.5,) * 7), Judged(intervals=9, bets=(50.0,) * 7)
    for errors, refusals, found in (
        (little, much, "refusals"),
        (much, little, "errors"),
        (little, little, "errors"),
    ):
        progress = Progress(key="k", metrics={"errors": errors, "refusals": refusals})
        assert verdict(progress, POINTS, hold_over=False, requests=0).metric == found


# --- what can be found ----------------------------------------------------------------------------
def test_the_excess_that_a_hold_finds():
    assert (
        forecast(100, POINTS, EMPTY)
        == "this hold sees about 100 requests: enough to find 10 % errors"
    )
    assert (
        forecast(5, POINTS, EMPTY)
        == "this hold sees about 5 requests: too few to find any error rate"
    )
    assert (
        forecast(0, POINTS, EMPTY)
        == "this hold sees about 0 requests: too few to find any error rate"
    )
    assert (
        forecast(23_760, POINTS, EMPTY)
        == "this hold sees about 23,760 requests: enough to find 0.8 % errors"
    )


def test_more_requests_find_less_and_a_worse_stable_version_hides_more():
    found = [finds(n, POINTS, EMPTY) for n in (20, 100, 1000, 10_000, 10**6)]
    assert None not in found
    assert found == sorted(found, key=lambda each: -(each or 0))
    worse = with_evidence(1, failed=0, requests=1000, stable_failed=200, stable_requests=10_000)
    assert (finds(1000, POINTS, worse) or 0) > (finds(1000, POINTS, EMPTY) or 0)


def test_without_a_margin_and_failures_there_still_is_a_smallest_rate():
    asked = analysis({"name": "errors", "errorRate": {"moreThanStable": "0"}})
    assert 0.003 < (finds(1000, asked, EMPTY) or 0) < 0.01
