"""What `observe` reads for a RegisteredModel, and which reads of MLflow and S3 it avoids."""

from dataclasses import replace
from typing import Any

import pytest

from modelyard.api.base import condition
from modelyard.api.blocker import Blocker, VersionBlocker
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.training_run import MlflowRun, ModelArtifact, TrainingRun, TrainingRunStatus
from modelyard.errors import Unavailable
from modelyard.kube.names import owner_tags
from modelyard.plan import CreateVersion
from modelyard.registered_model import controller
from modelyard.registered_model.observation import Artifacts, Source
from modelyard.registered_model.observe import observe
from tests.unit.builders import (
    BUCKET,
    NAMESPACE,
    NOW,
    RUNTIME,
    URL,
    Around,
    body,
    outside,
    pod,
    registered_model,
    status_of,
    training_run,
    waiting,
    written,
)
from tests.unit.models import A, decide, deployment_in, pods_of, recording, stage_of

OURS = owner_tags(NAMESPACE, "fraud", "uid-fraud")


async def registry(*objects: Any, tags: dict[str, str] | None = None, **more: Any) -> Around:
    """A world in which MLflow has our model."""
    there = Around(*objects, **more)
    await there.tracking.create_model("risk.fraud", "", OURS if tags is None else tags)
    return there


def uri(version: str) -> str:
    return f"s3://{BUCKET}/risk/fraud/{version}"


def asked(there: Around, *operations: str) -> list[str]:
    return [str(call.arguments[0]) for call in there.tenants.calls if call.operation in operations]


# --- what is read ---------------------------------------------------------------------------------
async def test_a_model_that_mlflow_does_not_have_can_be_observed():
    seen = await observe(registered_model(), Around(), NOW)
    assert (seen.model, seen.versions, seen.dependency_error, seen.tracking_url) == (
        None,
        (),
        None,
        URL,
    )


async def test_a_model_of_another_object_is_not_read():
    there = await registry(tags={"modelyard.io/uid": "uid-of-another"})
    seen = await observe(registered_model(versions={"v1": {"uri": uri("v1")}}), there, NOW)
    assert seen.model
    assert (seen.versions, seen.sources) == ((), {})
    assert asked(there, "versions", "read", "digest") == []


@pytest.mark.parametrize(
    ("labels", "allowed"), [({}, False), ({"modelyard.io/allow-code-models": "true"}, True)]
)
async def test_whether_the_namespace_allows_code(labels: dict[str, str], allowed: bool):
    assert (
        await observe(registered_model(), await registry(labels=labels), NOW)
    ).allow_code == allowed


async def test_an_unreachable_dependency_is_a_value_and_kubernetes_is_observed_anyway():
    there = await registry()
    there.tenants.wrong["risk"] = "there is no Secret"
    seen = await observe(registered_model(versions={"v1": {"uri": uri("v1")}}), there, NOW)
    assert seen.dependency_error
    assert (seen.dependency_error.operation, set(seen.declarations)) == ("read connection", {"v1"})

    def away(operation: str, phase: str) -> None:
        if operation == "versions":
            raise Unavailable("MLflow", "read versions of", "risk.fraud")

    there = await registry()
    there.tenants.on_call = away
    assert isinstance((await observe(registered_model(), there, NOW)).dependency_error, Unavailable)


async def test_versions_of_an_earlier_object_are_not_ours_and_are_registered_again():
    """After delete, create and adopt the names are the same and the uid differs."""
    there = await registry()
    there.put_model(uri("v1"))
    await there.tracking.create_version(
        "risk.fraud",
        uri("v1"),
        None,
        {"modelyard.io/version": "v1", "modelyard.io/uid": "uid-old"},
        None,
    )
    seen = await observe(registered_model(versions={"v1": {"uri": uri("v1")}}), there, NOW)
    assert isinstance(seen.sources["v1"], Source)


async def test_a_round_reads_only_the_bytes_that_it_registers():
    there = await registry()
    names = [f"v{number}" for number in range(5)]
    for name in names[1:]:
        there.put_model(uri(name))
    seen = await observe(
        registered_model(versions={name: {"uri": uri(name)} for name in names}), there, NOW
    )
    assert {name: type(found) for name, found in seen.sources.items()} == {
        "v0": VersionBlocker,
        "v1": Source,
    }
    assert asked(there, "digest") == [uri("v1")]


