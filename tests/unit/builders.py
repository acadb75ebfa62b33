"""Small builders: our objects, their owned objects, and the state of MLflow and S3."""

from __future__ import annotations

import json
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import jsonschema
from hypothesis import settings
from jsonschema.protocols import Validator

from modelyard.adapters.pod_traffic import PodTraffic
from modelyard.api.base import Meta, Resource, Status
from modelyard.api.experiment import Experiment, ExperimentSpec, ExperimentStatus
from modelyard.api.freeze import Calendar
from modelyard.api.kinds import KINDS
from modelyard.api.registered_model import (
    RegisteredModel,
    RegisteredModelSpec,
    RegisteredModelStatus,
)
from modelyard.api.schema import crd
from modelyard.api.text import TextFilter
from modelyard.api.training_run import TrainingRun, TrainingRunSpec, TrainingRunStatus
from modelyard.engine import report
from modelyard.errors import ModelyardError
from modelyard.kube.applied import stamped
from modelyard.kube.names import STAGES_TAG, VERSION_TAG, mlflow_model_name, owner_tags
from modelyard.kube.owned import parent_of
from modelyard.kube.pods import Runtime
from modelyard.plan import Act, Action, Apply, Delete, External, Manifest, Owned, Plan, Record, Rest
from modelyard.ports import (
    ArtifactTree,
    Tenant,
    TrackedExperiment,
    TrackedModel,
    TrackedRun,
    TrackedVersion,
)
from tests.fakes.pods import FakePods
from tests.fakes.tenants import FakeTenants

ResourceT = TypeVar("ResourceT", bound=Resource[Any, Any])

PROPERTY = settings(max_examples=60, deadline=None, derandomize=True)
"""Settings of property tests: the same examples every time, without a deadline."""

NAMESPACE = "risk"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
RUNTIME = Runtime("modelyard/runtime:1.2.3", "IfNotPresent", "1.2.3")
BUCKET = "mlflow-artifacts"
URL = "http://mlflow:5050"


# --- our own objects ------------------------------------------------------------------------------
def meta(name: str, *, deleting: bool = False, **more: Any) -> Meta:
    """Return metadata; the uid is `uid-<name>` unless given."""
    known = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-{name}",
        "deletion_timestamp": NOW if deleting else None,
    }
    return Meta(**(known | more))


def experiment(
    name: str = "fraud",
    *,
    about: dict[str, Any] | None = None,
    status: ExperimentStatus | None = None,
    **spec: Any,
) -> Experiment:
    """Return an Experiment; `about` is its metadata, the rest its spec."""
    wanted = ExperimentSpec.model_validate(spec)
    return Experiment(
        metadata=meta(name, **(about or {})), spec=wanted, status=status or ExperimentStatus()
    )


def training_run(
    name: str = "fraud-1",
    *,
    about: dict[str, Any] | None = None,
    status: TrainingRunStatus | None = None,
    **spec: Any,
) -> TrainingRun:
    """Return a TrainingRun of the Experiment fraud, by the xgboost trainer unless the spec says
    otherwise.
    """
    wanted = TrainingRunSpec.model_validate(
        {"experiment": "fraud", "trainer": {"xgboost": {}}} | spec
    )
    return TrainingRun(
        metadata=meta(name, **(about or {})), spec=wanted, status=status or TrainingRunStatus()
    )


def registered_model(
    name: str = "fraud",
    *,
    about: dict[str, Any] | None = None,
    status: RegisteredModelStatus | None = None,
    **spec: Any,
) -> RegisteredModel:
    """Return a RegisteredModel."""
    wanted = RegisteredModelSpec.model_validate(spec)
    return RegisteredModel(
        metadata=meta(name, **(about or {})), spec=wanted, status=status or RegisteredModelStatus()
    )


