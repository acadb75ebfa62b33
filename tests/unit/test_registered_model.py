"""RegisteredModel: the model, its versions and their registration. Stages are in the files beside this one."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.registered_model import RegisteredModel
from modelyard.errors import Forbidden, Invalid, ModelyardError, Unavailable
from modelyard.kube import tags
from modelyard.plan import CreateModel, CreateVersion, DeleteModel, DeleteModelTags, Plan, SetModelTags, SetVersionTags
from modelyard.registered_model.claims import claims
from modelyard.registered_model.decide import decider, release, settled, trouble
from modelyard.registered_model.observe import Bytes, Seen
from modelyard.registered_model.sources import Problem
from tests.unit.builders import (
    BUCKET,
    MINUTE,
    NOW,
    RUNTIME,
    URL,
    message,
    outside,
    registered_model,
    said,
    tracked_model,
    tracked_version,
    written,
)
from tests.unit.model_builders import source

decide = decider(RUNTIME)


def seen(**more: Any) -> Seen:
    return Seen(**({"claims": {}, "children": (), "model": tracked_model(), "tracking_url": URL} | more))


def declared(*names: str, **tags: str) -> dict[str, Any]:
    return {name: {"uri": f"s3://{BUCKET}/risk/fraud/{name}", "tags": tags} for name in names}


def world(model: RegisteredModel, *numbered: tuple[str, str], **more: Any) -> Seen:
    """What is seen when these versions (number, name) are registered, and the others can be."""
    there = tuple(tracked_version(number, name) for number, name in numbered)
    names = {name for _, name in numbered}
    asked = claims(model, ())
    return seen(**({"claims": asked, "versions": there, "sources": {name: source(name) for name in asked if name not in names}} | more))


def versions(plan: Plan[Any]) -> dict[str, Any]:
    return {version.name: version for version in plan.status.versions}


# --- the model ----------------------------------------------------------------------------------------
def test_the_model_is_made_first_and_marked_as_ours():
    plan = decide(registered_model(description="cards", tags={"team": "risk"}), seen(model=None), NOW)
    owner = {"modelyard.io/uid": "uid-fraud", "modelyard.io/namespace": "risk", "modelyard.io/name": "fraud"}
    assert plan.actions == (CreateModel("risk.fraud", "cards", {"team": "risk", **tags.recorded(["team"])} | owner),)


def test_description_and_tags_are_made_equal_and_those_of_others_stay():
    there = tracked_model(team="old", theirs="kept")
    plan = decide(registered_model(description="cards", tags={"team": "risk"}), seen(model=there), NOW)
    assert plan.actions == (SetModelTags("risk.fraud", {**tags.recorded(["team"]), "team": "risk"}, "cards"),)


def test_a_tag_that_the_spec_says_no_more_is_taken_away_and_those_of_others_stay():
    there = tracked_model(team="risk", theirs="kept", **tags.recorded(["team"]))
    assert decide(registered_model(), seen(model=there), NOW).actions == (DeleteModelTags("risk.fraud", ("team",)),)


def test_nothing_to_do_asks_for_nothing():
    plan = decide(registered_model(), seen(), NOW)
    assert (plan.actions, plan.again, said(plan)) == ((), None, "Ready Registered")
    assert plan.status.is_true("Synced")
    assert (plan.status.mlflow_name, plan.status.url) == ("risk.fraud", f"{URL}/#/models/risk.fraud")


SOMEBODY_ELSES = replace(tracked_model(), tags={"modelyard.io/uid": "uid-of-another"})


def test_a_name_that_somebody_else_holds_is_never_taken_over():
    model = registered_model(versions=declared("v1"), tags={"team": "risk"}, stages={"production": {"version": "v1"}})
    plan = decide(model, seen(model=SOMEBODY_ELSES, claims=claims(model, ())), NOW)
    assert (plan.actions, said(plan)) == ((), "Stalled NameTaken")
    assert "kubectl annotate mlmodel fraud -n risk modelyard.io/adopt=true" in message(plan)
    assert plan.again is not None, "nobody tells us when the name is free"


def test_adoption_is_explicit_and_marks_it_as_ours_before_anything_else():
    model = registered_model(about={"annotations": {"modelyard.io/adopt": "true"}}, versions=declared("v1"))
    action = outside(decide(model, seen(model=SOMEBODY_ELSES, claims=claims(model, ())), NOW))
    assert isinstance(action, SetModelTags)
    assert action.tags["modelyard.io/uid"] == "uid-fraud"


# --- registration -------------------------------------------------------------------------------------
def test_a_version_is_registered_with_all_that_must_be_known_of_it_for_good():
    model = registered_model(versions=declared("v3", team="risk"))
    there = source("v3", "c", run="r1", training_run="fraud-3", logged_model="m-1")
    plan = decide(model, world(model, sources={"v3": there}), NOW)
    assert plan.actions == (
        CreateVersion(
            "risk.fraud",
            there.uri,
            "r1",
            {
                "team": "risk",
                "modelyard.io/version": "v3",
                "modelyard.io/uri": there.uri,
                "modelyard.io/digest": "sha256:" + "c" * 64,
                "modelyard.io/bytes": "3",
                "modelyard.io/flavor": "xgboost",
                "modelyard.io/signature": "x: double -> long",
                "modelyard.io/training-run": "fraud-3",
                "modelyard.io/uid": "uid-fraud",
                "modelyard.io/namespace": "risk",
                "modelyard.io/name": "fraud",
            },
            "m-1",
        ),
    )


def test_a_registered_version_is_told_from_its_record():
    model = registered_model(versions=declared("v3"))
    known = versions(decide(model, world(model, ("7", "v3")), NOW))["v3"]
    assert (known.mlflow_version, known.digest, known.bytes, known.flavor) == ("7", "sha256:" + "a" * 64, 3, "xgboost")
    assert (known.uri, known.problem) == (f"s3://{BUCKET}/risk/fraud/v3", None)


def test_a_version_whose_claim_is_gone_stays_known():
    """The TrainingRun was deleted, the line removed from the spec: MLflow has it."""
    assert set(versions(decide(registered_model(), seen(versions=(tracked_version("7", "v3"),)), NOW))) == {"v3"}


def test_versions_of_others_are_not_ours():
    foreign = tracked_version("1", "v1", model="other")
    odd = tracked_version("2", "Not A Name")
    by_hand = replace(tracked_version("3", "v3"), tags={})
    plan = decide(registered_model(), seen(versions=(foreign, odd, by_hand)), NOW)
    assert (plan.actions, plan.status.versions) == ((), ())


def test_of_two_versions_of_one_name_the_older_one_counts():
    """A create that got no answer is repeated, and both may be there."""
    known = versions(decide(registered_model(), seen(versions=(tracked_version("1", "v1"), tracked_version("2", "v1"))), NOW))
    assert known["v1"].mlflow_version == "1"


def test_the_user_s_tags_are_kept_equal_and_can_not_touch_the_record():
    """A digest or a uid that a user could write would be no record; stages that one could write would be written for ever."""
    ours = {"modelyard.io/digest": "sha256:0", "modelyard.io/stages": "production", "modelyard.io/uid": "x", "modelyard.io/namespace": "y"}
    model = registered_model(versions={"v3": declared("v3")["v3"] | {"tags": {"team": "risk"} | ours}})
    assert decide(model, world(model, ("7", "v3")), NOW).actions == (SetVersionTags("risk.fraud", "7", {"team": "risk"}),)
    action = outside(decide(model, world(model), NOW))
    assert isinstance(action, CreateVersion)
    assert action.tags["modelyard.io/digest"] == "sha256:" + "a" * 64
    assert "modelyard.io/stages" not in action.tags


@pytest.mark.parametrize(
    "tags",
    [
        {"modelyard.io/bytes": "many"},
        {"modelyard.io/bytes": "9" * 40},
        {"modelyard.io/training-run": "Not A Name"},
        {"modelyard.io/uri": "s3://" + "x" * 3000},
        {"modelyard.io/digest": "d" * 3000},
        {"modelyard.io/flavor": "f" * 3000, "modelyard.io/signature": "s" * 3000},
        {"modelyard.io/stages": "NOT,,a name," + "x" * 3000},
    ],
)
def test_a_record_that_somebody_has_written_over_harms_nobody(tags: dict[str, str]):
    there = replace(tracked_version("1", "v1"), tags={**tracked_version("1", "v1").tags, **tags})
    model = registered_model(stages={"production": {"version": "v1"}})
    written(model, decide(model, seen(versions=(there,), bytes={"v1": None}), NOW))


def test_a_version_that_mlflow_lost_is_registered_again_with_the_bytes_that_it_had():
    model = registered_model(versions=declared("v3"))
    before = written(model, decide(model, world(model, ("7", "v3")), NOW))
    plan = decide(before, world(before), NOW)
    assert isinstance(outside(plan), CreateVersion)
    kept = versions(plan)["v3"]
    assert (kept.mlflow_version, kept.digest) == (None, "sha256:" + "a" * 64)


# --- what cannot be registered ------------------------------------------------------------------------
WAITS = Problem(Reason.WAITING_FOR_VERSION, "The TrainingRun fraud-3 has not ended yet.", waiting=True)
GONE = Problem(Reason.ARTIFACT_MISSING, "There is no MLmodel file below s3://b/k.")
INVALID = Problem(Reason.VERSION_INVALID, "MLflow has no run r9 of this namespace.")
CHANGED = Problem(Reason.ARTIFACT_DIGEST_MISMATCH, "Its bytes have changed since.")


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (WAITS, "Reconciling WaitingForVersion"),
        (GONE, "Stalled ArtifactMissing"),
        (INVALID, "Stalled VersionInvalid"),
        (CHANGED, "Stalled ArtifactDigestMismatch"),
    ],
)
def test_a_stage_that_wants_it_says_why_and_whether_somebody_has_to_act(problem: Problem, words: str):
    model = registered_model(versions=declared("v3"), stages={"production": {"version": "v3"}})
    plan = decide(model, world(model, sources={"v3": problem}), NOW)
    assert (plan.actions, said(plan)) == ((), words)
    assert problem.message in message(plan)
    assert problem.message in versions(plan)["v3"].problem
    assert (plan.again is None) == problem.waiting, "a watch tells of runs, nobody of artifacts"


def test_a_problem_of_any_length_fits_the_status():
    long = Problem(Reason.ARTIFACT_MISSING, "There is no MLmodel file below s3://" + "x" * 1100)
    model = registered_model(versions=declared("v3"))
    written(model, decide(model, world(model, sources={"v3": long}), NOW))


def test_a_problem_is_forgotten_when_the_version_is_registered():
    model = registered_model(versions=declared("v3"))
    before = written(model, decide(model, world(model, sources={"v3": WAITS}), NOW))
    plan = decide(before, world(before, ("1", "v3")), NOW)
    assert versions(plan)["v3"].problem is None
    assert plan.again is None


def test_a_version_that_mlflow_has_not_made_ready_is_waited_for():
    model = registered_model(versions=declared("v3"), stages={"production": {"version": "v3"}})
    pending = replace(tracked_version("1", "v3"), ready=False)
    plan = decide(model, world(model, ("1", "v3"), versions=(pending,)), NOW)
    assert (plan.actions, said(plan)) == ((), "Reconciling WaitingForVersion")


def test_a_version_that_nothing_declares_is_named_beside_those_there_are():
    model = registered_model(versions=declared("v1", "v2"), stages={"production": {"version": "v9"}})
    plan = decide(model, world(model, ("1", "v1"), ("2", "v2")), NOW)
    assert (plan.actions, said(plan)) == ((), "Stalled VersionUnknown")
    assert "v9" in message(plan)
    assert "v1, v2" in message(plan)


def test_one_bad_version_holds_up_no_other():
    model = registered_model(versions=declared("v1", "v2"))
    action = outside(decide(model, world(model, sources={"v1": GONE, "v2": source("v2")}), NOW))
    assert isinstance(action, CreateVersion)
    assert action.tags["modelyard.io/version"] == "v2"


@pytest.mark.parametrize(
    ("lies", "word"),
    [
        (None, "ArtifactMissing"),
        (Bytes("sha256:s", "sha256:other"), "ArtifactDigestMismatch"),
        (Problem(Reason.CONNECTION_REFUSED, "S3 refused."), "ConnectionRefused"),
        (Bytes("sha256:s", "sha256:" + "a" * 64), None),
    ],
)
def test_what_lies_in_s3_is_compared_with_the_record(lies: Any, word: str | None):
    model = registered_model(versions=declared("v1"), stages={"production": {"version": "v1"}})
    plan = decide(model, world(model, ("1", "v1"), bytes={"v1": lies}), NOW)
    known = versions(plan)["v1"]
    assert known.problem is None if word is None else known.problem.startswith(word)
    assert known.seal == (None if word else "sha256:s")
    assert (said(plan) == f"Stalled {word}") == (word is not None)


def test_the_status_has_room_for_what_is_used_though_there_are_too_many_versions():
    model = registered_model(stages={"production": {"version": "v0"}})
    many = tuple(tracked_version(str(n + 1), f"v{n}") for n in range(600))
    plan = decide(model, seen(versions=many), NOW)
    known = list(versions(written(model, plan)))  # type: ignore[arg-type]
    assert (len(known), known[0], known[-1]) == (512, "v0", "v599")


# --- trouble and deletion -----------------------------------------------------------------------------
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
def test_a_model_of_which_nothing_is_known_yet_says_what_is_away(error: ModelyardError, words: str):
    model = registered_model(versions=declared("v1"))
    plan = decide(model, Seen(claims=claims(model, ()), children=(), trouble=error), NOW)
    assert (plan.actions, said(plan)) == ((), words)
    assert plan.again is not None


def test_what_was_known_stands_while_mlflow_is_away():
    model = registered_model(versions=declared("v1"))
    before = written(model, decide(model, world(model, ("1", "v1")), NOW))
    plan = decide(before, Seen(claims=claims(before, ()), children=(), trouble=AWAY), NOW)
    assert plan.status.versions == before.status.versions
    assert plan.status.url == before.status.url
    synced = plan.status.condition("Synced")
    assert synced
    assert (synced.status, synced.reason) == ("Unknown", "MLflowUnavailable")
    assert said(plan) == "Ready Registered"


@pytest.mark.parametrize(
    "error", [AWAY, Invalid("MLflow", "register version of", "risk.fraud"), Invalid("Kubernetes", "apply Service", "x")]
)
def test_an_action_that_failed_is_told_and_forgets_nothing(error: ModelyardError):
    model = registered_model(versions=declared("v1"))
    ready = written(model, decide(model, world(model, ("1", "v1")), NOW))
    for before in (model, ready):
        plan = trouble(before, error, NOW)
        assert (plan.actions, plan.released, plan.status.versions) == ((), False, before.status.versions)
        kept = before is ready and error.dependency == "MLflow"
        assert plan.status.is_true("Ready") == kept, "what is served is served on, whatever MLflow does"
        synced = plan.status.condition("Synced")
        assert synced
        assert synced.status == "Unknown"


def leaving(policy: str) -> RegisteredModel:
    return registered_model(about={"deleting": True}, deletion_policy=policy)


def test_by_default_mlflow_keeps_its_model():
    plan = release(leaving("Retain"), seen(trouble=AWAY), NOW)
    assert (plan.actions, plan.released) == ((), True)


def test_with_delete_our_model_goes_first_and_the_object_after_it():
    assert release(leaving("Delete"), seen(), NOW).actions == (DeleteModel("risk.fraud"),)
    assert release(leaving("Delete"), seen(model=None), NOW).released
    foreign = release(leaving("Delete"), seen(model=SOMEBODY_ELSES), NOW)
    assert (foreign.actions, foreign.released) == ((), True)


@pytest.mark.parametrize(("error", "released"), [(AWAY, False), (LOST, True), (Forbidden("MLflow", "read model", "x"), False)])
def test_a_deletion_waits_for_what_it_owes_and_only_while_it_can_be_paid(error: ModelyardError, released: bool):
    plan = release(leaving("Delete"), seen(trouble=error), NOW)
    assert (plan.actions, plan.released, bool(plan.events)) == ((), released, released)
    assert released or plan.again is not None


def test_a_restart_looks_only_at_what_is_not_settled():
    ready = written(registered_model(), decide(registered_model(), seen(), NOW))
    assert settled(ready, ())
    assert not settled(registered_model(), ())
    assert not settled(written(ready, trouble(ready, AWAY, NOW)), ())
    assert not settled(ready.model_copy(update={"metadata": ready.metadata.model_copy(update={"generation": 2})}), ())


def test_nothing_flaps_two_looks_at_one_world_say_the_same():
    model = registered_model(versions=declared("v1", "v2"), stages={"production": {"version": "v9"}})
    there = world(model, ("1", "v1"), sources={"v2": GONE})
    first = written(model, decide(model, there, NOW))
    assert written(first, decide(first, there, NOW + MINUTE), NOW + MINUTE) == first
