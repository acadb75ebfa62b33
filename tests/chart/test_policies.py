"""Users with the chart's roles promote, purge and write, on a real API server with its policies."""

from __future__ import annotations

import pytest

from tests.chart.api import EXPERIMENTS, MODELS, RUNS, Api, Manifest, eventually, path_of
from tests.chart.helm import NAMESPACE, RELEASE
from tests.chart.models import held, made, may, model, names, refused

pytestmark = pytest.mark.api

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"


@pytest.fixture
def admin(installed) -> Api:
    return Api(installed)


# --- promotion ------------------------------------------------------------------------------------
def test_a_data_scientist_may_not_promote_by_patch_and_the_message_names_the_missing_right(admin):
    path = made(admin, {"production": {"version": "v1"}})
    answer = admin.as_user("dora-the-data-scientist").merge(path, held("production", "v2"))
    name = path.rsplit("/", 1)[1]
    assert refused(
        answer,
        f"dora-the-data-scientist may not change stage production (version) of risk/{name}: "
        "it needs the verb promote on registeredmodels/production in group modelyard.io",
    )
    assert admin.get(path).body["spec"]["stages"]["production"]["version"] == "v1"


def test_a_release_manager_promotes_rolls_back_and_clears_any_stage(admin):
    rita, path = (
        admin.as_user("rita-the-release-manager"),
        made(admin, {"production": {"version": "v1"}}),
    )
    for stage, version in (
        ("production", "v2"),
        ("production", "v1"),
        ("eu-canary", "v2"),
        ("production", None),
    ):
        assert rita.merge(path, held(stage, version)).code == 200
    assert "version" not in admin.get(path).body["spec"]["stages"]["production"]


@pytest.mark.parametrize(
    ("user", "allowed"),
    [
        ("dora-the-data-scientist", False),
        ("lea-the-lead", True),
        ("rita-the-release-manager", True),
    ],
)
def test_server_side_apply_is_judged_the_same_way(admin, user, allowed):
    path = made(admin, {"production": {"version": "v1"}})
    body = model(path.rsplit("/", 1)[1], {"production": {"version": "v2"}})
    answer = admin.as_user(user).apply(path, body)
    assert (
        answer.code == 200 if allowed else refused(answer, "stage production", "the verb promote")
    )


def test_an_update_is_judged_the_same_way(admin):
    path = made(admin, {"production": {"version": "v1"}})
    body = admin.get(path).body
    body["spec"]["stages"]["production"]["version"] = "v2"
    assert refused(
        admin.as_user("dora-the-data-scientist").ask("PUT", path, body), "stage production"
    )
    assert admin.as_user("rita-the-release-manager").ask("PUT", path, body).code == 200


def test_creating_a_model_with_a_version_in_a_stage_is_promoting(admin):
    dora, lea = admin.as_user("dora-the-data-scientist"), admin.as_user("lea-the-lead")
    body = model(next(names), {"staging": {"version": "v1"}, "production": {}})
    assert refused(dora.create(path_of(MODELS, "risk"), body), "stage staging (version) of risk/")
    assert refused(
        dora.apply(path_of(MODELS, "risk", body["metadata"]["name"]), body),
        "stage staging (version) of risk/",
    )
    assert dora.create(path_of(MODELS, "risk"), model(next(names), {"production": {}})).code == 201
    assert dora.create(path_of(MODELS, "risk"), model(next(names))).code == 201
    assert lea.create(path_of(MODELS, "risk"), body).code == 201


def test_clearing_or_removing_a_stage_is_changing_its_version(admin):
    dora, path = (
        admin.as_user("dora-the-data-scientist"),
        made(admin, {"production": {"version": "v1"}, "staging": {}}),
    )
    assert refused(dora.merge(path, held("production", None)), "stage production")
    assert refused(dora.merge(path, {"spec": {"stages": {"production": None}}}), "stage production")
    assert refused(dora.merge(path, {"spec": {"stages": None}}), "stage production")
    assert dora.merge(path, {"spec": {"stages": {"staging": None}}}).code == 200