def body(resource: Resource[Any, Any]) -> Manifest:
    """Return an object as the watches know it."""
    spec = resource.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    metadata = resource.metadata.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": resource.KIND,
        "metadata": metadata,
        "spec": spec,
    } | ({"status": report.dumped(resource.status)} if resource.status.conditions else {})


# --- parts of a plan ------------------------------------------------------------------------------
def status_of(of: Plan[Any] | Status) -> Any:
    """Return the status that a plan writes; a plan that acts or finalizes writes none."""
    if isinstance(of, Status):
        return of
    assert isinstance(of, Record | Rest), f"this writes no status: {of}"
    return of.status


def said(of: Plan[Any] | Status) -> str:
    """Return a status in two words, such as `Ready Synced`; exactly one of three conditions is
    True.
    """
    assert not isinstance(of, Record), f"this is not the end of it: {of}"
    return _words(status_of(of))


def recorded(of: Plan[Any]) -> str:
    """Return the same words for a status that is written before the next round."""
    assert isinstance(of, Record), f"this is not written first: {of}"
    return _words(of.status)


def _words(status: Status) -> str:
    true = [type_ for type_ in ("Ready", "Reconciling", "Stalled") if status.is_true(type_)]
    assert len(true) == 1, status.conditions
    found = status.condition(true[0])
    assert found is not None
    return f"{found.type} {found.reason}"


def message(of: Plan[Any] | Status, type_: str = "Ready") -> str:
    """Return the message of a condition."""
    found = status_of(of).condition(type_)
    assert found is not None, f"there is no condition {type_}"
    return str(found.message)


def actions(plan: Plan[Any]) -> tuple[Action, ...]:
    """Return the actions of a plan."""
    return plan.actions if isinstance(plan, Act) else ()


def outside(plan: Plan[Any]) -> External | None:
    """Return the one external effect of a plan, if it has one."""
    return next((action for action in actions(plan) if not isinstance(action, Owned)), None)


def applied(plan: Plan[Any]) -> dict[str, Manifest]:
    """Return what a plan applies, as `Kind/name`."""
    return {
        f"{a.manifest['kind']}/{a.manifest['metadata']['name']}": a.manifest
        for a in actions(plan)
        if isinstance(a, Apply)
    }


def deleted(plan: Plan[Any]) -> list[str]:
    """Return what a plan deletes, as `Kind/name`, in its order."""
    return [f"{a.kind}/{a.name}" for a in actions(plan) if isinstance(a, Delete)]


_TAKEN: set[str] = set()


@cache
def _schema(plural: str) -> Validator:
    kind = next(kind for kind in KINDS if plural == kind.resource.PLURAL)
    return jsonschema.Draft202012Validator(
        crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    )


def written(resource: ResourceT, plan: Plan[Any], now: datetime = NOW) -> ResourceT:
    """Return the object with the plan's status, as the engine writes it; the CRD's schema accepts
    it.
    """
    old = report.dumped(resource.status) if resource.status.conditions else {}
    new = report.merge(old, report.dumped(status_of(plan)), resource.metadata.generation, now)
    text = json.dumps(new)
    if text not in _TAKEN:
        _schema(resource.PLURAL).validate(new)
        _TAKEN.add(text)
    return resource.model_copy(update={"status": type(resource.status).model_validate(new)})


# --- children -------------------------------------------------------------------------------------
def live(
    manifest: Manifest,
    status: Manifest | None = None,
    *,
    generation: int = 1,
    uid: str = "",
    **about: Any,
) -> Manifest:
    """Return an object as the API server has it after an apply of this manifest."""
    there = deepcopy(stamped(manifest))
    name = there["metadata"]["name"]
    there["metadata"] |= {
        "uid": uid or f"uid-{there['kind']}-{name}".lower(),
        "resourceVersion": "1",
        "generation": generation,
    } | about
    return there | ({"status": status} if status is not None else {})


def job(manifest: Manifest, condition: str = "", reason: str = "") -> Manifest:
    """Return a live Job, active unless a condition (Complete, Failed) says that it has ended."""
    return live(
        manifest,
        {
            "conditions": [{"type": condition, "status": "True", "reason": reason}]
            if condition
            else []
        },
    )


