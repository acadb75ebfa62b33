"""The verdict of an analysis on a candidate, in one word and in figures. Pure."""

from dataclasses import dataclass
from math import ceil, floor, log, log10

from modelyard.api.analysis import Analysis, AnalysisVerdict, Metric
from modelyard.api.wire import LATENCY_EDGES
from modelyard.registered_model import counted
from modelyard.registered_model.progress import Judged, Progress, fails
from modelyard.registered_model.sequential import Counts, Limit, excludes, log_foreseen, upper

__all__ = ["MESSAGE", "Judgement", "finds", "forecast", "verdict"]

MESSAGE = 250
"""Longest message, in characters."""
_WORST_FIRST = tuple(AnalysisVerdict)
_STABLE_ARM = 10
"""Assumed ratio of the stable version's requests to the candidate's, before both are counted."""


@dataclass(frozen=True)
class Judgement:
    """A verdict on a candidate.

    Attributes:
        verdict: The worst of all metrics.
        metric: The metric with that verdict; empty if it is about all of them.
        message: Why, in figures.

    """

    verdict: AnalysisVerdict
    metric: str
    message: str


def verdict(progress: Progress, analysis: Analysis, *, hold_over: bool, requests: int) -> Judgement:
    """Return the verdict on the candidate now.

    Args:
        progress: The analysis so far.
        analysis: The stage's analysis, of which `progress` has the key.
        hold_over: The hold of the step has ended.
        requests: Requests drawn for the candidate in this step.

    """
    subjects = [_Subject(metric, progress, analysis) for metric in analysis.judged]
    if not any(fails(each.judged, analysis) for each in subjects):
        if progress.split.is_broken:
            found = AnalysisVerdict.NO_DATA if hold_over else AnalysisVerdict.CONTINUE
            return Judgement(found, "", _broken(progress))
        if hold_over and requests < analysis.min_requests:
            asked = f"minRequests is {analysis.min_requests:,}"
            message = f"NoData. {requests:,} candidate requests in this step; {asked}."
            return Judgement(AnalysisVerdict.NO_DATA, "", message)
    judged = [(_one(each, hold_over=hold_over), each) for each in subjects]
    # Of several metrics with the worst verdict: the one with the most evidence, else the first.
    found, subject = min(
        judged,
        key=lambda each: (_WORST_FIRST.index(each[0]), -max(each[1].judged.evidence.value, 1)),
    )
    name = subject.metric.name
    return Judgement(found, name, f"{name}: {_sentence(found, subject)}"[:MESSAGE])


@dataclass(frozen=True)
class _Subject:
    """One metric, its limit and its state."""

    metric: Metric
    progress: Progress
    analysis: Analysis

    @property
    def judged(self) -> Judged:
        return self.progress.metrics.get(self.metric.name, Judged())

    @property
    def limit(self) -> Limit:
        return counted.limit(self.metric)


def _one(subject: _Subject, *, hold_over: bool) -> AnalysisVerdict:
    """Return the verdict on one metric, by the table of docs/concepts/analysis.md."""
    judged = subject.judged
    if fails(judged, subject.analysis):
        return AnalysisVerdict.FAIL
    if not hold_over:
        return AnalysisVerdict.CONTINUE
    if judged.intervals == 0:
        return AnalysisVerdict.NO_DATA
    is_within = excludes(judged.sums, subject.limit.plus)
    return AnalysisVerdict.PASS if is_within else AnalysisVerdict.INCONCLUSIVE


# --- words ---------------------------------------------------------------------------------------
def _sentence(found: AnalysisVerdict, subject: _Subject) -> str:
    judged = subject.judged
    figures, limit = _figures(subject), _allowed(subject)
    needed = 1 / subject.analysis.alpha
    evidence = f"evidence {_number(judged.evidence.value)} of {_number(needed)}"
    match found:
        case AnalysisVerdict.FAIL:
            return f"Fail. {figures}; limit {limit}; {evidence}."
        case AnalysisVerdict.CONTINUE:
            return f"{figures}; {evidence}." if judged.intervals else "no interval is judged yet."
        case AnalysisVerdict.NO_DATA:
            who = "both versions" if subject.limit.times else "the candidate"
            return f"NoData. There was no interval in which {who} answered that could be judged."
        case AnalysisVerdict.INCONCLUSIVE:
            detail = f"Not shown to be worse; up to {_bound(subject)} is not excluded"
            return f"Inconclusive. {detail}; limit {limit}. {figures}."
        case AnalysisVerdict.PASS:
            return f"Pass. Within {limit}: {figures}; more than {_bound(subject)} is excluded."