# --- bytes ----------------------------------------------------------------------------------------
async def known(there: Around, **spec: Any) -> RegisteredModel:
    """Return a model whose version v1 is recorded, registered and desired in production."""
    there.put_model(uri("v1"))
    model = recording(
        registered_model(
            versions={"v1": {"uri": uri("v1")}}, stages={"production": {"version": "v1"}}, **spec
        )
    )
    model = written(model, decide(model, await observe(model, there, NOW), NOW))
    action = outside(decide(model, await observe(model, there, NOW), NOW))
    assert isinstance(action, CreateVersion)
    await there.tracking.create_version(
        action.model, action.source, action.run, action.tags, action.logged_model
    )
    return written(model, decide(model, await observe(model, there, NOW), NOW))


async def test_bytes_are_read_once_and_after_that_only_when_the_listing_changes():
    there = await registry()
    model = await known(there)
    assert len(asked(there, "digest")) == 1, "the listing was recorded with the bytes"
    there.tenants.calls.clear()
    seen = await observe(model, there, NOW)
    assert seen.artifacts["v1"] == Artifacts(
        str(model.status.versions[0].listing_digest), model.status.versions[0].digest
    )
    assert asked(there, "digest") == []
    there.store.put(f"{uri('v1')}/model.ubj", b"another")
    changed = (await observe(model, there, NOW)).artifacts["v1"]
    assert isinstance(changed, Artifacts)
    assert changed.digest != model.status.versions[0].digest


async def test_missing_artifacts_are_none_and_those_that_s3_refuses_block_the_version():
    there = await registry()
    model = await known(there)
    there.tenants.world[BUCKET].clear()
    assert (await observe(model, there, NOW)).artifacts == {"v1": None}
    there.tenants.world.clear()
    seen = await observe(model, there, NOW)
    assert seen.dependency_error is None
    assert isinstance(seen.artifacts["v1"], Blocker)


async def test_only_versions_in_use_are_checked():
    there = await registry()
    model = await known(there)
    idle = model.model_copy(
        update={"spec": registered_model(versions={"v1": {"uri": uri("v1")}}).spec}
    )
    idle = idle.model_copy(update={"status": idle.status.model_copy(update={"stages": {}})})
    assert (await observe(idle, there, NOW)).artifacts == {}


async def test_a_version_that_mlflow_lost_is_registered_again_only_with_its_bytes():
    there = await registry()
    model = await known(there)
    await there.tracking.delete_version("risk.fraud", "1")
    assert isinstance(outside(decide(model, await observe(model, there, NOW), NOW)), CreateVersion)
    there.put_model(uri("v1"), b"other bytes")
    plan = decide(model, await observe(model, there, NOW), NOW)
    assert outside(plan) is None
    blocked = status_of(plan).versions[0].blocked
    assert (blocked.reason, blocked.needs_action) == ("ArtifactDigestMismatch", True)


async def test_an_adopted_model_is_read_before_it_is_ours():
    """For an object restored from a backup, MLflow's tags are read while they still have the old
    uid.
    """
    there = await registry(tags={"modelyard.io/uid": "uid-old"})
    await there.tracking.create_version(
        "risk.fraud",
        uri("v1"),
        None,
        {"modelyard.io/version": "v1", "modelyard.io/uid": "uid-old"},
        None,
    )
    adopted = registered_model(about={"annotations": {"modelyard.io/adopt": "true"}})
    assert len((await observe(adopted, there, NOW)).versions) == 1
    assert (await observe(registered_model(), there, NOW)).versions == ()


# --- where a version lies -------------------------------------------------------------------------
async def resolved(there: Around, **version: Any) -> Source | Blocker:
    return (await observe(registered_model(versions={"v1": version}), there, NOW)).sources["v1"]


def ended(run_id: str, lies: str, digest: str, *, well: bool = True) -> TrainingRun:
    """Return a finished TrainingRun that logged a model."""
    status = TrainingRunStatus(
        conditions=(condition("Succeeded", well, "Succeeded" if well else "Failed"),),
        completion_time=NOW,
        mlflow=MlflowRun(run_id=run_id, experiment_id="1", url=URL),
        model=ModelArtifact(uri=lies, digest=digest, bytes=1),
    )
    return training_run("fraud-1", status=status)


async def logged(there: Around) -> tuple[str, str]:
    """Log a model in a run; return the run's id and the model's URI."""
    id_ = await there.tracking.create_experiment("risk/fraud", f"s3://{BUCKET}/risk/fraud", {})
    run = await there.tracking.create_run(id_, "fraud-1", {"modelyard.io/namespace": "risk"})
    return run, there.log_model(run)


