"""Read the result of a gate's Job: absent, waiting, running, or how it ended. Pure.

Messages of pods are untrusted text. `observe` has cleaned them (`kube.pod_words`); this module cuts
them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelyard.api.gates import Gate
from modelyard.api.pod_end import PodReason
from modelyard.api.registered_model import VersionStatus
from modelyard.api.wire import GATE
from modelyard.kube.jobs import (
    POD_COMES,
    POD_SAYS,
    completed,
    failed,
    failed_at,
    has_run,
    interrupted,
    newest_of,
    podless_since,
    running_since,
    succeeded,
)
from modelyard.kube.pod_state import Termination, not_created, pod_end, terminations
from modelyard.plan import Apply, Delete, Manifest
from modelyard.registered_model import serving
from modelyard.registered_model.gates import pods
from modelyard.registered_model.gates.judged import Judged, erroneous, passed, pending
from modelyard.registered_model.gates.judged import failed as fails
from modelyard.registered_model.view import StageView

__all__ = ["JobResult", "job_actions", "job_result", "judge"]

_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_SHOWN, _LAST = 700, 400
"""Maximum characters of a pod's message, and of the end of a log."""
_OF_REQUESTS = {PodReason.REQUESTS_MISMATCH, PodReason.REQUESTS_FAILED}
"""Reasons with which a gate `smoke` fails. If its program ended otherwise, there is no verdict."""
_OF_SIGNATURE = {PodReason.SIGNATURE_MISSING, PodReason.SIGNATURE_INVALID}
_OF_FILES = {*_OF_SIGNATURE, PodReason.DIGEST_MISMATCH, PodReason.ARTIFACT_INVALID}
"""Reasons with which a gate `signed` fails. After any other (a slow store), there is no verdict."""


@dataclass(frozen=True)
class JobResult:
    """The result of a gate's Job.

    Attributes:
        judged: The gate's answer.
        replace: Whether the Job is to be deleted and created again, because it gives no verdict.

    """

    judged: Judged
    replace: bool = False


def judge(gate: Gate, view: StageView, _candidate: VersionStatus, now: datetime) -> Judged:
    """Judge a `job` by its exit code, a `smoke` or `signed` by the reason that its program gave."""
    return job_result(gate, view, now).judged


def job_actions(
    view: StageView, gates: Iterable[Gate], now: datetime
) -> tuple[Apply | Delete, ...]:
    """Return the applies of missing Jobs, and the deletions of Jobs to replace.

    A Job that the API server refused in this reconcile is applied again in the next one. While
    MLflow or S3 is down, no Job is created.
    """
    found: list[Apply | Delete] = []
    for gate in gates if not view.dependencies_down else ():
        name = pods.job_name(view, gate)
        live = pods.live_job(view, gate)
        if live is None:
            found += [Apply(pods.job(view, gate))] if ("Job", name) not in view.refusals else []
        elif job_result(gate, view, now).replace:
            found.append(Delete(live["apiVersion"], live["kind"], name, live["metadata"]["uid"]))
    return tuple(found)


def job_result(gate: Gate, view: StageView, now: datetime) -> JobResult:
    """Read a gate's Job and its pods."""
    refused = view.refusals.get(("Job", pods.job_name(view, gate)))
    if refused is not None:
        return JobResult(erroneous(f"Kubernetes refuses its Job: {refused.detail or refused}"))
    job = pods.live_job(view, gate)
    if job is None:
        return JobResult(_not_begun(gate, view))
    if job["metadata"].get("deletionTimestamp"):
        return JobResult(pending("its Job is being replaced", None))
    there = pods.pods_of(view, job)
    if succeeded(job):
        return _complete(gate, job, there, now)
    if failed(job) is not None:
        return _failed(gate, job, there, now)
    return JobResult(_active(gate, job, there, view, now))


def _not_begun(gate: Gate, view: StageView) -> Judged:
    candidate = view.subject
    if (
        not gate.asks_candidate
        or candidate is None
        or serving.pod_health(view, candidate).available
    ):
        return pending("its Job has not begun", None)
    return pending(f"waits for a pod of {candidate.version}", None)


def _complete(gate: Gate, job: Manifest, there: Sequence[Manifest], now: datetime) -> JobResult:
    """Read a Job that succeeded. A pod that exited with 0 because of SIGTERM gives no verdict."""
    pod, since = newest_of(there), completed(job)
    ended = _end_of(pod)
    if pod is not None and ended is not None and not interrupted(pod, GATE):
        text = _reported(ended)
        how = "exit code 0" if gate.job is not None or not text else ""
        return JobResult(passed(": ".join(filter(None, (how, text)))[:_SHOWN]))
    if ended is None and since is not None and now - since < POD_SAYS:
        return JobResult(pending("its Job is complete; its pod is about to say how", _SECOND))
    return JobResult(
        pending("its pod was interrupted before it finished; another one is started", None),
        replace=True,
    )