def _figures(subject: _Subject) -> str:
    metric, judged = subject.metric, subject.judged
    candidate = f"{judged.failed:,} of {judged.requests:,} candidate"
    stable = f", {judged.stable_failed:,} of {judged.stable_requests:,} stable"
    if (latency := metric.latency) is None:
        what = "failed" if metric.error_rate is not None else "were refused"
        return f"{candidate} requests {what}{stable if judged.stable_requests else ''}"
    edge = counted.threshold(latency, subject.progress.stable_latency) or 0
    slow = _time(LATENCY_EDGES[edge + counted.steps(latency)])
    than_stable = f"{stable} above {_time(LATENCY_EDGES[edge])}" if subject.limit.times else ""
    return f"{candidate} answers above {slow}{than_stable}"


def _allowed(subject: _Subject) -> str:
    """Return the limit in words: stable + 0.5 points."""
    latency = subject.metric.latency
    if latency is None or latency.ratio is None:
        return _rate(subject.limit)
    ratio = 2 ** (counted.steps(latency) / 8)
    return f"{_number(ratio)} times the stable p{100 * latency.share:g}"


def _bound(subject: _Subject) -> str:
    """Return the largest excess that is not excluded, in the words of the limit."""
    latency, bound = subject.metric.latency, upper(subject.judged.sums)
    if latency is None or latency.ratio is None:
        return _rate(subject.limit._replace(plus=bound))
    return f"{_percent(bound)} points more slow answers than stable"


def _rate(limit: Limit) -> str:
    if limit.times == 0:
        return f"{_percent(limit.plus)} %"
    stable = "stable" if limit.times == 1 else f"{limit.times:.3g} times stable"
    sign = "+" if limit.plus > 0 else "-"
    return f"{stable} {sign} {_percent(abs(limit.plus))} points" if limit.plus else stable


def _broken(progress: Progress) -> str:
    split = progress.split
    drawn = f"{split.drawn:,} of {split.requests:,} requests were drawn for the candidate"
    return (
        f"The split is broken, and nothing is judged: {drawn}, and the weights say"
        f" {split.expected:,.0f}. Set the version back, or raise attempt to try again."
    )[:MESSAGE]


# --- what a hold can find ----------------------------------------------------------------------
def forecast(requests: int, analysis: Analysis, progress: Progress) -> str:
    """Return what a hold finds: `this hold sees about 100 requests: enough to find 8 % errors`.

    Args:
        requests: Candidate requests that the hold is expected to have.
        analysis: The stage's analysis.
        progress: The analysis so far, for what the stable version answers.

    """
    found = finds(requests, analysis, progress)
    # A rough rule: whole percents, or one digit below, rounded up.
    digits = 0 if found is None or found >= 0.01 else -floor(log10(100 * found))
    rate = f"{ceil(100 * found * 10**digits) / 10**digits:g} %" if found is not None else None
    much = f"enough to find {rate} errors" if rate else "too few to find any error rate"
    return f"this hold sees about {requests:,} requests: {much}"


def finds(requests: int, analysis: Analysis, progress: Progress) -> float | None:
    """Return the least error rate at which nine of ten candidates fail within these requests.

    By expected counts (`sequential.log_foreseen`): rough where few requests fail, and a Fail takes
    at least failureLimit + 1 intervals. None: even a candidate that fails every request needs more.
    """
    metric = next(each for each in analysis.judged if each.error_rate is not None)
    judged, limit = progress.metrics.get(metric.name, Judged()), counted.limit(metric)
    known = judged.requests > 0 and judged.stable_requests > 0
    stable = judged.stable_failed / judged.stable_requests if known else 0.0
    others = requests * (judged.stable_requests / judged.requests if known else _STABLE_ARM)

    def suffices(rate: float) -> bool:
        expected = Counts(rate * requests, requests, stable * others, others)
        return log_foreseen(expected, limit) >= log(1 / analysis.alpha)

    if requests <= 0 or not suffices(1.0):
        return None
    low, high = min(limit.times * stable + limit.plus, 1.0), 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if suffices(middle) else (middle, high)
    return high


# --- figures -------------------------------------------------------------------------------------
def _number(value: float) -> str:
    """Return a number with three digits at least: 0.04, 1.54, 412, 23,760."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}" if value >= 0.001 else "0"


def _percent(share: float) -> str:
    """Return a share in percent, or a difference of shares in points: 0.52, 9, 100."""
    return f"{100 * share:.0f}" if abs(share) >= 0.0995 else f"{100 * share:.2g}"


def _time(seconds: float) -> str:
    return f"{_number(seconds * 1000)} ms" if seconds < 1 else f"{_number(seconds)} s"
