"""What the status keeps of many versions, and what is rebuilt from MLflow's tags."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.blocker import VersionBlocker
from modelyard.api.registered_model import KnownVersion, RegisteredModel, StageStatus
from modelyard.api.registered_model import ModelReason as Reason
from modelyard.api.training_run import ModelArtifact, TrainingRunStatus
from modelyard.controller import FINALIZER
from modelyard.plan import Record, Rest
from modelyard.registered_model.declarations import declarations
from modelyard.registered_model.observation import Artifacts
from modelyard.registered_model.versions import split
from tests.unit.builders import (
    DAY,
    NOW,
    artifacts,
    message,
    recorded,
    registered_model,
    said,
    status_of,
    tracked_model,
    tracked_version,
    training_run,
    written,
)
from tests.unit.models import (
    A,
    around,
    decide,
    declared,
    digest,
    displaced,
    observed,
    pods_of,
    record,
    recording,
    registered,
    served,
    source,
    versions_of,
)

WAITS = VersionBlocker(
    reason=Reason.WAITING_FOR_VERSION, message="The TrainingRun fraud-3 has not finished yet."
)


# --- many versions --------------------------------------------------------------------------------
def many(count: int, **stages: StageStatus) -> RegisteredModel:
    """Return a model with this number of recorded versions."""
    versions = [record(f"v{n}", str(n + 1)) for n in range(count)]
    spec = {name: {"version": stage.version} for name, stage in stages.items()}
    full, older = split(recording(registered_model(stages=spec)), tuple(versions), stages)
    return recording(registered_model(stages=spec), *full, older_versions=older, stages=stages)


def test_the_newest_versions_are_kept_whole_and_older_ones_as_a_record():
    model = many(70)
    assert [version.name for version in model.status.versions] == [f"v{n}" for n in range(6, 70)]
    assert model.status.older_versions[0] == KnownVersion(
        name="v0", digest=digest(), mlflow_version="1"
    )
    assert [each.name for each in model.status.older_versions] == [f"v{n}" for n in range(6)]


def test_new_versions_do_not_push_out_old_ones():
    model = many(65)
    for n in range(65, 75):
        new = (*model.status.versions, record(f"v{n}", str(n + 1)))
        full, older = split(model, new, {})
        model = recording(registered_model(), *full, older_versions=older)
        names = {each.name for each in (*model.status.versions, *model.status.older_versions)}
        assert names == {f"v{k}" for k in range(n + 1)}
        assert {each.mlflow_version for each in model.status.older_versions} == {
            str(k + 1) for k in range(n - 63)
        }


def test_versions_in_use_are_kept_whole_however_old():
    what = served(record("v0", "1"))
    stage = StageStatus(
        version="v0",
        digest=what.digest,
        runtime=what.runtime,
        previous=displaced(record("v1", "2")),
    )
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
    forged = decide(
        model, observed(versions=there, artifacts={"v0": Artifacts("sha256:l", digest("9"))}), NOW
    )
    assert recorded(forged).startswith("Reconciling"), "the candidate is dropped first"
    assert status_of(forged).stages["production"].candidate is None


def test_an_older_version_that_mlflow_lost_is_reported():
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


def test_the_largest_status_fits_the_limit():
    """64 declared versions and 300 TrainingRuns that have not finished; 512 versions recorded."""
    model = many(512)
    assert (len(model.status.versions), len(model.status.older_versions)) == (64, 448)
    waiting = {f"w{n}": WAITS for n in range(300)}
    spec = registered_model(
        versions=declared(*list(waiting)[:64]), stages={"production": {"version": "w299"}}
    ).spec
    for before, size in ((recording(registered_model()), 17), (model, 64)):
        model = before.model_copy(update={"spec": spec})
        asked = {
            name: replace(next(iter(declarations(model, ()).values())), version=name)
            for name in waiting
        }
        plan = decide(model, observed(declarations=asked, sources=waiting), NOW)
        names = set(versions_of(plan))
        assert len(names) == size, "of those that wait, 16 and those in use"
        assert "w299" in names
        written(model, plan)


def test_more_versions_than_can_be_recorded_are_refused_and_none_is_dropped():
    model = many(512)
    model = model.model_copy(update={"spec": registered_model(versions=declared("w1")).spec})
    plan = decide(
        model, observed(declarations=declarations(model, ()), sources={"w1": source("w1")}), NOW
    )
    blocked = versions_of(plan)["w1"].blocked
    assert blocked
    assert (blocked.reason, blocked.needs_action) == ("VersionInvalid", True)
    assert len(status_of(plan).older_versions) == 448


# --- rebuilt from tags ----------------------------------------------------------------------------
def restored(annotations: Any = None, finalizers: Any = (), **spec: Any) -> RegisteredModel:
    """Return an object without any status: restored from a backup."""
    about = {
        "annotations": {"modelyard.io/adopt": "true"} if annotations is None else annotations,
        "finalizers": finalizers,
    }
    return registered_model(about=about | {"uid": "uid-new"}, **spec)


THERE = (tracked_version("1", "v1", stages="production"), tracked_version("2", "v2", text="b"))
PRODUCTION = {"stages": {"production": {"version": "v1"}}}


def test_an_empty_status_is_rebuilt_from_tags():
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


@pytest.mark.parametrize(
    "field", ["mlflow_name", "versions", "older_versions", "stages", "history"]
)
def test_nothing_is_rebuilt_when_the_status_records_anything(field: str):
    whole = recording(
        restored(**PRODUCTION),
        record("v9", "9"),
        older_versions=(KnownVersion(name="v8", digest=digest()),),
        stages={
            "production": StageStatus(version="v9", digest=digest(), runtime=served(A).runtime)
        },
        history=({"time": NOW, "stage": "production", "outcome": "Cleared"},),
    )
    part = {field: getattr(whole.status, field)}
    model = whole.model_copy(update={"status": type(whole.status)(**part)})
    plan = decide(model, observed(versions=THERE), NOW)
    names = (
        {version.name for version in status_of(plan).versions}
        if isinstance(plan, Record | Rest)
        else set()
    )
    assert not names & {"v1", "v2"}


def test_without_the_annotation_only_an_object_already_reconciled_is_rebuilt():
    """If MLflow already has a model with a new object's uid, another client wrote it."""
    ours = tuple(
        replace(each, tags=dict(each.tags) | {"modelyard.io/uid": "uid-new"}) for each in THERE
    )
    model = replace(tracked_model(), tags={**tracked_model().tags, "modelyard.io/uid": "uid-new"})
    for finalizers, rebuilt in ((), False), ((FINALIZER,), True):
        plan = decide(
            restored({}, finalizers, **PRODUCTION), observed(model=model, versions=ours), NOW
        )
        assert isinstance(plan, Record)
        assert set(versions_of(plan)) == ({"v1", "v2"} if rebuilt else set())
        assert bool(plan.status.stages["production"].version) == rebuilt