def test_a_stage_that_is_null_is_the_same_as_one_without_a_version(admin):
    dora, path = (
        admin.as_user("dora-the-data-scientist"),
        made(admin, {"production": {"version": "v1"}, "staging": {}}),
    )
    body = model(path.rsplit("/", 1)[1], {"staging": {"version": None}})
    assert dora.apply(path, body).code == 200
    assert (
        dora.create(
            path_of(MODELS, "risk"), model(next(names), {"production": {"version": None}})
        ).code
        == 201
    )
    assert refused(dora.merge(path, held("staging", "v1")), "stage staging")


def test_raising_the_attempt_of_a_stage_is_promoting(admin):
    """It tries a rejected version again, or replaces the pods of the effective one."""
    dora, path = (
        admin.as_user("dora-the-data-scientist"),
        made(admin, {"production": {"version": "v1"}, "staging": {}}),
    )
    raised = {"spec": {"stages": {"production": {"attempt": 1}}}}
    assert refused(dora.merge(path, raised), "may not change stage production (attempt) of risk/")
    assert refused(
        dora.merge(path, {"spec": {"stages": {"new": {"attempt": 1}}}}),
        "stage new (attempt) of risk/",
    )
    assert (
        admin.as_user("stan-of-staging")
        .merge(path, {"spec": {"stages": {"staging": {"attempt": 1}}}})
        .code
        == 200
    )
    assert admin.as_user("rita-the-release-manager").merge(path, raised).code == 200
    assert dora.merge(path, {"spec": {"stages": {"production": {"reason": "words"}}}}).code == 200
    assert (
        dora.merge(
            path, {"spec": {"stages": {"production": {"attempt": 1, "serving": {"replicas": 2}}}}}
        ).code
        == 200
    )


def test_a_data_scientist_changes_everything_but_versions_of_stages(admin):
    dora, path = (
        admin.as_user("dora-the-data-scientist"),
        made(admin, {"production": {"version": "v1"}}),
    )
    change = {
        "metadata": {"labels": {"team": "risk"}},
        "spec": {
            "description": "better words",
            "versions": {"v3": {"runId": "run-3"}},
            "stages": {
                "production": {"serving": {"replicas": 2}},
                "staging": {"serving": {"replicas": 0}},
            },
        },
    }
    assert dora.merge(path, change).code == 200


def test_a_right_for_one_stage_is_for_that_stage_only(admin):
    stan, path = (
        admin.as_user("stan-of-staging"),
        made(admin, {"staging": {"version": "v1"}, "production": {"version": "v1"}}),
    )
    assert stan.merge(path, held("staging", "v2")).code == 200
    assert refused(stan.merge(path, held("production", "v2")), "stage production")
    both = {"spec": {"stages": {"staging": {"version": "v1"}, "production": {"version": "v2"}}}}
    assert refused(stan.merge(path, both), "production")  # both stages are named, in any order
    assert admin.get(path).body["spec"]["stages"]["staging"]["version"] == "v2"


def test_a_right_for_one_model_is_for_that_model_only(admin):
    fred, path = (
        admin.as_user("fred-of-fraud"),
        made(admin, {"production": {"version": "v1"}}, name="fraud"),
    )
    other = made(admin, {"production": {"version": "v1"}})
    assert fred.merge(path, held("production", "v2")).code == 200
    assert refused(fred.merge(other, held("production", "v2")), "stage production")
    admin.delete(path)


def test_deleting_a_model_empties_its_stages(admin):
    dora, lea = admin.as_user("dora-the-data-scientist"), admin.as_user("lea-the-lead")
    path = made(admin, {"production": {"version": "v1"}, "staging": {}})
    name = path.rsplit("/", 1)[1]
    assert refused(
        dora.delete(path),
        f"may not delete risk/{name}: stage production requests v1: it needs the verb promote",
    )
    assert lea.delete(path).code == 200
    idle = made(admin, {"production": {}})
    assert dora.delete(idle).code == 200