async def test_the_source_from_a_training_run_is_the_model_that_it_logged():
    there = await registry()
    run, lies = await logged(there)
    tree = await there.store.digest(lies)
    assert tree
    there.objects = (ended(run, lies, tree.digest),)
    found = await resolved(there, training_run="fraud-1")
    assert isinstance(found, Source)
    assert (found.uri, found.run, found.training_run, found.logged_model) == (
        lies,
        run,
        "fraud-1",
        next(iter(there.tracking.logged)),
    )


async def test_a_training_run_s_model_that_has_changed_since_is_refused():
    there = await registry()
    run, lies = await logged(there)
    there.objects = (ended(run, lies, "sha256:" + "0" * 64),)
    found = await resolved(there, training_run="fraud-1")
    assert isinstance(found, Blocker)
    assert found.reason == "ArtifactDigestMismatch"


@pytest.mark.parametrize(
    ("run", "reason", "waiting"),
    [
        (None, "WaitingForVersion", True),
        (training_run("fraud-1"), "WaitingForVersion", True),
        (ended("r1", "s3://b/k", "d", well=False), "VersionInvalid", False),
        (
            training_run(
                "fraud-1", status=TrainingRunStatus(conditions=(condition("Succeeded", True, "S"),))
            ),
            "VersionInvalid",
            False,
        ),
    ],
    ids=["none", "trains", "failed", "no model"],
)
async def test_a_training_run_that_has_no_model_yet_or_never_will(
    run: TrainingRun | None, reason: str, waiting: bool
):
    there = await registry(*([run] if run else []))
    found = await resolved(there, training_run="fraud-1")
    assert isinstance(found, Blocker)
    assert (found.reason, found.needs_action) == (reason, not waiting)


async def test_the_source_from_an_mlflow_run_is_the_model_of_that_name_or_path():
    there = await registry()
    run, lies = await logged(there)
    found = await resolved(there, run_id=run)
    assert isinstance(found, Source)
    assert (found.uri, found.run, found.training_run) == (lies, run, None)
    there.put_model(f"{there.tracking.runs_by_id[run].artifact_uri}/other")
    older = await resolved(there, run_id=run, path="other")
    assert isinstance(older, Source)
    assert (older.uri, older.logged_model) == (
        f"{there.tracking.runs_by_id[run].artifact_uri}/other",
        None,
    )


async def test_of_models_of_one_name_the_last_counts_and_two_of_one_moment_are_refused():
    there = await registry()
    run, _ = await logged(there)
    last = there.log_model(run)
    ids = there.tracking.runs_by_id[run].models
    there.tracking.runs_by_id[run] = replace(
        there.tracking.runs_by_id[run], models=ids[::-1]
    )  # MLflow returns them in any order
    found = await resolved(there, run_id=run)
    assert isinstance(found, Source)
    assert found.uri == last
    there.tracking.logged = {
        id_: replace(each, created=NOW) for id_, each in there.tracking.logged.items()
    }
    blocked = await resolved(there, run_id=run)
    assert isinstance(blocked, Blocker)
    assert "several models named model at the same moment" in blocked.message
    assert last in blocked.message


async def test_a_run_of_another_namespace_is_not_used():
    there = await registry()
    run, _ = await logged(there)
    await there.tracking.set_run_tags(run, {"modelyard.io/namespace": "other"})
    for id_ in (run, "nowhere"):
        found = await resolved(there, run_id=id_)
        assert isinstance(found, Blocker)
        assert (found.reason, found.needs_action) == ("VersionInvalid", True)


@pytest.mark.parametrize("path", ["a\\b", "x" * 256, "C:/x", "model.ubj/part"])
async def test_a_tree_that_no_pod_could_write_is_not_registered_and_the_path_is_named(path: str):
    there = await registry()
    there.put_model(uri("odd"))
    there.store.put(f"{uri('odd')}/{path}", b"x")
    (found,) = (
        await observe(registered_model(versions={"v1": {"uri": uri("odd")}}), there, NOW)
    ).sources.values()
    assert isinstance(found, Blocker)
    assert (found.reason, found.needs_action) == ("VersionInvalid", True)
    assert repr(path)[1:20].split("/")[0] in found.message


