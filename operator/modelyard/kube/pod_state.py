"""Why a pod ended, does not start or cannot be created, by its status and its programs. Pure.

`pod_end` reads one pod, `workload_end` a Deployment or Job with its pods.
"""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from modelyard.api.pod_end import Exit, PodReason
from modelyard.kube.jobs import asked_to_end, failed

__all__ = [
    "PodEnd",
    "Termination",
    "is_ready",
    "not_created",
    "pod_end",
    "terminations",
    "workload_end",
]

Manifest = dict[str, Any]

_TEXT_LIMIT, _LOG_LIMIT = 2048, 4096
_PROGRAMS = {reason.value: reason for reason in PodReason if reason.exit_code is not None}
"""The reasons that our programs may report."""
_PULL = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
}
_CREATE = {"CreateContainerConfigError", "CreateContainerError"}
# Errors of a busy node's kubelet (pkg/kubelet/util/manager) and containerd; a retry succeeds.
_LATE = re.compile(
    r"^failed to sync \S+ cache: |context deadline exceeded|failed to reserve container name",
)
# The pod exceeded its own limit, not the node's (pkg/kubelet/eviction/eviction_manager.go).
_OWN_LIMIT = re.compile(r"exceeds the (total )?limit|exceeded its local ephemeral storage limit")
_KILLED = 137
"""128 + SIGKILL."""
_LOST = "ContainerStatusUnknown"
"""The kubelet's reason for a container that it no longer finds; it invents the exit code 137."""
_EVICTED = "Evicted"


@dataclass(frozen=True)
class Termination:
    """How a container ended.

    Attributes:
        container: Its name.
        exit_code: Its exit code.
        reason: Kubernetes' reason, such as OOMKilled.
        report: The JSON object that the program wrote as termination message; empty without one.
        log: The raw termination message: that object, or the last lines of the log.
        restarted: Whether the container was restarted since.

    """

    container: str
    exit_code: int
    reason: str
    report: dict[str, Any]
    log: str
    restarted: bool = False


@dataclass(frozen=True)
class PodEnd:
    """Why a pod ended, does not start or cannot be created.

    Attributes:
        reason: The reason, which has what to do and whether a retry may succeed.
        message: What happened, without what to do about it.
        container: The container that ended or waits; empty for the whole pod.
        exit_code: The container's exit code, once it has ended.
        log: Its last lines, unless the program reported a reason.
        ended: Whether the pod or container has ended; otherwise Kubernetes still tries to start it.

    """

    reason: PodReason
    message: str
    container: str = ""
    exit_code: int | None = None
    log: str = ""
    ended: bool = True

    @property
    def retryable(self) -> bool:
        """Whether a retry of the same version or run may succeed."""
        return self.reason.retryable

    @property
    def needs_action(self) -> bool:
        """Whether a user has to act first."""
        return self.reason.needs_action

    def text(self, limit: int = _TEXT_LIMIT) -> str:
        """Return what happened and what to do, in at most `limit` characters.

        Only the message is truncated, never the fix.
        """
        room = limit - len(self.reason.fix) - 4
        message = self.message.strip().rstrip(".")
        cut = f"{message}." if len(message) <= room else f"{message[:room]}..."
        return f"{cut} {self.reason.fix}"


def workload_end(
    workload: Manifest,
    pods: Iterable[Manifest],
    containers: Collection[str] | None = None,
) -> PodEnd | None:
    """Return why a Deployment or Job makes no progress; None if no problem is known.

    The newest pod counts first. A failed pod that is older than a ready one is ignored.

    Args:
        workload: The Deployment or Job.
        pods: Its pods, without those of other templates or attempts.
        containers: Containers whose end counts, without injected sidecars; None: all.

    """
    if (late := _deadline(workload)) is not None:
        return late
    newest_first = sorted(pods, key=_created, reverse=True)
    last_ready = max((_created(pod) for pod in newest_first if is_ready(pod)), default="")
    for pod in newest_first:
        if _phase(pod) == "Failed" and _created(pod) < last_ready:
            continue
        if (found := pod_end(pod, containers)) is not None:
            return found
    return _refused(workload) or _job_end(workload)


