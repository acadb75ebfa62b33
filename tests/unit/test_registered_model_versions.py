"""What is recorded of versions, how they are registered, and what is rebuilt from MLflow's tags."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.blocker import VERSION_MESSAGE, Blocker, VersionBlocker
from modelyard.api.registered_model import KnownVersion, RegisteredModel, StageStatus
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.controller import FINALIZER
from modelyard.plan import Act, CreateVersion, Record, Rest, SetTags, TagTarget
from modelyard.registered_model.declarations import declarations
from modelyard.registered_model.observation import Artifacts, Observation
from modelyard.registered_model.versions import split, tracked_by_name
from tests.unit.builders import (
    NOW,
    actions,
    artifacts,
    message,
    outside,
    recorded,
    registered_model,
    said,
    status_of,
    tracked_model,
    tracked_version,
    written,
)
from tests.unit.models import (
    A,
    around,
    decide,
    declared,
    digest,
    intact,
    observed,
    pods_of,
    record,
    recording,
    registered,
    served,
    source,
    versions_of,
)

WAITS = VersionBlocker(reason=Reason.WAITING_FOR_VERSION, message="The TrainingRun fraud-3 has not finished yet.")
GONE = VersionBlocker(reason=Reason.ARTIFACT_MISSING, message="There is no MLmodel file below s3://b/k.", needs_action=True)
INVALID = VersionBlocker(reason=Reason.VERSION_INVALID, message="MLflow has no run r9 of this namespace.", needs_action=True)
CHANGED = VersionBlocker(reason=Reason.ARTIFACT_DIGEST_MISMATCH, message="Its bytes have changed since.", needs_action=True)


def lost(model: RegisteredModel, *names: str, **more: Any) -> Observation:
    """Return what is observed when MLflow has lost these versions, and S3 has their bytes."""
    gone = {version.name: intact(version) for version in model.status.versions if version.name in names}
    there = tuple(tracked_version(str(v.mlflow_version), v.name) for v in model.status.versions if v.mlflow_version and v.name not in names)
    return around(model, **({"versions": there, "artifacts": gone} | more))


# --- recorded, then registered --------------------------------------------------------------------
def test_a_version_is_recorded_before_it_is_registered_with_all_that_must_be_known_of_it():
    model = recording(registered_model(versions=declared("v3", team="risk")))
    there = source("v3", "c", run="r1", training_run="fraud-3", logged_model="m-1")
    plan = decide(model, around(model, sources={"v3": there}), NOW)
    assert recorded(plan) == "Reconciling Registering"
    model = written(model, plan)
    version = model.status.versions[0]
    assert (version.uri, version.digest, version.mlflow_version, version.logged_model) == (there.uri, digest("c"), None, "m-1")
    assert decide(model, lost(model, "v3"), NOW) == Act(
        (
            CreateVersion(
                "risk.fraud",
                there.uri,
                "r1",
                {
                    "team": "risk",
                    "modelyard.io/version": "v3",
                    "modelyard.io/uri": there.uri,
                    "modelyard.io/digest": digest("c"),
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
    )


def test_a_registered_version_is_told_from_its_record():
    model = recording(registered_model(versions=declared("v3")), record("v3"))
    known = versions_of(decide(model, around(model, versions=(tracked_version("7", "v3"),)), NOW))["v3"]
    assert (known.mlflow_version, known.digest, known.bytes, known.flavor) == ("7", digest(), 3, "xgboost")
    assert (known.uri, known.blocked) == (artifacts("v3"), None)
    assert known.registered_time == tracked_version("7", "v3").created


def test_a_version_whose_declaration_is_gone_stays_recorded():
    """The TrainingRun was deleted, the line removed from the spec."""
    model = registered(registered_model(), ("7", "v3"))
    assert set(versions_of(decide(model, around(model), NOW))) == {"v3"}


def test_versions_of_others_are_not_ours():
    foreign = tracked_version("1", "v1", model="other")
    odd = tracked_version("2", "Not A Name")
    by_hand = replace(tracked_version("3", "v3"), tags={})
    plan = decide(recording(registered_model()), observed(versions=(foreign, odd, by_hand)), NOW)
    assert isinstance(plan, Rest)
    assert plan.status.versions == ()


def test_a_version_with_our_tags_and_another_source_is_not_ours():
    """Tags can be written by whoever trains; the uri is recorded."""
    model = recording(registered_model(versions=declared("v1")), record("v1"))
    forged = replace(tracked_version("1", "v1"), source="s3://b/forged")
    assert tracked_by_name(model, (forged,)) == {}
    plan = decide(model, lost(model, "v1", versions=(forged,)), NOW)
    action = outside(plan)
    assert isinstance(action, CreateVersion)
    assert action.source == artifacts("v1")
    both = tracked_by_name(model, (forged, tracked_version("2", "v1")))
    assert both["v1"].version == "2"


def test_of_two_versions_of_one_name_the_older_one_counts():
    """A create that got no answer is repeated, and both may be there."""
    model = recording(registered_model(), record("v1"))
    for there in ((tracked_version("2", "v1"), tracked_version("10", "v1")), (tracked_version("10", "v1"), tracked_version("2", "v1"))):
        assert versions_of(decide(model, observed(versions=there), NOW))["v1"].mlflow_version == "2"


def test_the_recorded_number_counts_before_any_tag():
    model = registered(registered_model(), ("2", "v1"))
    assert tracked_by_name(model, (tracked_version("1", "v1"), tracked_version("2", "v1")))["v1"].version == "2"


def test_the_user_s_tags_are_kept_equal_and_cannot_touch_the_record():
    """A digest or a uid that a user could write would be no record; stages that one could write would be written for ever."""
    ours = {"modelyard.io/digest": "sha256:0", "modelyard.io/stages": "production", "modelyard.io/uid": "x", "modelyard.io/namespace": "y"}
    model = registered(registered_model(versions={"v3": declared("v3")["v3"] | {"tags": {"team": "risk"} | ours}}), ("7", "v3"))
    assert decide(model, around(model), NOW) == Act((SetTags(TagTarget("version", "risk.fraud", "7"), {"team": "risk"}),))
    action = outside(decide(model, lost(model, "v3"), NOW))
    assert isinstance(action, CreateVersion)
    assert action.tags["modelyard.io/digest"] == digest()
    assert "modelyard.io/stages" not in action.tags


# --- lost -----------------------------------------------------------------------------------------
def test_a_version_that_mlflow_lost_is_registered_again_once_with_the_bytes_that_it_had():
    model = registered(registered_model(versions=declared("v3")), ("7", "v3"))
    action = outside(decide(model, lost(model, "v3"), NOW))
    assert isinstance(action, CreateVersion)
    assert (action.source, action.tags["modelyard.io/digest"]) == (artifacts("v3"), digest())
    again = decide(model, around(model, versions=(tracked_version("8", "v3"),)), NOW)
    assert isinstance(again, Rest), "its recorded number is the old one, and the new version is found all the same"
    assert versions_of(again)["v3"].mlflow_version == "8"


@pytest.mark.parametrize("there", [None, Artifacts("sha256:l", digest("9")), GONE], ids=["gone", "other bytes", "refused"])
def test_a_version_that_mlflow_lost_is_not_registered_with_other_bytes(there: Any):
    model = registered(registered_model(versions=declared("v3")), ("7", "v3"))
    plan = decide(model, lost(model, "v3", artifacts={"v3": there}), NOW)
    assert isinstance(plan, Rest)
    known = versions_of(plan)["v3"]
    assert known.blocked
    assert (known.digest, known.uri, known.mlflow_version) == (digest(), artifacts("v3"), None)
    assert plan.requeue_after is not None


def test_a_name_that_is_declared_again_with_another_source_is_what_was_recorded():
    """Deleted in MLflow, and declared again: the recorded uri and digest are registered, or nothing is."""
    model = registered(registered_model(versions={"v3": {"uri": "s3://mlflow-artifacts/risk/fraud/forged"}}), ("7", "v3"))
    seen = lost(model, "v3", sources={"v3": source("forged", "f")})
    action = outside(decide(model, seen, NOW))
    assert isinstance(action, CreateVersion)
    assert (action.source, action.tags["modelyard.io/digest"]) == (artifacts("v3"), digest())


# --- what blocks a version ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("blocker", "words"),
    [
        (WAITS, "Reconciling WaitingForVersion"),
        (GONE, "Stalled ArtifactMissing"),
        (INVALID, "Stalled VersionInvalid"),
        (CHANGED, "Stalled ArtifactDigestMismatch"),
    ],
)
def test_a_stage_that_wants_it_says_why_and_whether_somebody_has_to_act(blocker: Blocker, words: str):
    model = recording(registered_model(versions=declared("v3"), stages={"production": {"version": "v3"}}))
    plan = decide(model, around(model, sources={"v3": blocker}), NOW)
    assert isinstance(plan, Rest)
    assert said(plan) == words
    assert blocker.message in message(plan)
    assert versions_of(plan)["v3"].blocked == blocker
    assert (plan.requeue_after is None) != blocker.needs_action, "a watch tells of runs, nothing of artifacts"


def test_a_message_of_any_length_fits_the_status():
    text = ("There is no MLmodel file below s3://" + "x" * 1100)[:VERSION_MESSAGE]
    long = VersionBlocker(reason=Reason.ARTIFACT_MISSING, message=text, needs_action=True)
    model = recording(registered_model(versions=declared("v3"), stages={"production": {"version": "v3"}}))
    written(model, decide(model, around(model, sources={"v3": long}), NOW))
    far = record("v3", "1", uri="s3://b/" + "x" * 480)
    model = recording(model, far)
    there = tracked_version("1", "v3")
    there = replace(there, source=str(far.uri), tags=dict(there.tags) | {"modelyard.io/uri": str(far.uri)})
    for lies in (None, Artifacts("sha256:l", "sha256:9")):
        written(model, decide(model, around(model, versions=(there,), artifacts={"v3": lies}), NOW))


def test_what_blocked_a_version_is_forgotten_when_it_is_recorded():
    model = recording(registered_model(versions=declared("v3")))
    before = written(model, decide(model, around(model, sources={"v3": WAITS}), NOW))
    assert before.status.versions[0].blocked == WAITS
    plan = decide(before, around(before, sources={"v3": source("v3")}), NOW)
    assert isinstance(plan, Record)
    assert versions_of(plan)["v3"].blocked is None


def test_a_version_that_mlflow_has_not_made_ready_is_waited_for():
    model = registered(registered_model(versions=declared("v3"), stages={"production": {"version": "v3"}}), ("1", "v3"))
    pending = replace(tracked_version("1", "v3"), ready=False)
    plan = decide(model, around(model, versions=(pending,)), NOW)
    assert isinstance(plan, Rest)
    assert said(plan) == "Reconciling WaitingForVersion"


def test_a_version_that_nothing_declares_is_named_beside_those_there_are():
    model = registered_model(versions=declared("v1", "v2"), stages={"production": {"version": "v9"}})
    model = registered(model, ("1", "v1"), ("2", "v2"))
    plan = decide(model, around(model), NOW)
    assert isinstance(plan, Rest)
    assert said(plan) == "Stalled VersionUnknown"
    assert "v9" in message(plan)
    assert "v1, v2" in message(plan)


def test_one_bad_version_holds_up_no_other():
    model = recording(registered_model(versions=declared("v1", "v2")))
    plan = decide(model, around(model, sources={"v1": GONE, "v2": source("v2")}), NOW)
    assert isinstance(plan, Record)
    assert versions_of(plan)["v2"].digest == digest()


@pytest.mark.parametrize(
    ("lies", "word"),
    [
        (None, "ArtifactMissing"),
        (Artifacts("sha256:s", digest("9")), "ArtifactDigestMismatch"),
        (VersionBlocker(reason=Reason.CONNECTION_REFUSED, message="S3 refused.", needs_action=True), "ConnectionRefused"),
        (Artifacts("sha256:s", digest()), None),
    ],
)
def test_what_is_in_s3_is_compared_with_the_record(lies: Any, word: str | None):
    """The bytes and MLflow's digest tag may be overwritten together: neither is the record."""
    model = registered(registered_model(versions=declared("v1"), stages={"production": {"version": "v1"}}), ("1", "v1"))
    forged = replace(tracked_version("1", "v1"), tags=dict(tracked_version("1", "v1").tags) | {"modelyard.io/digest": digest("9")})
    for there in (tracked_version("1", "v1"), forged):
        seen = around(model, artifacts={"v1": lies}, versions=(there,))
        known = versions_of(decide(model, seen, NOW))["v1"] if word is None else None
        plan = decide(model, seen, NOW)
        if word is None:
            assert isinstance(plan, Record), "the candidate is recorded"
            assert known
            assert (known.blocked, known.listing_digest) == (None, "sha256:s")
            continue
        assert not [each for each in actions(plan) if not isinstance(each, SetTags)]
        plan = decide(model, replace(seen, versions=(tracked_version("1", "v1"),)), NOW)
        assert said(plan) == f"Stalled {word}"
        blocked = versions_of(plan)["v1"].blocked
        assert blocked
        assert (blocked.reason, versions_of(plan)["v1"].listing_digest) == (word, None)


