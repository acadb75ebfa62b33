"""The analysis during a rollout: the verdict, its consequence, and the stored state. Pure.

An interval is judged when it is over. Its number and result are stored in a ConfigMap before the
next interval is read, so that each interval counts once.
"""

from dataclasses import dataclass
from datetime import timedelta

from modelyard.api.analysis import Analysis, AnalysisVerdict
from modelyard.api.registered_model import RegisteredModel
from modelyard.errors import ModelyardError
from modelyard.kube.applied import with_content
from modelyard.plan import Apply
from modelyard.registered_model import build, ramp
from modelyard.registered_model.judgement import Judgement, forecast, verdict
from modelyard.registered_model.progress import Progress, advanced, begun, key
from modelyard.registered_model.view import StageView
from modelyard.traffic import SplitObservation

__all__ = ["KEY", "AnalysisResult", "intervals", "kept_intervals", "result", "store_refused"]

KEY = "analysis.json"
"""The key in the ConfigMap's data."""
_MOST = 999_999
"""Greatest interval number in the status (`RolloutStatus`); the ConfigMap's may be greater."""


@dataclass(frozen=True)
class AnalysisResult:
    """The result of the analysis at a step.

    Attributes:
        text: The result as a sentence; empty without an analysis.
        verdict: The verdict; None without an analysis.
        failed: Why the candidate is rejected; None: it is not.
        holds: Whether the hold is extended beyond its time.
        actions: Applies that store an interval that was judged in this round.

    """

    text: str = ""
    verdict: AnalysisVerdict | None = None
    failed: str | None = None
    holds: bool = False
    actions: tuple[Apply, ...] = ()


def intervals(model: RegisteredModel, stage: str, text: str | None) -> int:
    """Return the number of the last interval whose result is stored."""
    spec, status = model.spec.stages.get(stage), model.status.stages.get(stage)
    analysis = spec.rollout.analysis if spec is not None and spec.rollout is not None else None
    if spec is None or status is None or status.candidate is None or analysis is None:
        return 0
    return begun(key(analysis, status.candidate.runtime.identity, spec.attempt), text).intervals


def result(
    view: StageView, hold: timedelta | None = None, left: timedelta = timedelta(0)
) -> AnalysisResult:
    """Return the present result of the candidate's analysis.

    Args:
        view: The stage.
        hold: The step's hold; None: it has none.
        left: What is left of the hold; zero or less: it has ended.

    """
    analysis, candidate = (
        view.canary.analysis if view.canary is not None else None,
        view.status.candidate,
    )
    if analysis is None or candidate is None or view.canary is None:
        return AnalysisResult()
    state = view.status.rollout
    if state is not None and ramp.weight(view.canary.whole, state.index) == 0:
        return AnalysisResult("The analysis begins with the first weight above 0.")
    observed = view.evidence.split.get(view.name) or SplitObservation()
    old = begun(
        key(analysis, candidate.runtime.identity, view.attempt),
        view.evidence.progress.get(view.name),
    )
    new = _advanced(view, old, observed, analysis)
    is_over = hold is not None and left <= timedelta(0)
    waits = _waits(view, new, analysis) if is_over else ""
    found = verdict(
        new, analysis, hold_over=is_over and not waits, requests=observed.candidate.requests
    )
    actions = (_kept(view, new),) if new != old else ()
    more = (
        _forecast(observed, analysis, new, hold, left)
        if hold is not None and not is_over
        else waits
    )
    return AnalysisResult(
        f"{found.message} {more}".strip(),
        found.verdict,
        _failed(found, analysis),
        bool(waits) or _holds(found, analysis),
        actions,
    )


def kept_intervals(view: StageView) -> int:
    """Return the number of the last stored interval; a step that begins counts from there."""
    return min(_MOST, intervals(view.model, view.name, view.evidence.progress.get(view.name)))


def store_refused(result: AnalysisResult, error: ModelyardError) -> AnalysisResult:
    """Return the result when the API server refuses to store an interval: the hold is extended."""
    message = (
        f"The analysis waits: Kubernetes refused to {error.operation} {error.subject}, which keeps"
        f" what was counted: {error.detail}."
    )
    return AnalysisResult(message, result.verdict, None, holds=True)


def _waits(view: StageView, progress: Progress, analysis: Analysis) -> str:
    """Return why a hold is extended whatever the verdict is; empty: it is not.

    A verdict is about the whole rollout. It ends a step only after enough intervals within that
    step for a bad candidate to fail, and not right after an interval that alone counts against it.
    """
    begun_at = view.status.rollout.intervals if view.status.rollout is not None else 0
    if begun_at > progress.intervals:  # the analysis has restarted within the step
        begun_at = 0
    if (missing := analysis.failure_limit + 1 - (progress.intervals - begun_at)) > 0:
        return (
            f"The hold lasts for {missing} more interval{'s' if missing > 1 else ''} of"
            f" {analysis.interval}."
        )
    if progress.is_alarmed:
        return (
            "The last interval alone speaks against the candidate: the hold lasts until the next"
            " one."
        )
    return ""


def _advanced(
    view: StageView, old: Progress, observed: SplitObservation, analysis: Analysis
) -> Progress:
    state = view.status.rollout
    if observed.interval is None or state is None or view.canary is None:
        return old
    return advanced(
        old,
        observed.interval,
        analysis,
        weight=state.weight,
        sticky=view.canary.sticky is not None,
        pods=len(observed.revisions),
    )


def _failed(found: Judgement, analysis: Analysis) -> str | None:
    """Return why the candidate is rejected; None: it is not."""
    aborts = {
        AnalysisVerdict.NO_DATA: analysis.no_data == "Abort",
        AnalysisVerdict.INCONCLUSIVE: analysis.inconclusive == "Abort",
    }
    if found.verdict is AnalysisVerdict.FAIL or aborts.get(found.verdict, False):
        return found.message
    return None


def _holds(found: Judgement, analysis: Analysis) -> bool:
    holds = {
        AnalysisVerdict.NO_DATA: analysis.no_data == "Hold",
        AnalysisVerdict.INCONCLUSIVE: analysis.inconclusive == "Hold",
    }
    return holds.get(found.verdict, False)


def _forecast(
    observed: SplitObservation,
    analysis: Analysis,
    progress: Progress,
    hold: timedelta,
    left: timedelta,
) -> str:
    """Return what the analysis can detect by the end of the hold, extrapolated from now."""
    passed = (hold - left).total_seconds()
    if passed <= 0 or not observed.candidate.requests:
        return ""
    expected = observed.candidate.requests * hold.total_seconds() / passed
    expected = int(float(f"{expected:.0e}"))  # one digit: each new number is a status write
    return f"{forecast(expected, analysis, progress).capitalize()}."


def _kept(view: StageView, progress: Progress) -> Apply:
    assert view.status.candidate is not None, "only a candidate is judged"
    return Apply(
        with_content(
            build.config_map(view.model, view.name, view.status.candidate, {KEY: progress.dump()})
        )
    )
