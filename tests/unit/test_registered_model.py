"""RegisteredModel: the model in MLflow, errors, deletion, restarts. Versions and stages are in
the files beside this one.
"""

from dataclasses import replace

import pytest

from modelyard.api.registered_model import Draining, RegisteredModel, StageStatus
from modelyard.errors import Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.kube import tags
from modelyard.plan import (
    Act,
    CreateModel,
    DeleteModel,
    DeleteTags,
    Finalize,
    Record,
    Rest,
    SetTags,
    TagTarget,
)
from modelyard.registered_model.decide import finalize, on_error
from modelyard.registered_model.declarations import declarations
from modelyard.registered_model.in_sync import in_sync
from modelyard.registered_model.observation import Observation
from tests.unit.builders import (
    MINUTE,
    NOW,
    URL,
    actions,
    message,
    outside,
    recorded,
    registered_model,
    said,
    tracked_model,
    written,
)
from tests.unit.models import (
    A,
    around,
    decide,
    declared,
    observed,
    pods_of,
    recording,
    registered,
    served,
    stage_of,
    versions_of,
)
from tests.unit.test_registered_model_versions import GONE

TARGET = TagTarget("model", "risk.fraud")
OWNER = {
    "modelyard.io/uid": "uid-fraud",
    "modelyard.io/namespace": "risk",
    "modelyard.io/name": "fraud",
}


def known(**spec: object) -> RegisteredModel:
    """Return a model whose name in MLflow is recorded."""
    return recording(registered_model(**spec))  # type: ignore[arg-type]


# --- the model ------------------------------------------------------------------------------------
def test_the_name_is_recorded_first_then_the_model_is_created_and_marked_as_ours():
    model = registered_model(description="cards", tags={"team": "risk"})
    plan = decide(model, observed(model=None), NOW)
    assert recorded(plan) == "Reconciling Registering"
    model = written(model, plan)
    assert model.status.mlflow_name == "risk.fraud"
    plan = decide(model, observed(model=None), NOW)
    assert plan == Act(
        (CreateModel("risk.fraud", "cards", {"team": "risk", **tags.recorded(["team"])} | OWNER),)
    )


def test_description_and_tags_follow_the_spec_and_tags_of_others_stay():
    there = tracked_model(team="old", theirs="kept")
    plan = decide(known(description="cards", tags={"team": "risk"}), observed(model=there), NOW)
    assert plan == Act((SetTags(TARGET, {**tags.recorded(["team"]), "team": "risk"}, "cards"),))


def test_a_tag_removed_from_the_spec_is_deleted_and_tags_of_others_stay():
    there = tracked_model(team="risk", theirs="kept", **tags.recorded(["team"]))
    assert decide(known(), observed(model=there), NOW) == Act((DeleteTags(TARGET, ("team",)),))


def test_nothing_to_do_has_no_actions():
    plan = decide(known(), observed(), NOW)
    assert isinstance(plan, Rest)
    assert (plan.requeue_after, said(plan)) == (None, "Ready Registered")
    assert plan.status.is_true("Synced")
    assert (plan.status.mlflow_name, plan.status.url) == (
        "risk.fraud",
        f"{URL}/#/models/risk.fraud",
    )


SOMEBODY_ELSES = replace(tracked_model(), tags={"modelyard.io/uid": "uid-of-another"})


@pytest.mark.parametrize("empty", [False, True], ids=["lost later", "from the start"])
def test_a_name_that_belongs_to_another_object_is_never_taken_over(empty: bool):
    spec = {
        "versions": declared("v1"),
        "tags": {"team": "risk"},
        "stages": {"production": {"version": "v1"}},
    }
    model = registered_model(**spec) if empty else known(**spec)
    plan = decide(model, observed(model=SOMEBODY_ELSES, declarations=declarations(model, ())), NOW)
    assert isinstance(plan, Rest)
    assert said(plan) == "Stalled NameTaken"
    assert "kubectl annotate mlmodel fraud -n risk modelyard.io/adopt=true" in message(plan)
    assert plan.requeue_after is not None, "nothing wakes it when the name is free"
    assert plan.status.mlflow_name == model.status.mlflow_name


def test_a_lost_name_drops_no_version_and_keeps_serving():
    """Another client wrote another uid into MLflow's model."""
    model = stage_of("va", holds=A)
    lost = replace(tracked_model(), tags={"modelyard.io/uid": "uid-of-another"})
    plan = decide(model, observed(model=lost, owned=pods_of(model, A, routed=True)[:3]), NOW)
    assert [each.manifest["kind"] for each in actions(plan)] == ["PodDisruptionBudget"]  # type: ignore[union-attr]
    plan = decide(model, observed(model=lost, owned=pods_of(model, A, routed=True)), NOW)
    assert isinstance(plan, Rest)
    assert plan.status.versions == model.status.versions
    assert plan.status.stages == model.status.stages


def test_adoption_is_explicit_and_marks_it_as_ours_before_anything_else():
    model = registered_model(
        about={"annotations": {"modelyard.io/adopt": "true"}}, versions=declared("v1")
    )
    model = recording(model)
    action = outside(
        decide(model, observed(model=SOMEBODY_ELSES, declarations=declarations(model, ())), NOW)
    )
    assert isinstance(action, SetTags)
    assert (action.target, action.tags["modelyard.io/uid"]) == (TARGET, "uid-fraud")


