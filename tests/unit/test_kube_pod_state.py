"""Why pods end, do not start or cannot be created: the words of Kubernetes and of our programs, and
the reason read from them.
"""

import json
from typing import Any

import pytest

from modelyard.api.pod_end import PodReason
from modelyard.kube.pod_state import PodEnd, pod_end, terminations, workload_end
from modelyard.plan import Manifest
from modelyard.registered_model import build as serving
from modelyard.training_run import build as training
from tests.unit.builders import (
    RUNTIME,
    job,
    live,
    pod,
    registered_model,
    terminated,
    training_run,
    waiting,
)
from tests.unit.models import AROUND, A, served

JOB = training.job(training_run(), 1, "r1", RUNTIME)
MODEL = registered_model(stages={"production": {"version": "va"}})
WHAT = served(A)
TEMPLATE = serving.template(MODEL, "production", WHAT, str(A.uri), RUNTIME.pull_policy)
DEPLOYMENT = live(
    serving.deployment(MODEL, "production", WHAT, TEMPLATE, replicas=2, pod_settings=AROUND), {}
)

NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available",
}
READY = {"type": "Ready", "status": "True"}
# As the API server 1.34 and its admission plugins word them.
QUOTA = (
    'pods "fraud-1" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=2, limited:'
    " pods=2"
)
SECURITY = (
    'pods "fraud-1" is forbidden: violates PodSecurity "restricted:latest":'
    " allowPrivilegeEscalation != false"
)
RANGE = 'pods "fraud-1" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi'
# As the kubelet 1.34 words them (pkg/kubelet/eviction/eviction_manager.go).
NODE_LOW = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. "
POD_LIMIT = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "
CONTAINER_LIMIT = 'Container trainer exceeded its local ephemeral storage limit "1Gi". '
VOLUME_LIMIT = 'Usage of EmptyDir volume "tmp" exceeds the limit "1Gi". '


def ended(code: int, text: str = "", reason: str = "", **more: Any) -> PodEnd | None:
    return pod_end(pod(JOB, "Failed", statuses=[terminated(code, text, reason, **more)]))


def refused(message: str) -> Manifest:
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": message,
    }
    return DEPLOYMENT | {"status": {"conditions": [condition]}}


def evicted(message: str) -> PodEnd | None:
    return pod_end(pod(JOB, "Failed", reason="Evicted", message=message))


def stuck(word: str, text: str = "") -> PodEnd | None:
    return pod_end(pod(JOB, "Pending", statuses=[waiting(word, text)]))


PROGRAMS = [reason for reason in PodReason if reason.exit_code is not None]
KUBERNETES = {
    PodReason.CONTAINER_FAILED: lambda: ended(1, "Traceback: boom", "Error"),
    PodReason.POD_FAILED: lambda: pod_end(
        pod(JOB, "Failed", reason="NodeShutdown", message="It was terminated.")
    ),
    PodReason.OUT_OF_MEMORY: lambda: ended(137, "", "OOMKilled"),
    PodReason.EVICTED: lambda: evicted(NODE_LOW),
    PodReason.DEADLINE_EXCEEDED: lambda: workload_end(job(JOB, "Failed", "DeadlineExceeded"), []),
    PodReason.CRASH_LOOP: lambda: stuck("CrashLoopBackOff", "back-off 10s"),
    PodReason.IMAGE_PULL_FAILED: lambda: stuck("ErrImagePull", "not found"),
    PodReason.CONFIGURATION_MISSING: lambda: stuck(
        "CreateContainerConfigError", 'secret "x" not found'
    ),
    PodReason.UNSCHEDULABLE: lambda: pod_end(pod(JOB, "Pending", conditions=[NO_NODE])),
    PodReason.QUOTA_EXCEEDED: lambda: workload_end(refused(QUOTA), []),
    PodReason.POD_REFUSED: lambda: workload_end(refused(SECURITY), []),
}


