"""What the analysis of a rollout says of the candidate, what follows, and what is kept of it
between intervals. Pure.

An interval is judged when it is over, and kept with its number in a ConfigMap before the next one
is given: it counts once.
"""

from dataclasses import dataclass
from datetime import timedelta

from modelyard.api.analysis import Analysis, AnalysisVerdict
from modelyard.api.registered_model import RegisteredModel
from modelyard.errors import ModelyardError
from modelyard.kube.applied import with_content
from modelyard.plan import Apply
from modelyard.registered_model import build
from modelyard.registered_model.judgement import Judgement, sees, verdict
from modelyard.registered_model.progress import Progress, advanced, begun, key
from modelyard.registered_model.view import StageView
from modelyard.traffic import SplitObservation

__all__ = ["KEY", "Said", "intervals", "kept", "said", "unkept"]

KEY = "analysis.json"
"""In the data of the ConfigMap."""


@dataclass(frozen=True)
class Said:
    """What the analysis says at a step.

    Attributes:
        text: In words; empty without an analysis.
        verdict: The same in a word; None without an analysis.
        failed: Why the candidate is rejected; None: it is not.
        holds: A hold lasts on though its time is over.
        actions: What keeps an interval that was judged now.

    """

    text: str = ""
    verdict: AnalysisVerdict | None = None
    failed: str | None = None
    holds: bool = False
    actions: tuple[Apply, ...] = ()


def intervals(model: RegisteredModel, stage: str, text: str | None) -> int:
    """Return the number of the last interval that is judged and kept."""
    spec, status = model.spec.stages.get(stage), model.status.stages.get(stage)
    asked = spec.rollout.analysis if spec is not None and spec.rollout is not None else None
    if spec is None or status is None or status.candidate is None or asked is None:
        return 0
    return begun(key(asked, status.candidate.runtime.identity, spec.attempt), text).intervals


def said(view: StageView, hold: timedelta | None = None, left: timedelta = timedelta(0)) -> Said:
    """Return what is said of the candidate now.

    Args:
        view: The stage.
        hold: How long the step lasts; None: it is no hold.
        left: How much of that is left; zero or less: it is over.

    """
    asked, candidate = (
        view.canary.analysis if view.canary is not None else None,
        view.status.candidate,
    )
    if asked is None or candidate is None or view.canary is None:
        return Said()
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
    """Return the number of the last interval that is judged and kept, by which the intervals of
    a step are counted.
    """
    return intervals(view.model, view.name, view.evidence.progress.get(view.name))


def unkept(said: Said, error: ModelyardError) -> Said:
    """Return what is said where an interval cannot be kept: nothing is judged any more, and no
    step ends by what was.
    """
    message = (
        f"The analysis waits: Kubernetes refused to {error.operation} {error.subject}, which keeps"
        f" what was counted: {error.detail}."
    )
    return Said(message, said.verdict, None, holds=True)


def _waits(view: StageView, progress: Progress, asked: Analysis) -> str:
    """Say why a hold lasts on whatever the verdict is; empty: it need not.

    A verdict is of the whole rollout. A step ends by it when there were intervals enough within the
    step in which a bad candidate would have failed, and not right after one that alone speaks
    against it.
    """
    begun_at = view.status.rollout.intervals if view.status.rollout is not None else 0
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
        old, seen.interval, asked, weight=state.weight, sticky=view.canary.sticky is not None
    )


def _failed(found: Judgement, asked: Analysis) -> str | None:
    """Say why the candidate is rejected; None: it is not."""
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
    """Say what the hold will have seen at its end, by the requests so far."""
    passed = (hold - left).total_seconds()
    if passed <= 0 or not seen.candidate.requests:
        return ""
    expected = seen.candidate.requests * hold.total_seconds() / passed
    expected = int(
        float(f"{expected:.0e}")
    )  # one digit: each other number is a write of the status
    return f"{sees(expected, asked, progress).capitalize()}."


def _kept(view: StageView, progress: Progress) -> Apply:
    assert view.status.candidate is not None, "what is judged is a candidate"
    return Apply(
        with_content(
            build.config_map(view.model, view.name, view.status.candidate, {KEY: progress.dump()})
        )
    )