# --- many versions --------------------------------------------------------------------------------
def many(count: int, **stages: StageStatus) -> RegisteredModel:
    """Return a model with so many versions recorded."""
    versions = [record(f"v{n}", str(n + 1)) for n in range(count)]
    spec = {name: {"version": stage.version} for name, stage in stages.items()}
    full, older = split(recording(registered_model(stages=spec)), tuple(versions), stages)
    return recording(registered_model(stages=spec), *full, older_versions=older, stages=stages)


def test_the_newest_versions_are_kept_whole_and_of_the_others_the_record():
    model = many(70)
    assert [version.name for version in model.status.versions] == [f"v{n}" for n in range(6, 70)]
    assert model.status.older_versions[0] == KnownVersion(name="v0", digest=digest(), mlflow_version="1")
    assert [each.name for each in model.status.older_versions] == [f"v{n}" for n in range(6)]


def test_no_version_is_forgotten_as_others_come():
    model = many(65)
    for n in range(65, 75):
        new = (*model.status.versions, record(f"v{n}", str(n + 1)))
        full, older = split(model, new, {})
        model = recording(registered_model(), *full, older_versions=older)
        names = {each.name for each in (*model.status.versions, *model.status.older_versions)}
        assert names == {f"v{k}" for k in range(n + 1)}
        assert {each.mlflow_version for each in model.status.older_versions} == {str(k + 1) for k in range(n - 63)}


