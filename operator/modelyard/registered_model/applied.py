"""Which stable pods of a canary apply the recorded rule. Pure."""

from modelyard.kube.pod_state import is_ready
from modelyard.plan import Manifest
from modelyard.registered_model.view import StageView

__all__ = ["applied", "is_applied", "ready", "splitting"]


def splitting(view: StageView) -> list[Manifest]:
    """Return the stable pods that are not terminating: those keep their rule to the end."""
    pods = view.of_kind("Pod", view.effective) if view.effective is not None else ()
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def ready(view: StageView) -> list[Manifest]:
    """Return those of them that are ready."""
    return [pod for pod in splitting(view) if is_ready(pod)]


def applied(view: StageView) -> int:
    """Return how many of the ready ones apply the rule of the recorded revision."""
    seen = view.evidence.split.get(view.name)
    revisions = seen.revisions if seen is not None else {}
    return sum(
        revisions.get(str(pod["metadata"]["uid"])) == view.status.traffic_revision
        for pod in ready(view)
    )


def is_applied(view: StageView) -> bool:
    """Tell whether all of the ready ones do."""
    return applied(view) == len(ready(view))