def test_deleting_a_collection_is_no_way_around(admin):
    labels = {"metadata": {"labels": {"sweep": "yes"}}}
    busy, idle = made(admin, {"production": {"version": "v1"}}), made(admin)
    for path in (busy, idle):
        assert admin.merge(path, labels).code == 200
    answer = admin.as_user("dora-the-data-scientist").delete(
        path_of(MODELS, "risk") + "?labelSelector=sweep%3Dyes"
    )
    assert refused(answer, "the verb promote", busy.rsplit("/", 1)[1])
    assert admin.get(busy).code == 200
    assert (
        admin.as_user("lea-the-lead")
        .delete(path_of(MODELS, "risk") + "?labelSelector=sweep%3Dyes")
        .code
        == 200
    )


def test_the_operator_writes_finalizer_and_status_and_cannot_promote(admin):
    operator, path = (
        admin.as_user(OPERATOR),
        made(admin, {"production": {"version": "v1"}}, deletionPolicy="Delete"),
    )
    assert (
        operator.merge(path, {"metadata": {"finalizers": ["modelyard.io/external-cleanup"]}}).code
        == 200
    )
    assert operator.merge(f"{path}/status", {"status": {"observedGeneration": 1}}).code == 200
    assert operator.merge(path, {"metadata": {"finalizers": None}}).code == 200
    # By the policy for promoting, or by the operator's own fence.
    assert refused(operator.merge(path, held("production", "v2")), "ValidatingAdmissionPolicy")
    assert admin.get(path).body["spec"]["stages"]["production"]["version"] == "v1"


# --- purging --------------------------------------------------------------------------------------
def experiment(name: str, policy: str = "Retain") -> Manifest:
    return {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {"deletionPolicy": policy},
    }


DELETE, RETAIN = {"spec": {"deletionPolicy": "Delete"}}, {"spec": {"deletionPolicy": "Retain"}}


@pytest.mark.parametrize(
    ("resource", "plural"), [(EXPERIMENTS, "experiments"), (MODELS, "registeredmodels")]
)
def test_requesting_deletion_in_mlflow_needs_the_verb_purge(admin, resource, plural):
    dora, lea = admin.as_user("dora-the-data-scientist"), admin.as_user("lea-the-lead")

    def body(name: str, policy: str) -> Manifest:
        return (
            experiment(name, policy)
            if resource == EXPERIMENTS
            else model(name, deletionPolicy=policy)
        )

    name = next(names)
    path = path_of(resource, "risk", name)
    answer = dora.create(path_of(resource, "risk"), body(name, "Delete"))
    assert refused(
        answer,
        f"may not set deletionPolicy: Delete ({plural} risk/{name})",
        f"the verb purge on {plural} in group modelyard.io",
    )
    assert dora.create(path_of(resource, "risk"), body(name, "Retain")).code == 201
    assert refused(dora.merge(path, DELETE), "may not set deletionPolicy: Delete")
    assert refused(dora.apply(path, body(name, "Delete")), "may not set deletionPolicy: Delete")
    assert lea.merge(path, DELETE).code == 200
    # A field that is set already is not checked again.
    assert dora.merge(path, {"spec": {"description": "other words"}}).code == 200
    assert refused(
        dora.delete(path),
        f"may not delete it ({plural} risk/{name})",
        "with deletionPolicy: Retain the data would be kept",
    )
    assert dora.merge(path, RETAIN).code == 200
    assert dora.delete(path).code == 200
    assert lea.create(path_of(resource, "risk"), body(name, "Delete")).code == 201
    assert lea.delete(path).code == 200


def test_purging_by_collection_is_no_way_around(admin):
    body = experiment(next(names), "Delete")
    body["metadata"]["labels"] = {"sweep": "purge"}
    assert admin.create(path_of(EXPERIMENTS, "risk"), body).code == 201
    swept = path_of(EXPERIMENTS, "risk") + "?labelSelector=sweep%3Dpurge"
    assert refused(
        admin.as_user("dora-the-data-scientist").delete(swept),
        "the verb purge",
        body["metadata"]["name"],
    )
    assert admin.as_user("lea-the-lead").delete(swept).code == 200


