"""Requests that change many stages at once, on a real API server.

CEL limits the cost of an expression, and an authorizer check is expensive: a policy that checks too
many stages in one expression refuses everyone, including administrators. Here every stage of a full
model changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelyard.api.history import RUNTIME_IMAGE
from tests.api.largest import EVERY, KINDS, largest_stages
from tests.chart.api import MODELS, RUNS, Answer, Api, Manifest, eventually, path_of
from tests.chart.helm import NAMESPACE, RELEASE
from tests.chart.models import made, may, model, names, refused

pytestmark = pytest.mark.api

STAGES = tuple(f"stage-{number}" for number in range(16))
LACKING = {f"all-but-{stage}": stage for stage in STAGES}
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
RIGHTS = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module")
def people(installed) -> Api:
    """The administrator's client; there is an editor for each stage, who may promote all other
    stages.
    """
    admin = Api(installed)
    for user, lacking in LACKING.items():
        resources = [f"registeredmodels/{stage}" for stage in STAGES if stage != lacking]
        rules = [{"apiGroups": ["modelyard.io"], "verbs": ["promote"], "resources": resources}]
        roles = path_of(f"{RIGHTS}/v1/clusterroles")
        assert admin.create(roles, {"metadata": {"name": user}, "rules": rules}).code == 201
        for role in (user, f"{RELEASE}-editor"):
            binding = {
                "metadata": {"name": f"{user}-{role}"},
                "roleRef": {"apiGroup": RIGHTS, "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": RIGHTS, "kind": "User", "name": user}],
            }
            assert admin.create(path_of(f"{RIGHTS}/v1/rolebindings", "risk"), binding).code == 201

    def in_force() -> bool:
        return all(
            may(admin, user, "update", "registeredmodels")
            and may(
                admin, user, "promote", "registeredmodels", STAGES[0 if lacking != STAGES[0] else 1]
            )
            for user, lacking in LACKING.items()
        )

    eventually(in_force, "the roles are in force")
    return admin


def full(version: str) -> dict[str, Any]:
    """Return as many stages as a model can have, each with a version."""
    return {stage: {"version": version} for stage in STAGES}


# Each prepares its objects as the administrator, and changes 16 stages as another user.
def create(admin: Api, person: Api) -> Answer:
    return person.create(path_of(MODELS, "risk"), model(next(names), full("v1")))


def patch(admin: Api, person: Api) -> Answer:
    return person.merge(made(admin, full("v1")), {"spec": {"stages": full("v2")}})


def clear(admin: Api, person: Api) -> Answer:
    return person.merge(made(admin, full("v1")), {"spec": {"stages": None}})


def apply(admin: Api, person: Api) -> Answer:
    path = made(admin, full("v1"))
    return person.apply(path, model(path.rsplit("/", 1)[1], full("v2")))


def apply_new(admin: Api, person: Api) -> Answer:
    body = model(next(names), full("v1"))
    return person.apply(path_of(MODELS, "risk", body["metadata"]["name"]), body)


def delete(admin: Api, person: Api) -> Answer:
    return person.delete(made(admin, full("v1")))


def delete_collection(admin: Api, person: Api) -> Answer:
    path = made(admin, full("v1"))
    sweep = path.rsplit("/", 1)[1]
    assert admin.merge(path, {"metadata": {"labels": {"sweep": sweep}}}).code == 200
    return person.delete(f"{path_of(MODELS, 'risk')}?labelSelector=sweep%3D{sweep}")


def everything(admin: Api, person: Api) -> Answer:
    """Change every guarded field of all stages, in a model with as many versions as possible."""
    declared = {f"v{number}": {"runId": f"run-{number}"} for number in range(1, 65)}
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt", "uid": "made-up"}
    other = {
        "version": "v2",
        "attempt": 1,
        "serving": {"replicas": 0, "runtime": {"workers": 2, "update": "Always"}},
    }
    path = made(admin, full("v1"), versions=declared)
    redeclared = {f"w{number}": {"runId": f"run-{number}"} for number in range(1, 65)}
    weekend = {"schedule": "0 18 * * 5", "duration": "62h", "reason": "weekend"}
    freezes = [
        weekend | {"stages": list(STAGES), "reason": f"weekend {number}"} for number in range(16)
    ]
    spec = {
        "stages": dict.fromkeys(STAGES, other),
        "drift": "Warn",
        "versions": dict.fromkeys(declared) | redeclared,
        "freeze": freezes,
        "dryRun": True,
    }
    return person.merge(
        f"{path}?dryRun=All", {"metadata": {"ownerReferences": [owner]}, "spec": spec}
    )


CHANGES = (create, patch, clear, apply, apply_new, delete, delete_collection, everything)
each_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
Change = Callable[[Api, Api], Answer]


@each_change
def test_an_administrator_changes_every_stage_at_once(people, change: Change):
    answer = change(people, people)
    assert answer.code in {200, 201}, answer.message


@each_change
def test_an_editor_with_the_right_on_every_stage_changes_them_at_once(people, change: Change):
    answer = change(people, people.as_user("lea-the-lead"))
    assert answer.code in {200, 201}, answer.message


@pytest.mark.parametrize(
    "change", [patch, clear, apply, delete, everything], ids=lambda change: change.__name__
)
def test_a_release_manager_who_is_no_editor_does_too(people, change: Change):
    answer = change(people, people.as_user("rita-the-release-manager"))
    assert answer.code in {200, 201}, answer.message


@each_change
def test_an_editor_may_change_none_of_them_and_the_message_names_them(people, change: Change):
    answer = change(people, people.as_user("dora-the-data-scientist"))
    assert refused(
        answer, "dora-the-data-scientist may not ", "stage ", "the verb promote", *STAGES
    )


@each_change
@pytest.mark.parametrize("user", LACKING)
def test_a_missing_right_for_one_stage_refuses_the_request(people, change: Change, user: str):
    """Each of the 16 stages is checked, wherever it is in the request."""
    answer = change(people, people.as_user(user))
    assert refused(
        answer, f"{user} may not ", f"registeredmodels/{LACKING[user]}", "the verb promote"
    )


@pytest.mark.parametrize("user", LACKING)
def test_the_other_fifteen_stages_are_changed_without_it(people, user: str):
    path = made(people, full("v1"))
    change = {stage: {"version": "v2"} for stage in STAGES if stage != LACKING[user]}
    answer = people.as_user(user).merge(path, {"spec": {"stages": change}})
    assert answer.code == 200, answer.message


def test_more_than_sixteen_stages_in_one_request_are_refused_in_a_sentence(people):
    """A model has at most 16 stages: only a request that changes their names affects more."""
    path = made(people, full("v1"))
    name = path.rsplit("/", 1)[1]
    renamed = {f"other-{stage}": {"version": "v1"} for stage in STAGES}
    answer = people.merge(path, {"spec": {"stages": dict.fromkeys(STAGES) | renamed}})
    assert answer.code == 422
    said = (
        f"this request changes 32 stages of risk/{name}: a request may change at most 16; split it"
    )
    assert said in answer.message
    assert people.merge(path, {"spec": {"stages": dict.fromkeys(STAGES)}}).code == 200
    assert people.merge(path, {"spec": {"stages": renamed}}).code == 200


@pytest.mark.parametrize("kind", [*KINDS, EVERY])
def test_sixteen_stages_with_eight_of_the_largest_gates_are_within_the_policies_budget(
    people, kind: str
):
    lea = people.as_user("lea-the-lead")
    first, then = (
        largest_stages(kind, version=version, requestedBy="lea-the-lead")
        for version in ("v1", "v2")
    )
    body = model(next(names), first)
    path = path_of(MODELS, "risk", body["metadata"]["name"])
    for answer in (
        lea.create(path_of(MODELS, "risk"), body),
        lea.merge(path, {"spec": {"stages": then}}),
        lea.apply(path, body),
        lea.merge(path, {"spec": {"stages": {name: {"gates": None} for name in first}}}),
        lea.delete(path),
    ):
        assert answer.code in {200, 201}, answer.message


def served(number: int, **more: Any) -> Manifest:
    runtime = {"image": "i" * RUNTIME_IMAGE, "revision": 3, "identity": "0a0a0a0a"}
    return {
        "version": f"v{number:02}-{'v' * 58}",
        "digest": f"sha256:{'1' * 64}",
        "runtime": runtime,
    } | more


def test_versions_that_sixteen_stages_use_cannot_be_removed(people):
    """As many versions as possible, with the longest names; one request removes them all, another
    the run of one.
    """
    operator, rita = people.as_user(OPERATOR), people.as_user("rita-the-release-manager")
    every = [served(number)["version"] for number in range(64)]
    names_ = [f"{number:02}{'s' * 28}" for number in range(16)]
    path = made(
        people,
        {name: {} for name in names_},
        versions={version: {"runId": "r" * 64} for version in every},
    )
    run_ = run(path.rsplit("/", 1)[1]) | {"metadata": {"name": "held-by-sixteen"}}
    assert people.create(path_of(RUNS, "risk"), run_).code == 201
    run_path = path_of(RUNS, "risk", "held-by-sixteen")
    came = {"mlflow": {"runId": "r" * 64, "experimentId": "1", "url": "http://mlflow"}}
    assert operator.merge(f"{run_path}/status", {"status": came}).code == 200
    where = {"trainingRun": "held-by-sixteen", "runId": "r" * 64, "uri": f"s3://{'b' * 494}"}
    until = {"untilTime": "2030-01-01T00:00:00Z"}
    stages = {
        name: served(number, candidate=served(16 + number), previous=served(32 + number, **until))
        for number, name in enumerate(names_)
    }
    status = {"versions": [{"name": version, **where} for version in every], "stages": stages}
    answer = operator.merge(f"{path}/status", {"status": status})
    assert answer.code == 200, answer.message
    assert refused(
        rita.merge(path, {"spec": {"versions": None}}), "give the stage another version first"
    )
    eventually(
        lambda: people.delete(f"{run_path}?dryRun=All").code == 403,
        "the policy sees the model's status",
    )
    assert refused(people.delete(run_path), "give the stage another version first")
    assert refused(
        rita.merge(path, {"spec": {"versions": {every[47]: None}}}),
        f"{names_[15]} keeps {every[47]} for a rollback until 2030",
    )
    assert rita.merge(path, {"spec": {"versions": dict.fromkeys(every[48:])}}).code == 200


# --- other kinds, which read the model as a parameter ---------------------------------------------
def run(registers: str) -> Manifest:
    spec = {
        "experiment": "fraud",
        "trainer": {"external": {}},
        "register": {"model": registers, "version": "v1"},
    }
    return {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": next(names)},
        "spec": spec,
    }


def test_a_training_run_whose_version_every_stage_wants(people):
    name = made(people, full("v1")).rsplit("/", 1)[1]
    path = path_of(RUNS, "risk")
    assert refused(
        people.as_user("dora-the-data-scientist").create(path, run(name)),
        *(f"stage {stage}" for stage in STAGES),
    )
    for user, stage in LACKING.items():
        assert refused(
            people.as_user(user).create(path, run(name)), "requests the version that", stage
        )
    for person in (people, people.as_user("lea-the-lead")):
        body = run(name)
        assert person.create(path, body).code == 201
        assert person.delete(path_of(RUNS, "risk", body["metadata"]["name"])).code == 200


def test_an_object_name_that_may_belong_to_fifteen_stages(people):
    """The policy ignores its own failures, so it must not fail, however many stages it has to
    check.
    """
    stages = ["-".join("a" * length) for length in range(1, 16)]
    name = made(people, {stage: {} for stage in stages}).rsplit("/", 1)[1]
    service = {"metadata": {"name": f"{name}-{stages[-1]}"}, "spec": {"ports": [{"port": 80}]}}
    path = path_of("v1/services", "risk") + "?dryRun=All"
    roles, bindings = (
        path_of(f"{RIGHTS}/v1/clusterroles"),
        path_of(f"{RIGHTS}/v1/rolebindings", "risk"),
    )
    promote = [
        {
            "apiGroups": ["modelyard.io"],
            "verbs": ["promote"],
            "resources": [f"registeredmodels/{stage}" for stage in stages[:-1]],
        }
    ]
    services = [{"apiGroups": [""], "verbs": ["create"], "resources": ["services"]}]
    for user, rules in {
        "all-but-the-longest": promote + services,
        "with-no-stage": services,
    }.items():
        assert people.create(roles, {"metadata": {"name": user}, "rules": rules}).code == 201
        reference = {"apiGroup": RIGHTS, "kind": "ClusterRole", "name": user}
        subject = [{"apiGroup": RIGHTS, "kind": "User", "name": user}]
        assert (
            people.create(
                bindings, {"metadata": {"name": user}, "roleRef": reference, "subjects": subject}
            ).code
            == 201
        )
        asked = people.as_user(user)
        eventually(
            lambda asked=asked: "names that begin with" in asked.create(path, service).message,
            f"{user} is refused",
        )
        assert all(stage in asked.create(path, service).message for stage in stages)
    answer = people.create(path, service)
    assert answer.code == 201, answer.message