def test_versions_in_use_are_kept_whole_however_old():
    what = served(record("v0", "1"))
    stage = StageStatus(version="v0", digest=what.digest, runtime=what.runtime, previous=served(record("v1", "2")))
    model = many(80, production=stage)
    names = [version.name for version in model.status.versions]
    assert names[:2] == ["v0", "v1"]
    assert len(names) == 64


def test_an_older_version_can_be_promoted_with_the_bytes_that_were_recorded():
    model = many(70)
    spec = registered_model(stages={"production": {"version": "v0"}}).spec
    model = model.model_copy(update={"spec": spec})
    there = tuple(tracked_version(str(n + 1), f"v{n}") for n in range(70))
    plan = decide(model, observed(versions=there), NOW)
    assert isinstance(plan, Record)
    candidate = plan.status.stages["production"].candidate
    assert candidate
    assert (candidate.version, candidate.digest) == ("v0", digest())
    model = written(model, plan)
    (known,) = [version for version in model.status.versions if version.name == "v0"]
    assert (known.digest, known.mlflow_version, known.uri) == (digest(), "1", artifacts("v0"))
    assert "v0" not in {each.name for each in model.status.older_versions}
    forged = decide(model, observed(versions=there, artifacts={"v0": Artifacts("sha256:l", digest("9"))}), NOW)
    assert recorded(forged).startswith("Reconciling"), "the candidate is dropped first"
    assert status_of(forged).stages["production"].candidate is None