def _failed(gate: Gate, job: Manifest, there: Sequence[Manifest], now: datetime) -> JobResult:
    pod, since = newest_of(there), failed_at(job)
    age = now - since if since is not None else _MINUTE
    over = pod is not None and (pod.get("status") or {}).get("phase") in {"Failed", "Succeeded"}
    if not over and age < POD_SAYS:
        return JobResult(pending("its Job has failed; its pod is about to say why", _SECOND))
    if pod is None:
        return JobResult(
            erroneous("its pods are gone, and have not said how they ended; it is asked again"),
            replace=True,
        )
    if (other := _no_verdict(gate, pod)) is not None:
        left = _MINUTE - age  # wait: an immediate retry would lack the same thing again
        return JobResult(replace(other, again=max(left, _SECOND)), replace=left <= timedelta(0))
    tries = int((job.get("status") or {}).get("failed", 1))
    how, text = _how(gate, pod)
    after = f" ({tries} tries)" if tries > 1 else ""
    return JobResult(fails(": ".join(filter(None, (f"{how}{after}", text)))[:_SHOWN]))


def _no_verdict(gate: Gate, pod: Manifest) -> Judged | None:
    """Return the gate's answer if the last try gave no verdict; None: it gave one."""
    if not has_run(pod, GATE):
        found = pod_end(pod, {GATE})
        why = f": {found.message}" if found is not None else ""
        return erroneous(f"its pod was never started{why}"[:_SHOWN])
    ended = _end_of(pod)
    if gate.job is not None:
        return None
    reason, text = _reason(ended), _reported(ended) if ended is not None else ""
    if gate.signed is not None:
        return (
            None
            if reason in _OF_FILES
            else erroneous(": ".join(filter(None, _how(gate, pod)))[:_SHOWN])
        )
    if ended is None or (pod.get("status") or {}).get("reason") == "DeadlineExceeded":
        return None
    if not reason:
        return erroneous(f"its program broke: {': '.join(filter(None, _how(gate, pod)))}"[:_SHOWN])
    if reason in _OF_REQUESTS:
        return None
    return pending(text) if reason == PodReason.REQUESTS_MISSING else erroneous(text)


def _how(gate: Gate, pod: Manifest) -> tuple[str, str]:
    """Return how the last try ended, and its message."""
    status, ended = pod.get("status") or {}, _end_of(pod)
    text = _reported(ended) if ended is not None else ""
    if status.get("reason") == "DeadlineExceeded":
        limit = (
            f"the {gate.job.timeout} of its timeout"
            if gate.job is not None
            else f"{pods.timeout_of(gate).seconds // 60} minutes"
        )
        return f"it did not end within {limit}", text
    found = pod_end(pod, {GATE})
    # Kubernetes ended the pod, for example because it filled its volumes.
    if ended is None or ended.exit_code == 0 or status.get("reason"):
        return (found.message[:_SHOWN] if found is not None else "its pod failed"), text
    if found is not None and found.reason is PodReason.OUT_OF_MEMORY:
        return "it used more memory than its limit", text
    if gate.job is None and (reason := _reason(ended)):
        files = "the signature" if reason in _OF_SIGNATURE else "its files"
        return "" if gate.smoke is not None else files, text
    return f"exit code {ended.exit_code}", text


def _active(
    gate: Gate, job: Manifest, there: Sequence[Manifest], view: StageView, now: datetime
) -> Judged:
    """Return the gate's answer while its Job has not finished."""
    before = _tried(gate, job, there)
    pod = newest_of(each for each in there if not each["metadata"].get("deletionTimestamp"))
    if pod is not None and (since := running_since(pod, GATE)) is not None:
        return pending(f"its Job runs since {since:%H:%M:%S} UTC{before}", None)
    found = pod_end(pod, {GATE}) if pod is not None else None
    if found is not None and not found.ended:
        text = f"{found.reason}: {found.text(_SHOWN)}"
        return (erroneous if found.needs_action else pending)(text)
    since = podless_since(job)
    left = None if there or since is None else since + POD_COMES - now
    if left is not None and left <= timedelta(0):
        return _without_pod(job, view)
    return pending(f"its pod is starting{before}", left)


def _without_pod(job: Manifest, view: StageView) -> Judged:
    error = view.evidence.creation_errors.get(job["metadata"]["uid"])
    if error is None:
        name = job["metadata"]["name"]
        return erroneous(
            "Kubernetes creates no pod for its Job and does not say why: kubectl describe job"
            f" {name}"
        )
    found = not_created(error)
    return erroneous(f"{found.reason}: {found.text(_SHOWN)}")


def _tried(gate: Gate, job: Manifest, there: Iterable[Manifest]) -> str:
    """Return the number of the present try, and how the previous try ended."""
    count = int((job.get("status") or {}).get("failed", 0))
    if not count or gate.job is None:
        return ""
    last = newest_of(pod for pod in there if (pod.get("status") or {}).get("phase") == "Failed")
    how = f"; the one before: {_how(gate, last)[0]}" if last is not None else ""
    return f", try {count + 1} of {gate.job.retries + 1}{how}"


def _end_of(pod: Manifest | None) -> Termination | None:
    found = terminations(pod) if pod is not None else []
    return next((each for each in found if each.container == GATE), None)


def _reason(ended: Termination | None) -> str:
    """Return the reason that the operator's own program gave; empty if it gave none."""
    reason = ended.report.get("reason") if ended is not None else None
    return reason if isinstance(reason, str) else ""


def _reported(ended: Termination) -> str:
    """Return what a container reported, in one line: its message, its JSON, or its log's end."""
    message = ended.report.get("message")
    if isinstance(message, str) and message:
        return " ".join(message.split())[:_SHOWN]
    text = " ".join(ended.log.split())
    if ended.report or len(text) <= _LAST:
        return text[:_SHOWN]
    return f"...{text[-_LAST:]}"