def test_tags_that_contradict_other_sources_are_ignored():
    moved = replace(THERE[0], source="s3://b/forged")
    short = replace(THERE[1], tags=dict(THERE[1].tags) | {"modelyard.io/digest": "sha256:1"})
    other = replace(
        tracked_version("3", "v3"),
        tags=dict(tracked_version("3", "v3").tags) | {"modelyard.io/name": "other"},
    )
    assert (
        set(
            versions_of(
                decide(restored(**PRODUCTION), observed(versions=(moved, short, other)), NOW)
            )
        )
        == set()
    )
    elsewhere = restored(versions={"v1": {"uri": "s3://mlflow-artifacts/risk/fraud/declared"}})
    assert set(
        versions_of(
            decide(
                elsewhere, observed(versions=THERE, declarations=declarations(elsewhere, ())), NOW
            )
        )
    ) == {"v2"}


@pytest.mark.parametrize(
    "is_registering", [False, True], ids=["the spec names the run", "the run registers"]
)
@pytest.mark.parametrize(
    "tags",
    [{}, {"modelyard.io/training-run": "fraud-001"}, {"modelyard.io/training-run": "other"}],
    ids=str,
)
def test_tags_do_not_decide_which_bytes_a_training_run_logged(
    tags: dict[str, str], is_registering: bool
):
    """A user who may annotate the object and write to MLflow must not decide what v1 is."""
    forged = replace(THERE[0], tags={**THERE[0].tags, "modelyard.io/digest": digest("e"), **tags})
    model = restored(
        **PRODUCTION,
        **({} if is_registering else {"versions": {"v1": {"trainingRun": "fraud-001"}}}),
    )
    register = {"model": "fraud", "version": "v1"} if is_registering else None
    logged = ModelArtifact(uri=artifacts("v1"), digest=digest(), bytes=3)
    run = training_run("fraud-001", register=register, status=TrainingRunStatus(model=logged))
    for age, believed in ((2 * DAY, False), (DAY / 2, True)):
        run = run.model_copy(
            update={"metadata": run.metadata.model_copy(update={"creation_timestamp": NOW - age})}
        )
        seen = observed(
            versions=(forged, THERE[1]),
            declarations=declarations(model, [run]),
            runs={"fraud-001": run},
        )
        plan = decide(model, seen, NOW)
        assert ("v1" in versions_of(plan)) == believed, (
            "a run that is younger than the version is another of its name"
        )
        assert isinstance(plan, Record)
        if not believed:
            assert all(stage.version is None for stage in plan.status.stages.values())
    true = replace(THERE[0], tags={**THERE[0].tags, "modelyard.io/training-run": "fraud-001"})
    run = run.model_copy(
        update={"metadata": run.metadata.model_copy(update={"creation_timestamp": NOW - 2 * DAY})}
    )
    seen = observed(
        versions=(true,), declarations=declarations(model, [run]), runs={"fraud-001": run}
    )
    assert versions_of(decide(model, seen, NOW))["v1"].digest == digest()