# --- every reason ---------------------------------------------------------------------------------
def test_every_reason_comes_from_a_program_or_from_kubernetes():
    assert {*PROGRAMS, *KUBERNETES} == set(PodReason)
    assert len(PROGRAMS) + len(KUBERNETES) == len(PodReason)


@pytest.mark.parametrize("reason", PROGRAMS)
def test_a_reason_from_a_program_is_read_unchanged(reason: PodReason):
    found = ended(int(reason.exit_code or 0), json.dumps({"reason": reason, "message": "so it is"}))
    assert found == PodEnd(reason, "so it is", "trainer", int(reason.exit_code or 0))
    assert (found.retryable, found.needs_action) == (reason.retryable, reason.needs_action)


@pytest.mark.parametrize("reason", KUBERNETES)
def test_reasons_of_kubernetes_are_distinguished(reason: PodReason):
    found = KUBERNETES[reason]()
    assert found is not None
    assert found.reason is reason


@pytest.mark.parametrize("reason", KUBERNETES)
def test_a_container_cannot_give_kubernetes_reasons(reason: PodReason):
    """The trainer's image is untrusted."""
    found = ended(3, json.dumps({"reason": reason, "message": "so it is"}))
    assert found == PodEnd(
        PodReason.CONTAINER_FAILED,
        "The container trainer ended with exit code 3: so it is",
        "trainer",
        3,
    )


# --- containers that ended ------------------------------------------------------------------------
def test_the_last_lines_of_the_log_are_kept_and_bounded():
    found = ended(1, "x" * 9000 + "the end", "Error")
    assert found
    assert (found.message, len(found.log), found.log[-7:]) == (
        "The container trainer ended with exit code 1.",
        4096,
        "the end",
    )


def test_containers_say_how_they_ended_init_containers_first():
    said = {"reason": "DatasetUnavailable", "message": "no such key"}
    data = terminated(66, json.dumps(said), name="data", init=True)
    broken = pod(JOB, "Failed", statuses=[terminated(1, "Traceback", "Error"), data])
    found = terminations(broken)
    assert [(each.container, each.exit_code, each.reason) for each in found] == [
        ("data", 66, ""),
        ("trainer", 1, "Error"),
    ]
    assert (found[0].report, found[1].report, found[1].log) == (said, {}, "Traceback")
    assert (
        pod_end(broken) or PodEnd(PodReason.EVICTED, "")
    ).reason is PodReason.DATASET_UNAVAILABLE


@pytest.mark.parametrize(
    "text",
    ["", "plain", "[1]", "{", '{"a":' + "[" * 4000, '{"a": ' + "1" * 5000 + "}", '"text"', "null"],
)
def test_a_termination_message_may_be_anything(text: str):
    """The text comes from the container, and the container may be anyone's."""
    (found,) = terminations(pod(JOB, statuses=[terminated(1, text)]))
    assert (found.report, found.log) == ({}, text)


@pytest.mark.parametrize(
    "said",
    [{"reason": ["x"], "message": {}}, {"reason": "Sabotage", "message": 3}, {"message": None}],
)
def test_empty_messages_are_not_repeated(said: dict[str, Any]):
    assert (
        ended(1, json.dumps(said)) or PodEnd(PodReason.EVICTED, "")
    ).message == "The container trainer ended with exit code 1."


def again(now: Manifest, **more: Any) -> Manifest:
    """Return the status of a container that ran out of memory and was restarted."""
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": ""}}
    return {"name": "model", "state": now, "lastState": last, "ready": False} | more


def test_a_restarted_container_counts_by_its_last_termination_until_it_is_ready():
    for state in ({"waiting": {"reason": "CrashLoopBackOff"}}, {"running": {}}):
        found = pod_end(pod(DEPLOYMENT, statuses=[again(state)]))
        assert (found and found.reason) is PodReason.OUT_OF_MEMORY
    assert pod_end(pod(DEPLOYMENT, statuses=[again({"running": {}}, ready=True)])) is None
    done = again({"terminated": {"exitCode": 0}}, name="fetch", ready=True, init=True)
    assert pod_end(pod(DEPLOYMENT, statuses=[done])) is None, "the second try succeeded"