# --- errors and deletion --------------------------------------------------------------------------
AWAY = Unavailable("MLflow", "read model", "risk.fraud")
LOST = Invalid("Kubernetes", "read connection", "risk/modelyard-connection", "there is no Secret")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (AWAY, "Reconciling MLflowUnavailable"),
        (Unavailable("S3", "list", "s3://b/"), "Reconciling StoreUnavailable"),
        (Forbidden("MLflow", "read model", "risk.fraud"), "Stalled ConnectionRefused"),
        (LOST, "Stalled ConnectionMissing"),
    ],
)
def test_a_model_without_a_status_names_the_dependency_that_is_down(
    error: ModelyardError, words: str
):
    model = registered_model(versions=declared("v1"))
    plan = decide(
        model, Observation(declarations=declarations(model, ()), dependency_error=error), NOW
    )
    assert isinstance(plan, Rest)
    assert said(plan) == words
    assert plan.requeue_after is not None


def test_the_status_is_kept_while_mlflow_is_down():
    model = registered(registered_model(versions=declared("v1")), ("1", "v1"))
    before = written(model, decide(model, around(model), NOW))
    plan = decide(
        before, Observation(declarations=declarations(before, ()), dependency_error=AWAY), NOW
    )
    assert isinstance(plan, Rest)
    assert plan.status.versions == before.status.versions
    assert plan.status.url == before.status.url
    synced = plan.status.condition("Synced")
    assert synced
    assert (synced.status, synced.reason) == ("Unknown", "MLflowUnavailable")
    assert said(plan) == "Ready Registered"


@pytest.mark.parametrize(
    "error",
    [
        AWAY,
        Invalid("MLflow", "register version of", "risk.fraud"),
        Invalid("Kubernetes", "apply Service", "x"),
    ],
    ids=str,
)
def test_a_failed_action_is_reported_and_keeps_the_status(error: ModelyardError):
    model = registered(registered_model(versions=declared("v1")), ("1", "v1"))
    ready = written(model, decide(model, around(model), NOW))
    for before in (registered_model(versions=declared("v1")), ready):
        plan = on_error(before, error, NOW)
        assert isinstance(plan, Rest)
        assert plan.status.versions == before.status.versions
        kept = before is ready and error.dependency == "MLflow"
        assert plan.status.is_true("Ready") == kept, (
            "what is served is still serving, whatever MLflow does"
        )
        synced = plan.status.condition("Synced")
        assert synced
        assert synced.status == "Unknown"


def leaving(policy: str) -> RegisteredModel:
    return registered_model(about={"deleting": True}, deletion_policy=policy)


def test_by_default_mlflow_keeps_its_model():
    assert finalize(leaving("Retain"), observed(dependency_error=AWAY), NOW) == Finalize()


def test_with_delete_our_model_is_deleted_before_the_object_is_finalized():
    model = leaving("Delete")
    said_first = finalize(model, observed(), NOW)
    assert recorded(said_first) == "Reconciling Deleting"
    assert finalize(written(model, said_first), observed(), NOW) == Act(
        (DeleteModel("risk.fraud"),)
    )
    assert finalize(model, observed(model=None), NOW) == Finalize()
    assert finalize(model, observed(model=SOMEBODY_ELSES), NOW) == Finalize()


@pytest.mark.parametrize(
    ("error", "released"),
    [(AWAY, False), (LOST, True), (Forbidden("MLflow", "read model", "x"), False)],
    ids=str,
)
def test_a_deletion_waits_for_external_cleanup_while_it_is_possible(
    error: ModelyardError, released: bool
):
    plan = finalize(leaving("Delete"), observed(dependency_error=error), NOW)
    if released:
        assert isinstance(plan, Finalize)
        assert [event.reason for event in plan.events] == ["LeftBehind"]
    else:
        assert isinstance(plan, Rest)
        assert plan.requeue_after is not None


# --- restarts -------------------------------------------------------------------------------------
def test_a_restart_reconciles_only_what_is_not_in_sync():
    model = known()
    ready = written(model, decide(model, observed(), NOW))
    assert in_sync(ready, ())
    assert not in_sync(registered_model(), ())
    assert not in_sync(written(ready, on_error(ready, AWAY, NOW)), ())
    assert not in_sync(
        ready.model_copy(update={"metadata": ready.metadata.model_copy(update={"generation": 2})}),
        (),
    )


def test_a_restart_reconciles_missing_serving_objects_and_draining_versions():
    model = known(stages={"production": {"version": "va"}})
    ready = written(model, decide(known(), observed(), NOW))
    what = served(A)
    stage = StageStatus(
        version="va", digest=what.digest, runtime=what.runtime, desired="va", desired_replicas=1
    )

    def with_stage(**more: object) -> RegisteredModel:
        stages = {"production": stage.model_copy(update=more)}
        return ready.model_copy(
            update={"status": ready.status.model_copy(update={"stages": stages})}
        )

    owned = pods_of(stage_of("va"), A)
    assert in_sync(with_stage(), owned)
    assert not in_sync(with_stage(), ())
    assert not in_sync(with_stage(draining=(Draining(identity="0" * 8, until_time=NOW),)), owned), (
        "its pods would stay until the resync"
    )
    assert not in_sync(with_stage(candidate=what), owned)


def test_two_reconciles_of_one_world_write_the_same_status():
    model = registered(
        registered_model(versions=declared("v1", "v2"), stages={"production": {"version": "v9"}}),
        ("1", "v1"),
    )
    there = around(model, sources={"v2": GONE})
    first = written(model, decide(model, there, NOW))
    assert written(first, decide(first, there, NOW + MINUTE), NOW + MINUTE) == first
    assert set(versions_of(decide(first, there, NOW))) == {"v1", "v2"}
    assert isinstance(decide(first, there, NOW), Rest)
    assert not isinstance(decide(first, there, NOW), Record)