@pytest.mark.parametrize(
    ("lies", "reason"),
    [
        (uri("nothing"), "ArtifactMissing"),
        ("s3://somebody-elses/models/m", "VersionInvalid"),
        (f"s3://{BUCKET}/other/fraud/m", "VersionInvalid"),
        (f"s3://{BUCKET}/riskier/fraud/m", "VersionInvalid"),
        (f"s3://{BUCKET}/m", "VersionInvalid"),
    ],
    ids=["empty", "another bucket", "another namespace", "a name that begins so", "no folder"],
)
async def test_a_uri_without_a_model_or_outside_the_tenant_s_folder_is_refused(
    lies: str, reason: str
):
    there = await registry()
    if "nothing" not in lies:
        there.put_model(lies)
    there.tenants.calls.clear()
    found = await resolved(there, uri=lies)
    assert isinstance(found, Blocker)
    assert found.reason == reason
    # No request is made outside its folder: several namespaces may have the same keys.
    assert reason == "ArtifactMissing" or not [
        call for call in there.tenants.calls if call.operation in {"read", "objects", "digest"}
    ]


@pytest.mark.parametrize(
    ("run_says", "experiment_says", "takes"),
    [
        ("risk", None, True),
        (None, "risk", True),
        ("risk", "other", True),
        (None, None, False),
        (None, "other", False),
        ("other", "risk", False),
    ],
)
async def test_an_mlflow_run_belongs_to_the_namespace_that_it_or_its_experiment_names(
    run_says: str | None, experiment_says: str | None, *, takes: bool
):
    there = await registry()
    tags = {"modelyard.io/namespace": experiment_says} if experiment_says else {}
    id_ = await there.tracking.create_experiment(
        "a notebook's", f"s3://{BUCKET}/risk/notebook", tags
    )
    run = await there.tracking.create_run(
        id_, "r", {"modelyard.io/namespace": run_says} if run_says else {}
    )
    there.log_model(run)
    found = await resolved(there, run_id=run)
    assert isinstance(found, Source) == takes
    if isinstance(found, Blocker):
        assert (found.reason, found.needs_action) == ("VersionInvalid", True)
        assert ("modelyard.io/namespace" in found.message) == (
            run_says is None and experiment_says is None
        )


async def test_artifacts_without_an_mlmodel_file_are_no_model():
    there = await registry()
    there.store.put(f"{uri('v1')}/model.ubj", b"booster")
    assert isinstance(await resolved(there, uri=uri("v1")), Blocker)


# --- who wakes it ---------------------------------------------------------------------------------
def test_runs_reconcile_the_models_that_they_register_with_and_those_that_name_them():
    relation = next(each for each in controller(RUNTIME).relations if each.plural == "trainingruns")
    models = (
        registered_model("names", versions={"v1": {"training_run": "fraud-1"}}),
        registered_model("other"),
    )
    there: Any = Around(*models)
    run = body(training_run(register={"model": "fraud", "version": "v1"}))
    for status, woken in (
        ({}, True),
        ({"attempt": 1}, False),
        ({"attempt": 1, "completionTime": "2026-01-01T00:00:00Z"}, True),
    ):
        assert list(relation.keys(run | {"status": status}, there)) == (
            ["fraud", "names"] if woken else []
        )


@pytest.mark.parametrize(
    ("container", "doubted"),
    [
        (
            waiting("CreateContainerConfigError", 'secret "modelyard-connection-pods" not found'),
            True,
        ),
        (
            waiting(
                "CreateContainerConfigError",
                "couldn't find key AWS_ACCESS_KEY_ID in Secret risk/modelyard-connection",
            ),
            True,
        ),
        (waiting("CreateContainerConfigError", 'configmap "cases" not found'), False),
        (waiting("ImagePullBackOff", "modelyard-connection"), False),
    ],
)
async def test_a_pod_that_lacks_its_secret_causes_it_to_be_read_again(
    container: Any, doubted: bool
):
    """Secrets are not watched: the operator's copy may be nearly a minute old."""
    model = stage_of("va", holds=A)
    deployment = deployment_in(pods_of(model, A))
    missing = pod(deployment, "Pending", statuses=[container | {"init": True}])
    through = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "fraud",
        "uid": model.metadata.uid,
        "controller": True,
    }
    missing["metadata"]["ownerReferences"] = [through]
    there = await registry(children=(missing,))
    await observe(model, there, NOW)
    assert there.tenants.doubted == (["risk"] if doubted else [])