def test_a_killed_container_ran_out_of_memory_unless_a_probe_may_have_killed_it():
    """Seen on a busy node: exit code 137, reason Error, no OOMKilled."""
    assert (
        ended(137, "", "Error") or PodEnd(PodReason.EVICTED, "")
    ).reason is PodReason.OUT_OF_MEMORY
    server = pod(DEPLOYMENT, statuses=[terminated(137, "", "Error", name="model")])
    server["spec"] = DEPLOYMENT["spec"]["template"]["spec"]
    assert (pod_end(server) or PodEnd(PodReason.EVICTED, "")).reason is PodReason.CONTAINER_FAILED
    spoke = ended(137, json.dumps({"message": "stopped by hand"}), "Error")
    assert (spoke and spoke.reason) is PodReason.CONTAINER_FAILED


def test_a_killed_container_of_an_unfinished_pod_has_no_reason_yet():
    """Eviction for disk pressure: the kubelet kills the containers first and reports the reason
    afterwards.
    """
    killed = terminated(137, "", "Error")
    assert pod_end(pod(JOB, "Running", statuses=[killed])) is None
    assert (
        pod_end(
            pod(JOB, "Pending", statuses=[terminated(137, "", "Error", name="data", init=True)])
        )
        is None
    )
    says = pod_end(pod(JOB, "Running", reason="Evicted", message=POD_LIMIT, statuses=[killed]))
    assert (says and says.reason) is PodReason.VOLUME_FULL
    restarted = again({"running": {}}, name="fetch")
    restarted["lastState"]["terminated"]["reason"] = "Error"
    found = pod_end(pod(DEPLOYMENT, statuses=[restarted]))
    assert (found and found.reason) is PodReason.OUT_OF_MEMORY


def test_a_container_lost_with_its_node_did_not_run_out_of_memory():
    lost = terminated(
        137,
        "The container could not be located when the pod was terminated",
        "ContainerStatusUnknown",
    )
    assert pod_end(pod(JOB, "Running", statuses=[lost])) is None
    found = pod_end(pod(JOB, "Failed", statuses=[lost]))
    assert found is not None
    assert (found.reason, "could not be located" in found.message) == (PodReason.POD_FAILED, True)


