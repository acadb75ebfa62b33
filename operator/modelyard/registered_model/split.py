"""The rule by which stable pods split requests: its text, and which pods get or lose it. Pure."""

import json
from collections.abc import Iterable
from datetime import datetime

from modelyard.api.base import parse_duration
from modelyard.api.registered_model import ServedVersion
from modelyard.api.rollout import Rollout, RolloutStatus
from modelyard.kube.names import TRAFFIC_ANNOTATION
from modelyard.plan import Manifest, SetTrafficRule
from modelyard.registered_model import build, serving
from modelyard.registered_model.facts import identity_of
from modelyard.registered_model.view import StageView

__all__ = ["differs", "keeps", "rule", "rule_in", "rule_removals", "rule_writes"]

_TIMEOUT_MS = 2000
"""Time limit for a candidate's answer if the spec sets no timeout for a prediction."""


def rule(view: StageView, rollout: Rollout, state: RolloutStatus, candidate: ServedVersion) -> str:
    """Return the rule for each stable pod, as `modelyard_runtime.serve.rule` reads it."""
    timeout = view.serving.runtime.timeout
    found: dict[str, object] = {
        "revision": view.status.traffic_revision,
        "candidate": build.workload_name(view.model, view.name, candidate),
        "version": candidate.version,
        "runtime": candidate.runtime.identity,
        "weight": state.weight,
        # Half of the timeout, in milliseconds. After it, the stable pod has its full time limit.
        "timeoutMs": int(parse_duration(timeout).total_seconds() * 500)
        if timeout is not None
        else _TIMEOUT_MS,
    }
    for name, setting in (("sticky", rollout.sticky), ("invite", rollout.invite)):
        if setting is not None:
            found[name] = setting.model_dump(exclude_none=True)
    return json.dumps(found, separators=(",", ":"), sort_keys=True)


def rule_removals(view: StageView, now: datetime) -> tuple[SetTrafficRule, ...]:
    """Return the removals of the rule from all pods that need none.

    Stable pods need it during a rollout. So do pods of a draining version, because they still
    forward the requests that reach them.
    """
    state, draining = view.status.rollout, {each.identity for each in serving.draining(view, now)}
    kept = draining | (
        {view.effective.runtime.identity}
        if state is not None and view.canary is not None and view.effective
        else set()
    )
    return tuple(
        rule_writes((pod for pod in view.of_kind("Pod") if identity_of(pod) not in kept), None)
    )


def keeps(view: StageView) -> frozenset[tuple[str, str]]:
    """Return the objects to keep for a rollout, by kind and name.

    These are the private Services, to which pods with a rule forward requests, and the ConfigMap of
    the analysis.
    """
    if not any(rule_in(pod) for pod in view.of_kind("Pod")) and view.status.rollout is None:
        return frozenset()
    held = (each for each in (view.status.candidate, view.effective) if each is not None)
    services = {("Service", build.workload_name(view.model, view.name, each)) for each in held}
    services |= {("Service", name) for name in _routed(view)}
    return frozenset({*services, ("ConfigMap", build.rollout_name(view.model, view.name))})


def rule_writes(pods: Iterable[Manifest], rule: str | None) -> Iterable[SetTrafficRule]:
    """Return the writes of a rule (None: its removal) to the pods that do not have it yet."""
    for pod in pods:
        if rule_in(pod) != rule and not pod["metadata"].get("deletionTimestamp"):
            yield SetTrafficRule(pod["metadata"]["name"], str(pod["metadata"]["uid"]), rule)


def differs(pods: Iterable[Manifest], rule: str, revision: int) -> bool:
    """Tell whether a pod has another rule of this revision; the rule then needs a new revision."""
    old = (read for pod in pods if rule_in(pod) not in {None, rule} and (read := _read(pod)))
    return any(each.get("revision") == revision for each in old)


def _routed(view: StageView) -> Iterable[str]:
    """Return the Services that the pods' rules name; each is needed until no rule names it."""
    for pod in view.of_kind("Pod"):
        name = _read(pod).get("candidate")
        if isinstance(name, str):
            yield name


def _read(pod: Manifest) -> dict[str, object]:
    """Return the parsed rule of a pod; empty if it has none, or if it is not a JSON object."""
    try:
        found = json.loads(rule_in(pod) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def rule_in(pod: Manifest) -> str | None:
    """Return the text of the rule that a pod's annotation has."""
    found: str | None = (pod["metadata"].get("annotations") or {}).get(TRAFFIC_ANNOTATION)
    return found