def test_an_older_version_that_mlflow_lost_says_so():
    model = many(70)
    spec = registered_model(stages={"production": {"version": "v0"}}).spec
    plan = decide(model.model_copy(update={"spec": spec}), observed(), NOW)
    assert said(plan) == "Stalled VersionInvalid"
    assert "Declare it as another version" in message(plan)


def test_an_older_name_cannot_be_declared_again():
    model = many(70)
    model = model.model_copy(update={"spec": registered_model(versions=declared("v0")).spec})
    seen = observed(declarations=declarations(model, ()), sources={"v0": source("v0", "f")})
    assert "v0" not in versions_of(decide(model, seen, NOW))


def test_the_status_has_room_for_all_that_it_may_hold():
    """64 declared versions and 300 TrainingRuns that have not finished; 512 versions recorded."""
    model = many(512)
    assert (len(model.status.versions), len(model.status.older_versions)) == (64, 448)
    waiting = {f"w{n}": WAITS for n in range(300)}
    spec = registered_model(versions=declared(*list(waiting)[:64]), stages={"production": {"version": "w299"}}).spec
    for before, size in ((recording(registered_model()), 17), (model, 64)):
        model = before.model_copy(update={"spec": spec})
        asked = {name: replace(next(iter(declarations(model, ()).values())), version=name) for name in waiting}
        plan = decide(model, observed(declarations=asked, sources=waiting), NOW)
        names = set(versions_of(plan))
        assert len(names) == size, "of those that wait, 16 and those in use"
        assert "w299" in names
        written(model, plan)