def pod(
    owner: Manifest,
    phase: str = "Running",
    *,
    name: str = "",
    statuses: Iterable[Manifest] = (),
    **status: Any,
) -> Manifest:
    """Return a pod of a Job or Deployment, with these container statuses (`state` and the like;
    init containers' have `init`).
    """
    init = [{k: v for k, v in each.items() if k != "init"} for each in statuses if each.get("init")]
    main = [each for each in statuses if not each.get("init")]
    labels = dict(owner["spec"]["template"]["metadata"]["labels"])
    about: Manifest = {}
    if owner["kind"] == "Job":
        labels["job-name"] = owner["metadata"]["name"]
        uid = owner["metadata"].get("uid") or f"uid-job-{owner['metadata']['name']}"
        about["ownerReferences"] = [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": owner["metadata"]["name"],
                "uid": uid,
                "controller": True,
            }
        ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name or f"{owner['metadata']['name']}-x7x7x",
            "namespace": NAMESPACE,
            "uid": f"uid-pod-{name or owner['metadata']['name']}",
            "labels": labels,
            "creationTimestamp": "2026-01-01T12:00:00Z",
        }
        | about,
        "spec": {},
        "status": {"phase": phase, "initContainerStatuses": init, "containerStatuses": main}
        | status,
    }


def waiting(reason: str, text: str = "", **more: Any) -> Manifest:
    """Return the status of a waiting container."""
    return {
        "name": "trainer",
        "image": "registry/image:1",
        "state": {"waiting": {"reason": reason, "message": text}},
    } | more


def terminated(code: int, text: str = "", reason: str = "", **more: Any) -> Manifest:
    """Return the status of a terminated container."""
    return {
        "name": "trainer",
        "state": {"terminated": {"exitCode": code, "message": text, "reason": reason}},
    } | more


# --- MLflow and S3 --------------------------------------------------------------------------------
def tracked_experiment(
    name: str = "fraud", *, id_: str = "12", deleted: bool = False, **tags: str
) -> TrackedExperiment:
    """Return our MLflow experiment as a fresh Experiment of that name leaves it."""
    ours = {"mlflow.note.content": ""} | owner_tags(NAMESPACE, name, f"uid-{name}")
    return TrackedExperiment(
        id_, f"{NAMESPACE}/{name}", f"s3://{BUCKET}/{NAMESPACE}/{name}", deleted, ours | tags
    )


def tracked_run(
    id_: str = "r1", status: Any = "FINISHED", *, ended: timedelta | None = HOUR, **more: Any
) -> TrackedRun:
    """Return a run of experiment 12 that ended so long ago."""
    end = None if ended is None or status in {"RUNNING", "SCHEDULED"} else NOW - ended
    known = TrackedRun(
        id=id_,
        experiment="12",
        name=id_,
        status=status,
        deleted=False,
        start=(end or NOW) - 10 * MINUTE,
        end=end,
        tags={},
        artifact_uri=f"s3://{BUCKET}/{NAMESPACE}/fraud/{id_}/artifacts",
    )
    return replace(known, **more)


def tree(text: str = "a", size: int = 3) -> ArtifactTree:
    """Return an artifact tree whose digest repeats one character."""
    return ArtifactTree("sha256:" + text * 64, size, 1)


def artifacts(version: str) -> str:
    """Return where the artifacts of a version are stored."""
    return f"s3://{BUCKET}/{NAMESPACE}/fraud/{version}"


def tracked_model(
    name: str = "fraud",
    *,
    aliases: dict[str, str] | None = None,
    description: str = "",
    **tags: str,
) -> TrackedModel:
    """Return our registered model in MLflow."""
    ours = owner_tags(NAMESPACE, name, f"uid-{name}")
    return TrackedModel(mlflow_model_name(NAMESPACE, name), description, ours | tags, aliases or {})


