"""The world of a story: a cluster, MLflow and S3 in memory, the operator, and all other actors.

The other actors are Kubernetes' controllers (Jobs train: they log a model, or fail as the story
says; Deployments get ready pods) and notebooks, which train without a Job. They act between the
operator's reconciles, never within one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

from modelyard import experiment, model_approval, registered_model, training_run
from modelyard.adapters.pod_traffic import PodTraffic
from modelyard.api.kinds import KINDS
from modelyard.api.schema import crd
from modelyard.api.text import TextFilter
from modelyard.cache import Cache
from modelyard.engine.engine import Engine, Options
from modelyard.engine.metrics import Metrics
from modelyard.kube.pods import Runtime
from modelyard.plan import Manifest
from modelyard.ports import Cluster, Tenant
from tests.fakes.calls import Calls
from tests.fakes.clock import FakeClock, settle
from tests.fakes.cluster import FakeCluster, Killed
from tests.fakes.pods import FakePods
from tests.fakes.tenants import FakeTenants

__all__ = ["NAMESPACE", "Fate", "World", "manifest"]

NAMESPACE = "risk"
RUNTIME = Runtime("modelyard/runtime:test", "IfNotPresent", "0.0.0")
_PLURALS = tuple(kind.resource.PLURAL for kind in KINDS)
_MLMODEL = (
    b"flavors:\n"
    b"  xgboost: {}\n"
    b"  python_function: {}\n"
    b"signature:\n"
    b'  inputs: \'[{"type": "double", "name": "x"}]\'\n'
)
_JOB, _POD, _DEPLOYMENT = "batch/v1/Job", "v1/Pod", "apps/v1/Deployment"


def manifest(kind: str, name: str, **spec: Any) -> Manifest:
    """Return an object as a user writes it."""
    return {
        "apiVersion": "modelyard.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


@cache
def _schema(kind: str) -> Validator:
    version = crd(next(each for each in KINDS if kind == each.resource.KIND))["spec"]["versions"][0]
    return jsonschema.Draft202012Validator(
        version["schema"]["openAPIV3Schema"]["properties"]["status"]
    )


class _Ports:
    def __init__(self, cluster: Cluster, tenants: FakeTenants, pods: FakePods) -> None:
        self.cluster = cluster
        self.traffic = PodTraffic(pods)
        self._tenants = tenants

    async def tenant(self, namespace: str) -> Tenant:
        return await self._tenants.tenant(namespace)

    def text_filter(self, namespace: str) -> TextFilter:
        return self._tenants.text_filter(namespace)

    def reread_secrets(self, namespace: str) -> None:
        self._tenants.reread_secrets(namespace)


@dataclass(frozen=True)
class Fate:
    """What happens to a TrainingRun's Jobs or a version's Deployments instead of training or
    serving.

    Attributes:
        pod: The status of the pod; None: there is none.
        failed: Why the Job has failed, or the Deployment's pod cannot be created; empty: neither.
        refused: Why the Job's pod cannot be created, as an event says it; empty: no event.

    """

    pod: Manifest | None = None
    failed: str = ""
    refused: str = ""


class World:
    """One story's world.

    Attributes:
        failing: By the name of a TrainingRun, how many of its next Jobs fail.
        fates: By the name of a TrainingRun, gate or version, what happens to all of its Jobs or
            Deployments.
        notebooks: By the name of a TrainingRun, what its notebook does one after another, every 15
            s or more: `beat` says that it is alive, `quiet` does nothing, any other word ends it.
            `well` logs a model and closes the run, `fails` closes it and says why.
        broken: Versions whose pods end with this termination message instead of becoming ready.
        pods: The counters of serving pods.
        restarts: How often the operator was killed and came back.
        runtime: The runtime of the operator that comes back next.
        announced: The CloudEvents of all operators, in order of arrival.

    """

    def __init__(self, options: Options | None = None) -> None:
        self._options = options or Options()
        self.clock, self.calls = FakeClock(), Calls()
        self.tenants = FakeTenants(clock=self.clock.now, calls=self.calls)
        self.tracking = self.tenants.tracking
        self.store = self.tenants.store(NAMESPACE)
        self.pods = FakePods()
        self.failing: dict[str, int] = {}
        self.fates: dict[str, Fate] = {}
        self.broken: dict[str, str] = {}
        self.notebooks: dict[str, list[str]] = {}
        self._turns: dict[str, float] = {}
        self.restarts = 0
        self.runtime = RUNTIME
        self.announced: list[Manifest] = []
        self._cache = Cache(_PLURALS)
        self.cluster = FakeCluster(self._cache, clock=self.clock, calls=self.calls)
        self._engine = self._operator()

    # --- the operator -----------------------------------------------------------------------------
    def _operator(self) -> Engine:
        kinds = (
            experiment.controller(),
            training_run.controller(self.runtime),
            registered_model.controller(self.runtime),
            model_approval.controller(),
        )
        ports = _Ports(self.cluster, self.tenants, self.pods)
        self.metrics = Metrics()
        engine = Engine(
            kinds,
            ports,
            self.cluster,
            cache=self._cache,
            clock=self.clock,
            options=self._options,
            metrics=self.metrics,
            announce=self.announced.append,
            jitter=lambda: 0.5,
        )
        engine.open()
        return engine

    def restart(self) -> None:
        """Restart the operator with an empty memory."""
        self.restarts += 1
        self._cache = Cache(_PLURALS)
        self.cluster.attach(self._cache)
        self._engine = self._operator()

    async def run(self, within: timedelta = timedelta(minutes=3)) -> None:
        """Let all actors act in turn until none has work within this time.

        An operator that is killed is restarted.
        """
        for _ in range(200):
            try:
                await settle(self._engine, self.clock)
            except Killed:
                self.restart()
                continue
            if self._everybody_else():
                continue
            before = self.clock.time()
            try:
                await settle(self._engine, self.clock, within=timedelta(seconds=16))
            except Killed:
                self.restart()
                continue
            if self.clock.time() == before:  # nothing is due that soon
                self.clock.advance(16)
            within -= timedelta(seconds=self.clock.time() - before)
            if within <= timedelta() and not self._everybody_else():
                return
        raise AssertionError("The world never comes to rest.")

    # --- users ------------------------------------------------------------------------------------
    def apply(self, *manifests: Manifest) -> None:
        """Create objects."""
        for each in manifests:
            self.cluster.create(each)

    def patch(self, plural: str, name: str, change: Callable[[Manifest], Any]) -> None:
        """Change an object's spec."""
        self.cluster.edit(plural, NAMESPACE, name, lambda body: change(body["spec"]))

    def promote(self, name: str, stage: str, version: str | None) -> None:
        """Change one line."""

        def change(spec: Manifest) -> None:
            stages = spec.setdefault("stages", {})
            stages[stage] = stages.get(stage, {}) | {"version": version} if version else {}

        self.patch("registeredmodels", name, change)

    def get(self, plural: str, name: str) -> Manifest:
        """Return an object as the API server has it."""
        found = self.cluster.live(plural, NAMESPACE, name)
        assert found is not None, f"{plural} {name} is gone"
        return found

    def status(self, plural: str, name: str) -> Manifest:
        """Return an object's status."""
        status: Manifest = self.get(plural, name).get("status") or {}
        return status

    def condition(self, plural: str, name: str, type_: str = "Ready") -> tuple[str, str]:
        """Return status and reason of a condition."""
        for condition in self.status(plural, name).get("conditions", []):
            if condition["type"] == type_:
                return condition["status"], condition["reason"]
        return "", ""

    @property
    def reasons(self) -> set[str]:
        """Return every reason that a status write contained, as `TrainingRun Scheduling`."""
        writes = (call.arguments for call in self.calls.named("write_status"))
        return {
            f"{body['kind']} {condition['reason']}"
            for body, status in writes
            for condition in status["conditions"]
        }

    def check_statuses(self) -> None:
        """Check that the CRD's schema accepts every status that was written."""
        for body, status in {
            json.dumps(call.arguments): call.arguments for call in self.calls.named("write_status")
        }.values():
            _schema(body["kind"]).validate(status)

    def serving(self, service: str) -> str | None:
        """Return the version whose pods a Service selects; None when there is no Service."""
        found = self.cluster.live("v1/Service", NAMESPACE, service)
        if found is None:
            return None
        selector = found["spec"]["selector"].items()
        labels = [
            each["spec"]["template"]["metadata"]["labels"] for each in self.cluster.all(_DEPLOYMENT)
        ]
        (version,) = {each["modelyard.io/version"] for each in labels if selector <= each.items()}
        return str(version)

    # --- the kubelet and its controllers ----------------------------------------------------------
    def _everybody_else(self) -> bool:
        acted = [self._job(job) for job in self.cluster.peek(_JOB)]
        acted += [self._deployment(deployment) for deployment in self.cluster.peek(_DEPLOYMENT)]
        acted += [self._notebook(name) for name, steps in self.notebooks.items() if steps]
        return any(acted)

    def _job(self, job: Manifest) -> bool:
        if job.get("status", {}).get("conditions") or job["spec"].get("suspend"):
            return False
        if (gate := job["metadata"]["labels"].get("modelyard.io/gate")) is not None:
            return self._gate(job, gate)
        meta, template = job["metadata"], job["spec"]["template"]
        env = {each["name"]: each["value"] for each in template["spec"]["containers"][0]["env"]}
        run, name = env["MLFLOW_RUN_ID"], meta["labels"]["modelyard.io/training-run"]
        if name in self.fates:
            return self._meet(job, self.fates[name])
        fails = self.failing.get(name, 0) > 0
        ended: Manifest = (
            {"exitCode": 1, "message": "Traceback: it broke"}
            if fails
            else {"exitCode": 0, "message": ""}
        )
        if fails:
            self.failing[name] -= 1
        else:
            self.train(run)
        status = {
            "phase": "Failed" if fails else "Succeeded",
            "containerStatuses": [{"name": "trainer", "state": {"terminated": ended}}],
        }
        self.cluster.start_pod(job, **status)
        end = {
            "type": "Failed" if fails else "Complete",
            "status": "True",
            "reason": "BackoffLimitExceeded" if fails else "Completed",
        }
        self.cluster.edit(
            _JOB, NAMESPACE, meta["name"], lambda body: body.update(status={"conditions": [end]})
        )
        return True

    def _gate(self, job: Manifest, gate: str) -> bool:
        """Run the Job of a gate: it passes, unless it has a fate."""
        candidate = {
            each["name"]: each.get("value")
            for each in job["spec"]["template"]["spec"]["containers"][0]["env"]
        }
        if (url := candidate.get("MODELYARD_CANDIDATE_URL")) is not None:
            name = str(url).removeprefix("http://").partition(".")[0]
            assert self.serving(name) == candidate["MODELYARD_CANDIDATE_VERSION"], (
                "the candidate answers while it is asked"
            )
        if gate in self.fates:
            return self._meet(job, self.fates[gate])
        stamp = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        ended = {
            "exitCode": 0,
            "startedAt": stamp,
            "finishedAt": stamp,
            "message": '{"message": "all is well"}',
        }
        statuses = [{"name": "gate", "state": {"terminated": ended}}]
        self.cluster.start_pod(job, phase="Succeeded", containerStatuses=statuses)
        status = {
            "startTime": stamp,
            "completionTime": stamp,
            "conditions": [{"type": "Complete", "status": "True"}],
        }
        self.cluster.edit(
            _JOB, NAMESPACE, job["metadata"]["name"], lambda body: body.update(status=status)
        )
        return True

    def _meet(self, job: Manifest, fate: Fate) -> bool:
        if job.get("status"):
            return False
        if fate.pod is not None:
            self.cluster.start_pod(job, **fate.pod)
        if fate.refused:
            self.cluster.creation_errors[job["metadata"]["uid"]] = fate.refused
        started = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        ends = (
            [
                {
                    "type": "Failed",
                    "status": "True",
                    "reason": fate.failed,
                    "lastTransitionTime": started,
                }
            ]
            if fate.failed
            else []
        )
        status = {"startTime": started, "active": int(fate.pod is not None), "conditions": ends}
        self.cluster.edit(
            _JOB, NAMESPACE, job["metadata"]["name"], lambda body: body.update(status=status)
        )
        return True

    def _notebook(self, name: str) -> bool:
        """Act as a notebook; heartbeats never end, so a story does not wait for them."""
        status, now = self.status("trainingruns", name), self.clock.time()
        if "mlflow" not in status or now < self._turns.get(name, now):
            return False
        self._turns[name] = now + 15
        run, step = status["mlflow"]["runId"], self.notebooks[name][0]
        if len(self.notebooks[name]) > 1 or step not in {
            "beat",
            "quiet",
        }:  # the last of these repeats
            self.notebooks[name].pop(0)
        if step == "beat":
            beat = {"modelyard.io/heartbeat": self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")}
            self.cluster.edit(
                "trainingruns",
                NAMESPACE,
                name,
                lambda body: body["metadata"].update(annotations=beat),
            )
        elif step == "well":
            self.train(run)
            self.tracking.end_run(run, "FINISHED")
        elif step == "fails":
            self.tracking.end_run(
                run, "FAILED", {"modelyard.io/failure": "ValueError: no column amount"}
            )
        return step in {"well", "fails"}

    def train(self, run: str, content: bytes = b"trees") -> str:
        """Do what a trainer does in MLflow and S3; return the model's URI."""
        self.tracking.log_metric(run, "accuracy", 0.9)
        self.tracking.log_metric(run, "modelyard.progress", 100.0)
        logged = self.tracking.log_model(run)
        self.store.put(f"{logged.uri}/MLmodel", _MLMODEL)
        self.store.put(f"{logged.uri}/model.ubj", content + run.encode())
        return logged.uri

    def _deployment(self, deployment: Manifest) -> bool:
        meta, replicas = deployment["metadata"], deployment["spec"]["replicas"]
        fate = self._version_s(meta["labels"]["modelyard.io/version"])
        ready = replicas if fate is None else 0
        status = {
            "observedGeneration": meta["generation"],
            "updatedReplicas": replicas,
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        if fate is not None and fate.failed:
            status["conditions"] = [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": fate.failed,
                }
            ]
        name = f"{meta['name']}-pod"
        if (
            fate is not None
            and fate.pod is not None
            and self.cluster.live(_POD, NAMESPACE, name) is None
        ):
            self.cluster.start_pod(deployment, name, **fate.pod)
            return True
        if deployment.get("status") == status:
            return False
        place = (_DEPLOYMENT, meta["namespace"], meta["name"])
        self.cluster.edit(*place, lambda body: body.update(status=status))
        return True

    def _version_s(self, version: str) -> Fate | None:
        """Return the fate of a version's Deployments; None: they serve."""
        broken = self.broken.get(version)
        if broken is None:
            return self.fates.get(version)
        ended = {"name": "model", "state": {"terminated": {"exitCode": 67, "message": broken}}}
        return Fate({"containerStatuses": [ended]})