def pod_end(pod: Manifest, containers: Collection[str] | None = None) -> PodEnd | None:
    """Return why a pod ended, or does not start; None if no problem is known.

    Args:
        pod: The pod.
        containers: Containers whose end counts; None: all.

    """
    status = pod.get("status") or {}
    over = status.get("phase") == "Failed"
    # Kubernetes ended the pod, so how its containers ended has no meaning.
    if (over and status.get("reason")) or status.get("reason") == _EVICTED:
        return _failed(status)
    for ended in terminations(pod):
        if ended.exit_code == 0 or (containers is not None and ended.container not in containers):
            continue
        silent = ended.exit_code == Exit.STOPPED and not ended.report
        disrupted = (silent and asked_to_end(pod) is not None) or ended.reason == _LOST
        if not disrupted and not _killed(ended, pod):
            return _container_end(ended)
        # The kubelet reports an eviction only after the pod's containers have ended.
        if over or ended.restarted:
            return _disrupted_end(ended, pod) if disrupted else _killed_end(ended, pod)
    return _failed(status) if over else _waiting(pod)


def terminations(pod: Manifest) -> list[Termination]:
    """Return how the pod's containers ended, init containers first.

    A restarted container counts by its last end until it is ready.
    """
    found = []
    for status in _statuses(pod):
        state = status.get("state") or {}
        last = {} if status.get("ready") else status.get("lastState") or {}
        ended = state.get("terminated") or last.get("terminated")
        if ended is not None:
            text = ended.get("message") or ""
            found.append(
                Termination(
                    status["name"],
                    int(ended.get("exitCode", 0)),
                    ended.get("reason") or "",
                    _report(text),
                    text,
                    restarted=state.get("terminated") is None,
                )
            )
    return found


def _killed(ended: Termination, pod: Manifest) -> bool:
    """Return whether a container was killed without a reason: containerd may lose OOMKilled."""
    silent = ended.reason != "OOMKilled" and not ended.report
    return ended.exit_code == _KILLED and silent and not _probed(pod, ended.container)


def _killed_end(ended: Termination, pod: Manifest) -> PodEnd:
    """Read a killed container: besides the kernel and probes, only the end of its pod kills it."""
    return _out_of_memory(ended) if asked_to_end(pod) is None else _disrupted_end(ended, pod)


def _disrupted_end(ended: Termination, pod: Manifest) -> PodEnd:
    """Read a container whose pod was deleted, evicted or preempted, or that its node lost."""
    found = _condition(pod, "DisruptionTarget", "True") or {}
    why = f"{found.get('reason') or 'Deleted'}: {found.get('message') or 'the pod was deleted'}"
    if ended.reason == _LOST and asked_to_end(pod) is None:
        why = f"{_LOST}: {ended.log[:_TEXT_LIMIT] or 'the container was gone'}"
    text = f"The container {ended.container} was killed with its pod: {why}"
    return PodEnd(PodReason.POD_FAILED, text, ended.container, ended.exit_code)


def _out_of_memory(ended: Termination) -> PodEnd:
    message = f"The container {ended.container} used more memory than its limit."
    return PodEnd(
        PodReason.OUT_OF_MEMORY, message, ended.container, ended.exit_code, ended.log[-_LOG_LIMIT:]
    )


def _container_end(ended: Termination) -> PodEnd:
    reason, text = ended.report.get("reason"), ended.report.get("message")
    text = text if isinstance(text, str) else ""
    if isinstance(reason, str) and reason in _PROGRAMS:
        return PodEnd(_PROGRAMS[reason], text or reason, ended.container, ended.exit_code)
    log = ended.log[-_LOG_LIMIT:]
    if ended.reason == "OOMKilled":
        return _out_of_memory(ended)
    message = f"The container {ended.container} ended with exit code {ended.exit_code}"
    return PodEnd(
        PodReason.CONTAINER_FAILED,
        f"{message}: {text}" if text else f"{message}.",
        ended.container,
        ended.exit_code,
        "" if text else log,
    )