def test_a_tagged_version_is_effective_only_if_the_spec_wants_it_or_it_is_serving():
    """A tag alone does not start a version."""
    for spec in (
        {"stages": {"production": {"version": "v2"}}},
        {"stages": {"staging": {"version": "v1"}}},
        {},
    ):
        plan = decide(restored(**spec), observed(versions=THERE), NOW)
        assert isinstance(plan, Record)
        assert [stage.version for stage in plan.status.stages.values()] == []
    model = restored(stages={"production": {"version": "v2"}})
    there = pods_of(
        model.model_copy(update={"spec": registered_model(**PRODUCTION).spec}),
        served(record("va", None, "c")),
        routed=True,
    )
    renamed = [each | {"metadata": each["metadata"]} for each in there]
    for each in renamed:
        if each["kind"] == "Deployment":
            each["spec"]["template"]["metadata"]["labels"]["modelyard.io/version"] = "v1"
    plan = decide(model, observed(versions=THERE, owned=tuple(renamed)), NOW)
    assert isinstance(plan, Record)
    stage = plan.status.stages["production"]
    assert (stage.version, stage.digest) == ("v1", digest("c")), (
        "what serves says which bytes it is, before any tag"
    )


def test_stage_tags_older_than_the_stage_are_ignored():
    model = registered(registered_model(**PRODUCTION), ("1", "v1"), ("2", "v2"))
    tagged = tuple(
        replace(each, tags=dict(each.tags) | {"modelyard.io/stages": "production,canary"})
        for each in THERE
    )
    plan = decide(model, around(model, versions=tagged), NOW)
    assert isinstance(plan, Record)
    assert (plan.status.stages["production"].version, set(plan.status.stages)) == (
        None,
        {"production"},
    )


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
def test_tags_that_another_client_overwrote_do_no_harm(tags: dict[str, str]):
    there = replace(tracked_version("1", "v1"), tags={**tracked_version("1", "v1").tags, **tags})
    model = restored(**PRODUCTION)
    written(model, decide(model, observed(versions=(there,)), NOW))
    model = registered(registered_model(**PRODUCTION), ("1", "v1"))
    plan = decide(model, around(model, versions=(there,)), NOW)
    assert isinstance(plan, Record)
    written(model, plan)


def test_of_more_versions_in_mlflow_than_a_status_holds_as_many_as_fit_are_rebuilt():
    model = restored(stages={"production": {"version": "v0"}})
    plan = decide(
        model,
        observed(versions=tuple(tracked_version(str(n + 1), f"v{n}") for n in range(600))),
        NOW,
    )
    known = written(model, plan).status
    assert (known.versions[0].name, known.versions[-1].name) == ("v0", "v599")
    assert len(known.versions) + len(known.older_versions) == 512