def test_more_versions_than_can_be_recorded_are_refused_and_none_is_dropped():
    model = many(512)
    model = model.model_copy(update={"spec": registered_model(versions=declared("w1")).spec})
    plan = decide(model, observed(declarations=declarations(model, ()), sources={"w1": source("w1")}), NOW)
    blocked = versions_of(plan)["w1"].blocked
    assert blocked
    assert (blocked.reason, blocked.needs_action) == ("VersionInvalid", True)
    assert len(status_of(plan).older_versions) == 448


# --- rebuilt from tags ----------------------------------------------------------------------------
def restored(annotations: Any = None, finalizers: Any = (), **spec: Any) -> RegisteredModel:
    """Return an object without any status: restored from a backup."""
    about = {"annotations": {"modelyard.io/adopt": "true"} if annotations is None else annotations, "finalizers": finalizers}
    return registered_model(about=about | {"uid": "uid-new"}, **spec)


THERE = (tracked_version("1", "v1", stages="production"), tracked_version("2", "v2", text="b"))
PRODUCTION = {"stages": {"production": {"version": "v1"}}}


def test_a_status_that_is_empty_altogether_is_rebuilt_from_tags():
    model = restored(**PRODUCTION)
    plan = decide(model, observed(versions=THERE), NOW)
    assert isinstance(plan, Record)
    found = versions_of(plan)
    assert {name: (each.mlflow_version, each.digest, each.uri) for name, each in found.items()} == {
        "v1": ("1", digest(), artifacts("v1")),
        "v2": ("2", digest("b"), artifacts("v2")),
    }
    stage = plan.status.stages["production"]
    assert (stage.version, stage.digest, stage.since_time) == ("v1", digest(), NOW)
    assert found["v1"].stages == ("production",)
    assert written(model, plan).status.mlflow_name == "risk.fraud"


@pytest.mark.parametrize("field", ["mlflow_name", "versions", "older_versions", "stages", "history"])
def test_nothing_is_rebuilt_when_the_status_records_anything(field: str):
    whole = recording(
        restored(**PRODUCTION),
        record("v9", "9"),
        older_versions=(KnownVersion(name="v8", digest=digest()),),
        stages={"production": StageStatus(version="v9", digest=digest(), runtime=served(A).runtime)},
        history=({"time": NOW, "stage": "production", "outcome": "Cleared"},),
    )
    part = {field: getattr(whole.status, field)}
    model = whole.model_copy(update={"status": type(whole.status)(**part)})
    plan = decide(model, observed(versions=THERE), NOW)
    names = {version.name for version in status_of(plan).versions} if isinstance(plan, Record | Rest) else set()
    assert not names & {"v1", "v2"}