@pytest.mark.parametrize("code", [137, 143])
@pytest.mark.parametrize("sign", ["condition", "deletion"])
def test_a_container_killed_with_its_pod_did_not_run_out_of_memory(sign: str, code: int):
    over = pod(JOB, "Failed", statuses=[terminated(code, "", "Error")])
    if sign == "condition":
        moved = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": "preempted",
        }
        over["status"]["conditions"] = [moved | {"lastTransitionTime": "2026-01-01T12:00:00Z"}]
    else:
        over["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    found = pod_end(over)
    assert found is not None
    assert (found.reason, "memory" in found.text()) == (PodReason.POD_FAILED, False)
    assert "was killed with its pod" in found.message


def test_ends_of_injected_containers_are_ignored():
    sidecar = terminated(143, "", "Error", name="proxy")
    broken = pod(JOB, "Running", statuses=[sidecar])
    assert pod_end(broken, {"data", "trainer"}) is None
    assert pod_end(broken) is not None


# --- pods that Kubernetes ended -------------------------------------------------------------------
@pytest.mark.parametrize("message", [POD_LIMIT, CONTAINER_LIMIT, VOLUME_LIMIT])
def test_a_pod_evicted_for_its_own_writes_filled_its_volume(message: str):
    found = evicted(message)
    assert found is not None
    assert (found.reason, found.needs_action) == (PodReason.VOLUME_FULL, True)
    assert message.strip().rstrip(".") in found.text()


def test_exit_codes_of_an_eviction_are_ignored():
    """The kubelet kills the containers: 137, like one that used too much memory."""
    killed = pod(
        JOB, "Failed", reason="Evicted", message=POD_LIMIT, statuses=[terminated(137, "", "Error")]
    )
    found = pod_end(killed)
    assert (found and found.reason) is PodReason.VOLUME_FULL
    assert (workload_end(job(JOB, "Failed", "BackoffLimitExceeded"), [killed]) or found) == found


def test_an_eviction_for_a_problem_of_the_node_is_not_the_pod_s_fault():
    found = evicted(NODE_LOW)
    assert found is not None
    assert (found.reason, found.needs_action, found.retryable) == (PodReason.EVICTED, False, True)


# --- pods that do not start -----------------------------------------------------------------------
def test_a_failed_image_pull_is_reported_with_the_pod_s_pull_secrets():
    there = pod(JOB, "Pending", statuses=[waiting("ErrImagePull", "401 Unauthorized")])
    there |= {
        "spec": there["spec"] | {"imagePullSecrets": [{"name": "registry"}, {"name": "mirror"}]}
    }
    found = pod_end(there)
    assert found is not None
    assert found.message == "registry/image:1 (pull secrets: registry, mirror): 401 Unauthorized"
    assert (
        "create the pull secret in this namespace (imagePullSecrets of chart or run)"
        in found.text()
    )


@pytest.mark.parametrize(
    ("word", "text", "reason", "message"),
    [
        (
            "ErrImagePull",
            "not found",
            PodReason.IMAGE_PULL_FAILED,
            "registry/image:1 (pull secrets: none): not found",
        ),
        (
            "ImagePullBackOff",
            "",
            PodReason.IMAGE_PULL_FAILED,
            "registry/image:1 (pull secrets: none): ImagePullBackOff",
        ),
        (
            "InvalidImageName",
            "",
            PodReason.IMAGE_PULL_FAILED,
            "registry/image:1 (pull secrets: none): InvalidImageName",
        ),
        (
            "CreateContainerConfigError",
            'secret "x" not found',
            PodReason.CONFIGURATION_MISSING,
            'secret "x" not found',
        ),
        (
            "CreateContainerError",
            "no command specified",
            PodReason.CONFIGURATION_MISSING,
            "no command specified",
        ),
        ("CrashLoopBackOff", "back-off 10s", PodReason.CRASH_LOOP, "back-off 10s"),
    ],
)
def test_why_a_container_waits(word: str, text: str, reason: PodReason, message: str):
    expected = PodEnd(reason, message, "trainer", ended=False)
    assert stuck(word, text) == expected
    assert pod_end(pod(JOB, "Pending", statuses=[waiting(word, text, init=True)])) == expected


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("ContainerCreating", ""),
        ("PodInitializing", ""),
        (
            "CreateContainerConfigError",
            "failed to sync secret cache: timed out waiting for the condition",
        ),
        ("CreateContainerError", "context deadline exceeded"),
        (
            "CreateContainerError",
            'failed to reserve container name "a": name "a" is reserved for "b"',
        ),
    ],
)
def test_a_starting_container_has_no_problem(word: str, text: str):
    assert stuck(word, text) is None


def test_a_pod_that_fits_no_node_is_unschedulable():
    assert pod_end(pod(JOB, "Pending", conditions=[NO_NODE])) == PodEnd(
        PodReason.UNSCHEDULABLE, NO_NODE["message"], ended=False
    )
    assert (
        pod_end(pod(JOB, "Pending", conditions=[NO_NODE | {"reason": "SchedulingGated"}])) is None
    )
    assert pod_end(pod(JOB, "Pending", conditions=[NO_NODE | {"status": "True"}])) is None


def test_a_pod_without_a_status_has_no_problem():
    assert pod_end({"kind": "Pod", "metadata": {"name": "a"}}) is None
    assert terminations({"kind": "Pod", "metadata": {"name": "a"}, "status": None}) == []