@pytest.mark.parametrize(
    "user",
    [
        "system:serviceaccount:kube-system:namespace-controller",
        "system:kube-controller-manager",
    ],
)
def test_controllers_that_delete_namespaces_are_exempt(admin, user):
    """They have no right to promote or purge, and would retry without end."""
    collector = admin.as_user(user)
    body = model(next(names), {"production": {"version": "v1"}}, deletionPolicy="Delete")
    body["metadata"]["labels"] = {"sweep": "collected"}
    assert admin.create(path_of(MODELS, "risk"), body).code == 201
    single = made(admin, {"production": {"version": "v1"}}, deletionPolicy="Delete")
    if user == "system:kube-controller-manager":
        role = {
            "kind": "ClusterRole",
            "apiGroup": "rbac.authorization.k8s.io",
            "name": f"{RELEASE}-editor",
        }
        subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}
        binding = {"metadata": {"name": "manager"}, "roleRef": role, "subjects": [subject]}
        assert (
            admin.create(path_of("rbac.authorization.k8s.io/v1/rolebindings", "risk"), binding).code
            == 201
        )
    assert not may(admin, user, "promote", "registeredmodels", "production")
    assert collector.delete(single).code == 200
    if "namespace" in user:
        assert (
            collector.delete(path_of(MODELS, "risk") + "?labelSelector=sweep%3Dcollected").code
            == 200
        )
    else:
        assert collector.delete(path_of(MODELS, "risk", body["metadata"]["name"])).code == 200


def test_the_garbage_collector_deletes_no_held_model_until_its_stage_is_cleared(admin, installed):
    """The owner is older than the stage's version: an editor added it to an idle model, and deletes
    it.
    """
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": next(names)}}
    made_owner = admin.create(path_of("v1/configmaps", "risk"), owner).body["metadata"]
    path, dora = made(admin, {"production": {}}), admin.as_user("dora-the-data-scientist")
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": made_owner["name"],
        "uid": made_owner["uid"],
    }
    assert dora.merge(path, {"metadata": {"ownerReferences": [reference]}}).code == 200
    assert (
        admin.as_user("rita-the-release-manager").merge(path, held("production", "v1")).code == 200
    )
    assert admin.delete(path_of("v1/configmaps", "risk", made_owner["name"])).code == 200
    said, log = (
        f"{path.rsplit('/', 1)[1]} has versions for production: the garbage collector",
        installed.folder / "kube-controller-manager.log",
    )
    eventually(lambda: said in log.read_text(), "the collector was refused")
    assert admin.get(path).code == 200
    assert (
        admin.as_user("rita-the-release-manager").merge(path, held("production", None)).code == 200
    )
    eventually(lambda: admin.get(path).code == 404, "the idle model is collected")


def test_exempt_controllers_are_checked_like_all_others_when_they_write(admin):
    collector = admin.as_user("system:serviceaccount:kube-system:generic-garbage-collector")
    path = made(admin, {"production": {"version": "v1"}})
    assert refused(collector.merge(path, held("production", "v2")), "the verb promote")


def test_a_namespace_is_deleted_with_everything_in_it(admin):
    assert admin.create(path_of("v1/namespaces"), {"metadata": {"name": "doomed"}}).code == 201
    body = model("fraud", {"production": {"version": "v1"}}, deletionPolicy="Delete")
    body["metadata"]["namespace"] = "doomed"
    assert admin.create(path_of(MODELS, "doomed"), body).code == 201
    assert admin.create(path_of(EXPERIMENTS, "doomed"), experiment("fraud", "Delete")).code == 201
    assert admin.delete(path_of("v1/namespaces", name="doomed")).code == 200
    eventually(
        lambda: admin.get(path_of("v1/namespaces", name="doomed")).code == 404,
        "the namespace is gone",
    )