def test_without_the_annotation_only_an_object_that_the_operator_has_worked_on_is_rebuilt():
    """A model in MLflow with the uid of an object that was just created was made by someone else."""
    ours = tuple(replace(each, tags=dict(each.tags) | {"modelyard.io/uid": "uid-new"}) for each in THERE)
    model = replace(tracked_model(), tags={**tracked_model().tags, "modelyard.io/uid": "uid-new"})
    for finalizers, rebuilt in ((), False), ((FINALIZER,), True):
        plan = decide(restored({}, finalizers, **PRODUCTION), observed(model=model, versions=ours), NOW)
        assert isinstance(plan, Record)
        assert set(versions_of(plan)) == ({"v1", "v2"} if rebuilt else set())
        assert bool(plan.status.stages["production"].version) == rebuilt


def test_tags_that_contradict_what_is_known_are_not_believed():
    moved = replace(THERE[0], source="s3://b/forged")
    short = replace(THERE[1], tags=dict(THERE[1].tags) | {"modelyard.io/digest": "sha256:1"})
    other = replace(tracked_version("3", "v3"), tags=dict(tracked_version("3", "v3").tags) | {"modelyard.io/name": "other"})
    assert set(versions_of(decide(restored(**PRODUCTION), observed(versions=(moved, short, other)), NOW))) == set()
    elsewhere = restored(versions={"v1": {"uri": "s3://mlflow-artifacts/risk/fraud/declared"}})
    assert set(versions_of(decide(elsewhere, observed(versions=THERE), NOW))) == {"v2"}


def test_a_stage_that_a_tag_names_is_held_only_if_the_spec_asks_for_it_or_it_is_served():
    """A version is not started because somebody wrote a tag."""
    for spec in ({"stages": {"production": {"version": "v2"}}}, {"stages": {"staging": {"version": "v1"}}}, {}):
        plan = decide(restored(**spec), observed(versions=THERE), NOW)
        assert isinstance(plan, Record)
        assert [stage.version for stage in plan.status.stages.values()] == []
    model = restored(stages={"production": {"version": "v2"}})
    there = pods_of(model.model_copy(update={"spec": registered_model(**PRODUCTION).spec}), served(record("va", None, "c")), routed=True)
    renamed = [each | {"metadata": each["metadata"]} for each in there]
    for each in renamed:
        if each["kind"] == "Deployment":
            each["spec"]["template"]["metadata"]["labels"]["modelyard.io/version"] = "v1"
    plan = decide(model, observed(versions=THERE, owned=tuple(renamed)), NOW)
    assert isinstance(plan, Record)
    stage = plan.status.stages["production"]
    assert (stage.version, stage.digest) == ("v1", digest("c")), "what serves says which bytes it is, before any tag"


def test_stages_that_were_tagged_before_a_stage_existed_are_ignored():
    model = registered(registered_model(**PRODUCTION), ("1", "v1"), ("2", "v2"))
    tagged = tuple(replace(each, tags=dict(each.tags) | {"modelyard.io/stages": "production,canary"}) for each in THERE)
    plan = decide(model, around(model, versions=tagged), NOW)
    assert isinstance(plan, Record)
    assert (plan.status.stages["production"].version, set(plan.status.stages)) == (None, {"production"})


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
def test_tags_that_somebody_has_written_over_harm_nothing(tags: dict[str, str]):
    there = replace(tracked_version("1", "v1"), tags={**tracked_version("1", "v1").tags, **tags})
    model = restored(**PRODUCTION)
    written(model, decide(model, observed(versions=(there,)), NOW))
    model = registered(registered_model(**PRODUCTION), ("1", "v1"))
    plan = decide(model, around(model, versions=(there,)), NOW)
    assert isinstance(plan, Record)
    written(model, plan)


def test_more_versions_in_mlflow_than_a_status_holds_are_rebuilt_as_far_as_it_does():
    model = restored(stages={"production": {"version": "v0"}})
    plan = decide(model, observed(versions=tuple(tracked_version(str(n + 1), f"v{n}") for n in range(600))), NOW)
    known = written(model, plan).status
    assert (known.versions[0].name, known.versions[-1].name) == ("v0", "v599")
    assert len(known.versions) + len(known.older_versions) == 512