def tracked_version(
    number: str,
    version: str,
    *,
    stage: Any = "None",
    stages: str = "",
    model: str = "fraud",
    text: str = "a",
    **more: Any,
) -> TrackedVersion:
    """Return one of our versions in MLflow, with the record that registering it leaves in its
    tags.
    """
    uri, there = artifacts(version), tree(text)
    tags = owner_tags(NAMESPACE, model, f"uid-{model}") | {
        VERSION_TAG: version,
        "modelyard.io/uri": uri,
        "modelyard.io/digest": there.digest,
        "modelyard.io/bytes": str(there.bytes),
        "modelyard.io/flavor": "xgboost",
    }
    found = TrackedVersion(
        mlflow_model_name(NAMESPACE, model),
        number,
        uri,
        None,
        stage,
        ready=True,
        tags=tags | ({STAGES_TAG: stages} if stages else {}),
        created=NOW - DAY,
    )
    return replace(found, **more)


# --- for observing --------------------------------------------------------------------------------
class Around:
    """`modelyard.ports.Ports` over values: our objects and the objects they own as given, MLflow
    and S3 in memory.
    """

    def __init__(
        self,
        *objects: Resource[Any, Any],
        children: tuple[Manifest, ...] = (),
        config_maps: dict[str, dict[str, str]] | None = None,
        labels: dict[str, str] | None = None,
    ) -> None:
        self.objects, self.children = objects, children
        self.config_maps, self.labels = config_maps or {}, labels or {}
        self.refusals: dict[tuple[str, str], ModelyardError] = {}
        self.creation_errors: dict[str, str] = {}
        self.pods = FakePods()
        self.traffic = PodTraffic(self.pods)
        self.tenants = FakeTenants(BUCKET, url=URL)
        self.tracking, self.store = self.tenants.tracking, self.tenants.store(NAMESPACE)
        self.tenants.world[BUCKET] = {}

    @property
    def cluster(self) -> Any:
        return self

    async def tenant(self, namespace: str) -> Tenant:
        return await self.tenants.tenant(namespace)

    def text_filter(self, namespace: str) -> TextFilter:
        return self.tenants.text_filter(namespace)

    def reread_secrets(self, namespace: str) -> None:
        self.tenants.reread_secrets(namespace)

    def get(self, plural: str, namespace: str, name: str) -> Manifest | None:
        return next(
            (
                found
                for found in self.select(plural, namespace)
                if found["metadata"]["name"] == name
            ),
            None,
        )

    def select(self, plural: str, namespace: str) -> list[Manifest]:
        return [
            body(one)
            for one in self.objects
            if plural == one.PLURAL and one.metadata.namespace == namespace
        ]

    def owned(self, uid: str) -> tuple[Manifest, ...]:
        parents = ((child, parent_of(child)) for child in self.children)
        return tuple(child for child, parent in parents if parent is not None and parent.uid == uid)

    def calendar(self) -> Calendar:
        return Calendar()

    async def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        return self.config_maps.get(name)

    async def creation_error(self, namespace: str, uid: str) -> str | None:
        return self.creation_errors.get(uid)

    async def namespace_labels(self, namespace: str) -> dict[str, str]:
        return self.labels

    async def unguarded(self, namespace: str) -> str | None:
        return None

    def log_model(self, run: str, data: bytes = b"booster", name: str = "model") -> str:
        """Log a model with its files, as `mlflow.xgboost.log_model` does; return its URI."""
        uri = self.tracking.log_model(run, name).uri
        self.put_model(uri, data)
        return uri

    def put_model(self, uri: str, data: bytes = b"booster") -> None:
        """Put a model's files below a prefix."""
        self.store.put(
            f"{uri}/MLmodel", b"flavors: {python_function: {}, xgboost: {data: model.ubj}}\n"
        )
        self.store.put(f"{uri}/model.ubj", data)