def _failed(status: Manifest) -> PodEnd:
    """Read a pod that Kubernetes ended as a whole, by an eviction or because its node was lost."""
    word, message = str(status.get("reason") or ""), str(status.get("message") or "")
    text = f"The pod failed: {word} {message}".strip().rstrip(":")
    if word != _EVICTED:
        return PodEnd(PodReason.POD_FAILED, text)
    return PodEnd(PodReason.VOLUME_FULL if _OWN_LIMIT.search(message) else PodReason.EVICTED, text)


def _waiting(pod: Manifest) -> PodEnd | None:
    """Read why a pod does not start, from the kubelet and the scheduler."""
    for status in _statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        word, message = waiting.get("reason") or "", waiting.get("message") or ""
        name = str(status.get("name", ""))
        if word in _PULL:
            text = f"{status.get('image')} (pull secrets: {_pull_secrets(pod)}): {message or word}"
            return PodEnd(PodReason.IMAGE_PULL_FAILED, text, name, ended=False)
        if word in _CREATE and not _LATE.search(message):
            return PodEnd(PodReason.CONFIGURATION_MISSING, message or word, name, ended=False)
        if word == "CrashLoopBackOff":
            return PodEnd(PodReason.CRASH_LOOP, message or word, name, ended=False)
    scheduled = _condition(pod, "PodScheduled", "False")
    if scheduled is not None and scheduled.get("reason") == "Unschedulable":
        text = scheduled.get("message") or "No node fits."
        return PodEnd(PodReason.UNSCHEDULABLE, text, ended=False)
    return None


def _refused(workload: Manifest) -> PodEnd | None:
    """Read why a Deployment's pods cannot be created. For a Job, only events have the reason."""
    found = _condition(workload, "ReplicaFailure", "True")
    if found is None:
        return None
    return not_created(str(found.get("message") or "Its pods cannot be created."))


def not_created(message: str) -> PodEnd:
    """Return why Kubernetes cannot create a pod, from its message."""
    reason = PodReason.QUOTA_EXCEEDED if "exceeded quota" in message else PodReason.POD_REFUSED
    return PodEnd(reason, message, ended=False)


def _deadline(workload: Manifest) -> PodEnd | None:
    """Read a Job that exceeded its deadline, which ended its pods, whatever their statuses say."""
    condition = _job_failure(workload)
    if condition is None or condition.get("reason") != "DeadlineExceeded":
        return None
    message = condition.get("message") or "The Job exceeded its deadline."
    return PodEnd(PodReason.DEADLINE_EXCEEDED, message)


def _job_end(workload: Manifest) -> PodEnd | None:
    """Read a failed Job whose pods have no reason."""
    condition = _job_failure(workload)
    if condition is None:
        return None
    return PodEnd(PodReason.POD_FAILED, condition.get("message") or "The Job failed.")


def _job_failure(workload: Manifest) -> dict[str, Any] | None:
    return failed(workload) if workload.get("kind") == "Job" else None


def _report(text: str) -> dict[str, Any]:
    if not text.lstrip().startswith("{"):
        return {}
    try:
        report = json.loads(text)
    except (ValueError, RecursionError):  # the container, which wrote the text, is untrusted
        return {}
    return report if isinstance(report, dict) else {}


def _statuses(pod: Manifest) -> list[dict[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _condition(of: Manifest, type_: str, status: str) -> dict[str, Any] | None:
    conditions = (of.get("status") or {}).get("conditions") or []
    wanted = (type_, status)
    return next((c for c in conditions if (c.get("type"), c.get("status")) == wanted), None)


def _pull_secrets(pod: Manifest) -> str:
    """Return the names of a pod's pull secrets; the kubelet skips a missing one."""
    named = (pod.get("spec") or {}).get("imagePullSecrets") or []
    return ", ".join(str(each.get("name")) for each in named) or "none"


def _probed(pod: Manifest, container: str) -> bool:
    containers = (pod.get("spec") or {}).get("containers") or []
    return any(each.get("name") == container and "livenessProbe" in each for each in containers)


def _phase(pod: Manifest) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def is_ready(pod: Manifest) -> bool:
    """Return whether a pod is ready."""
    return _condition(pod, "Ready", "True") is not None


def _created(pod: Manifest) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))