# --- roles ----------------------------------------------------------------------------------------
KINDS = ("experiments", "trainingruns", "registeredmodels", "modelapprovals")
READ, WRITE = ("get", "list", "watch"), ("create", "update", "patch", "delete", "deletecollection")


EXPECTED = {
    "vera-the-viewer": {(verb, kind) for verb in READ for kind in KINDS},
    "dora-the-data-scientist": {(verb, kind) for verb in (*READ, *WRITE) for kind in KINDS},
    "rita-the-release-manager": {(verb, kind) for verb in READ for kind in KINDS}
    | {
        (verb, kind)
        for verb in ("update", "patch", "delete")
        for kind in ("experiments", "registeredmodels")
    }
    | {(verb, "modelapprovals") for verb in ("create", "delete")}
    | {("purge", kind) for kind in KINDS if kind != "modelapprovals"},
    "anna-the-approver": {(verb, kind) for verb in READ for kind in KINDS}
    | {(verb, "modelapprovals") for verb in ("create", "delete")},
}


@pytest.mark.parametrize("user", EXPECTED)
def test_a_role_grants_what_it_says_and_nothing_else(admin, user):
    given = {
        (verb, kind)
        for verb in (*READ, *WRITE, "purge")
        for kind in KINDS
        if may(admin, user, verb, kind)
    }
    assert given == EXPECTED[user]
    for kind in KINDS:
        assert not may(admin, user, "patch", kind, "status")
        assert not may(admin, user, "get", kind, namespace="elsewhere")
    for stage in ("staging", "production", "anything"):
        assert may(admin, user, "promote", "registeredmodels", stage) is (
            user == "rita-the-release-manager"
        )
        assert may(admin, user, "approve", "registeredmodels", stage) is (
            user in {"rita-the-release-manager", "anna-the-approver"}
        )
        assert not may(admin, user, "override", "registeredmodels", stage)
        assert not may(admin, user, "attest", "registeredmodels", f"{stage}/pipeline")


def test_the_roles_aggregate_to_view_and_edit(admin):
    def joins(name: str) -> set[str]:
        labels = admin.get(
            path_of("rbac.authorization.k8s.io/v1/clusterroles", name=f"{RELEASE}-{name}")
        ).body["metadata"]["labels"]
        return {
            key.rsplit("-", 1)[1]
            for key, value in labels.items()
            if key.startswith("rbac.authorization.k8s.io/aggregate-to-") and value == "true"
        }

    assert joins("viewer") == {"view", "edit", "admin"}
    assert joins("editor") == {"edit", "admin"}
    assert joins("release-manager") == {"admin"}
    assert joins("approver") == set()


def test_each_role_can_do_its_work(admin):
    """Roles together with the policies: each may do its own work, and not that of another role."""
    vera, dora, rita, _ = (admin.as_user(name) for name in EXPECTED)
    name = next(names)
    run = {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": name},
        "spec": {"experiment": name, "trainer": {"xgboost": {}}},
    }
    assert vera.create(path_of(EXPERIMENTS, "risk"), experiment(name)).code == 403
    assert dora.create(path_of(EXPERIMENTS, "risk"), experiment(name)).code == 201
    assert dora.create(path_of(RUNS, "risk"), run).code == 201
    assert rita.create(path_of(RUNS, "risk"), run).code == 403
    assert dora.create(path_of(MODELS, "risk"), model(name, {"production": {}})).code == 201
    assert rita.merge(path_of(MODELS, "risk", name), held("production", "v1")).code == 200
    assert (
        vera.get(path_of(MODELS, "risk", name)).body["spec"]["stages"]["production"]["version"]
        == "v1"
    )
    assert vera.merge(path_of(MODELS, "risk", name), held("production", "v2")).code == 403
    assert dora.delete(path_of(RUNS, "risk", name)).code == 200
    assert rita.delete(path_of(MODELS, "risk", name)).code == 200
    assert dora.delete(path_of(EXPERIMENTS, "risk", name)).code == 200