# --- pods that cannot be created, and several pods ------------------------------------------------
@pytest.mark.parametrize(
    ("message", "reason"),
    [(QUOTA, "QuotaExceeded"), (SECURITY, "PodRefused"), (RANGE, "PodRefused"), ("", "PodRefused")],
)
def test_the_reason_for_uncreatable_pods_names_who_refuses(message: str, reason: str):
    found = workload_end(refused(message), [])
    assert found is not None
    assert (found.reason, found.ended, found.needs_action) == (reason, False, True)
    assert found.message == (message or "Its pods cannot be created.")


def test_a_past_refusal_is_ignored():
    there = refused(QUOTA)
    there["status"]["conditions"][0]["status"] = "False"
    assert workload_end(there, []) is None


def aged(second: int, **status: Any) -> Manifest:
    found = pod(DEPLOYMENT, name=f"pod-{second}", **status)
    found["metadata"]["creationTimestamp"] = f"2026-01-01T12:00:{second:02}Z"
    return found


def test_the_newest_failing_pod_counts_whatever_the_order():
    old, new = (
        aged(1, statuses=[terminated(1, name="model")]),
        aged(2, phase="Pending", conditions=[NO_NODE]),
    )
    for pods in ([old, new], [new, old]):
        assert (
            workload_end(DEPLOYMENT, pods) or PodEnd(PodReason.EVICTED, "")
        ).reason is PodReason.UNSCHEDULABLE
    starting = aged(3, phase="Pending")
    assert (
        workload_end(DEPLOYMENT, [old, starting]) or PodEnd(PodReason.EVICTED, "")
    ).reason is PodReason.CONTAINER_FAILED


def test_a_pod_that_failed_before_another_was_ready_is_ignored():
    gone = aged(1, phase="Failed", reason="Evicted", message=POD_LIMIT)
    assert (
        workload_end(DEPLOYMENT, [gone, aged(3, phase="Pending")]) or PodEnd(PodReason.EVICTED, "")
    ).reason is PodReason.VOLUME_FULL
    assert (
        workload_end(DEPLOYMENT, [gone, aged(2, conditions=[READY]), aged(3, phase="Pending")])
        is None
    )


def test_a_failed_job_has_the_reason_of_its_newest_pod():
    there = job(JOB, "Failed", "BackoffLimitExceeded")
    found = workload_end(there, [pod(JOB, "Failed", statuses=[terminated(137, "", "OOMKilled")])])
    assert (found and found.reason) is PodReason.OUT_OF_MEMORY
    assert (workload_end(there, []) or PodEnd(PodReason.EVICTED, "")).reason is PodReason.POD_FAILED
    assert workload_end(job(JOB), []) is None


def test_a_deadline_outweighs_the_reasons_of_the_pods_that_it_ended():
    found = workload_end(
        job(JOB, "Failed", "DeadlineExceeded"), [pod(JOB, "Failed", statuses=[terminated(143)])]
    )
    assert (found and found.reason) is PodReason.DEADLINE_EXCEEDED


# --- what users read ------------------------------------------------------------------------------
@pytest.mark.parametrize("reason", list(PodReason))
def test_a_text_truncates_the_message_and_never_the_fix(reason: PodReason):
    found = PodEnd(reason, "word " * 900)
    assert len(found.text(300)) <= 300
    assert found.text(300).endswith(f"... {reason.fix}")
    assert PodEnd(reason, "It is so.").text() == f"It is so. {reason.fix}"


@pytest.mark.parametrize("reason", list(PodReason))
def test_every_reason_says_what_to_do_in_whole_sentences(reason: PodReason):
    assert reason.fix[0].isupper()
    assert reason.fix.endswith(".")
    assert 15 < len(reason.fix) < 160
    assert reason.retryable or reason.needs_action, "what never ends differently needs someone"
