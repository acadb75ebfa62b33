"""The analysis at a step: the verdict on the candidate, its consequence, and what is kept. Pure.

An interval is judged when it is over. Its result is kept with its number in a ConfigMap before the
next interval is read: it counts once.
"""

from dataclasses import dataclass
from datetime import timedelta

from modelyard.api.analysis import Analysis, AnalysisVerdict
from modelyard.api.registered_model import RegisteredModel
from modelyard.errors import ModelyardError
from modelyard.kube.applied import with_content
from modelyard.plan import Apply
from modelyard.registered_model import build, ramp
from modelyard.registered_model.judgement import Judgement, sees, verdict
from modelyard.registered_model.progress import Progress, advanced, begun, key
from modelyard.registered_model.view import StageView
from modelyard.traffic import SplitObservation

__all__ = ["KEY", "Said", "intervals", "kept", "said", "unkept"]

KEY = "analysis.json"
"""The key in the ConfigMap's data."""
_MOST = 999_999
"""Greatest number of an interval in the status (`RolloutStatus`); the ConfigMap counts on."""


@dataclass(frozen=True)
class Said:
    """The result of the analysis at a step.

    Attributes:
        text: In words; empty without an analysis.
        verdict: In one word; None without an analysis.
        failed: Why the candidate is rejected; None: it is not.
        holds: The hold is extended beyond its time.
        actions: Writes that keep an interval judged in this round.

    """

    text: str = ""
    verdict: AnalysisVerdict | None = None
    failed: str | None = None
    holds: bool = False
    actions: tuple[Apply, ...] = ()


def intervals(model: RegisteredModel, stage: str, text: str | None) -> int:
    """Return the number of the last interval that was judged and kept."""
    spec, status = model.spec.stages.get(stage), model.status.stages.get(stage)
    asked = spec.rollout.analysis if spec is not None and spec.rollout is not None else None
    if spec is None or status is None or status.candidate is None or asked is None:
        return 0
    return begun(key(asked, status.candidate.runtime.identity, spec.attempt), text).intervals


def said(view: StageView, hold: timedelta | None = None, left: timedelta = timedelta(0)) -> Said:
    """Return the result for the candidate now.

    Args:
        view: The stage.
        hold: The step's hold; None: it has none.
        left: What is left of the hold; zero or less: it has ended.

    """
    asked, candidate = (
        view.canary.analysis if view.canary is not None else None,
        view.status.candidate,
    )
    if asked is None or candidate is None or view.canary is None:
        return Said()
    state = view.status.rollout
    if state is not None and ramp.weight(view.canary.whole, state.index) == 0:
        return Said("The analysis begins with the first weight above 0.")
    seen = view.evidence.split.get(view.name) or SplitObservation()
    old = begun(
        key(asked, candidate.runtime.identity, view.attempt), view.evidence.progress.get(view.name)
    )
    new = _advanced(view, old, seen, asked)
    is_over = hold is not None and left <= timedelta(0)
    waits = _waits(view, new, asked) if is_over else ""
    found = verdict(new, asked, hold_over=is_over and not waits, requests=seen.candidate.requests)
    actions = (_kept(view, new),) if new != old else ()
    more = _sees(seen, asked, new, hold, left) if hold is not None and not is_over else waits
    return Said(
        f"{found.message} {more}".strip(),
        found.verdict,
        _failed(found, asked),
        bool(waits) or _holds(found, asked),
        actions,
    )


def kept(view: StageView) -> int:
    """Return the number of the last kept interval, from which a step counts its own."""
    return min(_MOST, intervals(view.model, view.name, view.evidence.progress.get(view.name)))


def unkept(said: Said, error: ModelyardError) -> Said:
    """Return the result when the API server refuses to keep an interval: the analysis waits."""
    message = (
        f"The analysis waits: Kubernetes refused to {error.operation} {error.subject}, which keeps"
        f" what was counted: {error.detail}."
    )
    return Said(message, said.verdict, None, holds=True)


def _waits(view: StageView, progress: Progress, asked: Analysis) -> str:
    """Return why a hold is extended whatever the verdict is; empty: it is not.

    A verdict is about the whole rollout. It ends a step only after enough intervals within that
    step for a bad candidate to fail, and not right after an interval that alone counts against it.
    """
    begun_at = view.status.rollout.intervals if view.status.rollout is not None else 0
    if begun_at > progress.intervals:  # the analysis has begun anew within the step
        begun_at = 0
    if (missing := asked.failure_limit + 1 - (progress.intervals - begun_at)) > 0:
        return (
            f"The hold lasts for {missing} more interval{'s' if missing > 1 else ''} of"
            f" {asked.interval}."
        )
    if progress.is_alarmed:
        return (
            "The last interval alone speaks against the candidate: the hold lasts until the next"
            " one."
        )
    return ""


def _advanced(view: StageView, old: Progress, seen: SplitObservation, asked: Analysis) -> Progress:
    state = view.status.rollout
    if seen.interval is None or state is None or view.canary is None:
        return old
    return advanced(
        old,
        seen.interval,
        asked,
        weight=state.weight,
        sticky=view.canary.sticky is not None,
        pods=len(seen.revisions),
    )


def _failed(found: Judgement, asked: Analysis) -> str | None:
    """Return why the candidate is rejected; None: it is not."""
    aborts = {
        AnalysisVerdict.NO_DATA: asked.no_data == "Abort",
        AnalysisVerdict.INCONCLUSIVE: asked.inconclusive == "Abort",
    }
    if found.verdict is AnalysisVerdict.FAIL or aborts.get(found.verdict, False):
        return found.message
    return None


def _holds(found: Judgement, asked: Analysis) -> bool:
    holds = {
        AnalysisVerdict.NO_DATA: asked.no_data == "Hold",
        AnalysisVerdict.INCONCLUSIVE: asked.inconclusive == "Hold",
    }
    return holds.get(found.verdict, False)


def _sees(
    seen: SplitObservation, asked: Analysis, progress: Progress, hold: timedelta, left: timedelta
) -> str:
    """Return what the hold will have seen at its end, extrapolated from the requests so far."""
    passed = (hold - left).total_seconds()
    if passed <= 0 or not seen.candidate.requests:
        return ""
    expected = seen.candidate.requests * hold.total_seconds() / passed
    expected = int(float(f"{expected:.0e}"))  # one digit: each new number is a status write
    return f"{sees(expected, asked, progress).capitalize()}."


def _kept(view: StageView, progress: Progress) -> Apply:
    assert view.status.candidate is not None, "only a candidate is judged"
    return Apply(
        with_content(
            build.config_map(view.model, view.name, view.status.candidate, {KEY: progress.dump()})
        )
    )
