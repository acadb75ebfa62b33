"""Objects at fixed times, as the operator writes them, for the screens."""

from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard.api.experiment import Experiment
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.training_run import TrainingRun

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def before(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat()


def condition(type_: str, status: bool | None, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": type_,
        "status": "Unknown" if status is None else str(status),
        "reason": reason,
        "message": message,
    }


def ready(reason: str, message: str) -> list[dict[str, Any]]:
    return [
        condition("Ready", True, reason, message),
        condition("Reconciling", False, reason),
        condition("Stalled", False, reason),
    ]


def progressing(reason: str, message: str) -> list[dict[str, Any]]:
    return [
        condition("Ready", False, reason, message),
        condition("Reconciling", True, reason, message),
        condition("Stalled", False, reason),
    ]


def stalled(reason: str, message: str) -> list[dict[str, Any]]:
    return [
        condition("Ready", False, reason, message),
        condition("Reconciling", False, reason),
        condition("Stalled", True, reason, message),
    ]


SYNCED = condition("Synced", True, "Synced", "MLflow agrees with the spec.")


def about(kind: str, name: str, generation: int = 3, **more: Any) -> dict[str, Any]:
    meta = {
        "name": name,
        "namespace": "risk",
        "uid": f"uid-{name}",
        "generation": generation,
        "creationTimestamp": before(days=4),
    }
    return {"apiVersion": "modelyard.io/v1alpha1", "kind": kind, "metadata": meta | more}


def version(name: str, **more: Any) -> dict[str, Any]:
    number = name.removeprefix("v")
    return {
        "name": name,
        "mlflowVersion": number,
        "trainingRun": f"fraud-{int(number):03d}",
        "runId": number * 32,
        "digest": "sha256:" + f"{number}a" * 32,
        "bytes": 1_234_567,
        "flavor": "xgboost",
        "signature": "f0 double, f1 double -> long",
        "registeredTime": before(days=3, hours=-int(number)),
    } | more


def holds(stage: str, since: str, until: str | None = None) -> dict[str, Any]:
    """Return an entry of `versions[].held`."""
    return {"stage": stage, "sinceTime": since} | ({"untilTime": until} if until else {})


OLD, NEW = (
    "registry.example:5000/modelyard/runtime:1.2.3",
    "registry.example:5000/modelyard/runtime:1.3.0",
)


def runtime(image: str = OLD, identity: str = "0a1b2c3d") -> dict[str, Any]:
    return {"image": image, "revision": 1, "identity": identity}


def served(version_: str, image: str = OLD) -> dict[str, Any]:
    """Return a version with its bytes and its runtime: a candidate, or the previous one."""
    return {"version": version_, "digest": version(version_)["digest"], "runtime": runtime(image)}


STEPS = ("admit", "start", "switch", "record")


def steps(
    *states: str, detail: str = "", since: str = before(seconds=40), names: tuple[str, ...] = STEPS
) -> list[dict[str, Any]]:
    """Return the steps of a promotion in these states; the others are waiting. `detail` belongs to
    the last step named.
    """
    found = []
    for at, name in enumerate(names):
        state = states[at] if at < len(states) else "Waiting"
        is_told = at < len(states)
        step = {"name": name, "state": state} | ({"sinceTime": since} if is_told else {})
        found.append(step | ({"detail": detail} if detail and at == len(states) - 1 else {}))
    return found


DONE = steps("Done", "Done", "Done", "Done")
GATED = ("admit", "gates", "start", "switch", "record")


def gate_of(
    name: str, verdict: str, message: str, since: str = before(seconds=40)
) -> dict[str, Any]:
    """Return the result of one gate."""
    return {
        "name": name,
        "verdict": verdict,
        "message": message,
        "time": since,
        "gateHash": "01234567",
    }


def judged(version_: str, *gates: dict[str, Any]) -> dict[str, Any]:
    """Return the results of a stage's gates for a version."""
    return {
        "judged": {"version": version_, "digest": version(version_)["digest"]},
        "gates": list(gates),
    }


QUALITY: dict[str, Any] = {"name": "quality", "metric": {"name": "accuracy", "atLeast": "0.9"}}
SOAKED: dict[str, Any] = {"name": "soaked", "soak": {"stage": "staging", "for": "24h"}}
ASKED = {
    "production": {"version": "v3", "from": "staging", "gates": [QUALITY, SOAKED]},
    "staging": {"version": None},
}


HISTORY = [
    {
        "time": before(days=3),
        "stage": "production",
        "to": "v1",
        "outcome": "Promoted",
        "durationSeconds": 31,
    },
    {
        "time": before(days=2),
        "stage": "staging",
        "to": "v2",
        "outcome": "Promoted",
        "durationSeconds": 17,
    },
    {
        "time": before(hours=3),
        "stage": "production",
        "from": "v1",
        "to": "v2",
        "outcome": "Promoted",
        "durationSeconds": 44,
    },
]


def held(version_: str, since: str, ready_: int = 2, **more: Any) -> dict[str, Any]:
    """Return the status of a stage in which a version is effective, and desired by default."""
    url = "http://fraud-production.risk"
    counts = {"url": url, "readyReplicas": ready_, "desiredReplicas": 2}
    return (
        served(version_) | {"desired": version_, "sinceTime": since, "steps": DONE} | counts | more
    )


def model_body(
    stages: dict[str, Any] | None = None,
    *,
    conditions: list[dict[str, Any]] | None = None,
    versions: list[dict[str, Any]] | None = None,
    history: list[dict[str, Any]] | None = None,
    wanted: str | None = "v2",
    spec_stages: dict[str, Any] | None = None,
    spec_versions: dict[str, Any] | None = None,
    generation: int = 3,
    observed: int | None = None,
    plan: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """Return the model fraud: by default v2 is in production after v1."""
    stages_asked_for = (
        {"production": {"version": wanted}, "staging": {"version": None}}
        if spec_stages is None
        else spec_stages
    )
    return about("RegisteredModel", "fraud", generation) | {
        "spec": {"stages": stages_asked_for, "versions": spec_versions or {}} | spec,
        "status": {
            "observedGeneration": generation if observed is None else observed,
            "conditions": conditions or [*ready("Serving", "production holds v2."), SYNCED],
            "mlflowName": "risk.fraud",
            "versions": [version("v1"), version("v2", held=[holds("production", before(hours=3))])]
            if versions is None
            else versions,
            "stages": {"production": held("v2", before(hours=3)), "staging": {}}
            if stages is None
            else stages,
            "history": HISTORY if history is None else history,
            "plan": plan or [],
            "summary": "production=v2 staging=none",
            "operatorRuntime": {"image": NEW, "revision": 1},
        },
    }


def model(*arguments: Any, **options: Any) -> RegisteredModel:
    return RegisteredModel.parse(model_body(*arguments, **options))


def run_body(
    name: str = "fraud-003", *, status: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """Return a run, by default at 40 percent."""
    going = {
        "observedGeneration": 1,
        "conditions": [
            *progressing("Training", "The pod runs."),
            condition("Succeeded", None, "Training"),
        ],
        "attempt": 1,
        "job": f"{name}-1",
        "mlflow": {
            "runId": "3" * 32,
            "experimentId": "12",
            "url": "http://mlflow.risk/#/experiments/12/runs/" + "3" * 32,
        },
        "parameters": {"max_depth": "6", "n_estimators": "200"},
        "metrics": [
            {"name": "accuracy", "value": "0.9412"},
            {"name": "logloss", "value": "0.1834"},
        ],
        "progress": {"percent": 40, "etaSeconds": 90, "message": "40% done, about 90 s to go."},
        "startTime": before(minutes=1),
    }
    return about("TrainingRun", name, 1, creationTimestamp=before(minutes=2)) | {
        "spec": {
            "experiment": "fraud",
            "parameters": {"max_depth": "6", "n_estimators": "200"},
            "dataset": {"name": "cards", "uri": "s3://datasets/risk/cards.parquet"},
            "trainer": {"xgboost": {"task": "classification"}},
            "register": {"model": "fraud", "version": "v3"},
        }
        | spec,
        "status": going if status is None else status,
    }


def run(*arguments: Any, **options: Any) -> TrainingRun:
    return TrainingRun.parse(run_body(*arguments, **options))


def ended_status(name: str = "fraud-002", **more: Any) -> dict[str, Any]:
    return {
        "observedGeneration": 1,
        "conditions": [
            *ready("Succeeded", "Trained and registered."),
            condition("Succeeded", True, "Succeeded"),
        ],
        "attempt": 1,
        "job": f"{name}-1",
        "mlflow": {
            "runId": "2" * 32,
            "experimentId": "12",
            "url": "http://mlflow.risk/#/experiments/12/runs/" + "2" * 32,
        },
        "parameters": {"max_depth": "6"},
        "metrics": [
            {"name": name, "value": value}
            for name, value in (
                ("accuracy", "0.93"),
                ("auc", "0.98"),
                ("f1", "0.9"),
                ("logloss", "0.2"),
            )
        ],
        "progress": {"percent": 100, "message": "Done."},
        "dataset": {"digest": "sha256:" + "d" * 64, "rows": 2000},
        "model": {
            "uri": "s3://b/risk/fraud/models/m-1/artifacts",
            "digest": "sha256:" + "2a" * 32,
            "bytes": 1_234_567,
            "flavor": "xgboost",
        },
        "registered": {"model": "fraud", "version": "v2"},
        "startTime": before(hours=5),
        "completionTime": before(hours=4, minutes=57),
    } | more


def failed_status(**more: Any) -> dict[str, Any]:
    said = (
        "The trainer ended with exit code 1 in each of 2 attempts; status.failure.log has its last"
        " lines."
    )
    return {
        "observedGeneration": 1,
        "conditions": [*stalled("Failed", said), condition("Succeeded", False, "Failed", said)],
        "attempt": 2,
        "startTime": before(hours=1),
        "completionTime": before(minutes=50),
        "failure": {
            "attempt": 2,
            "reason": "Failed",
            "message": "The container trainer ended with an error.",
            "exitCode": 1,
            "log": "loading s3://datasets/risk/cards.parquet\nKeyError: 'is_fraud'\n",
        },
    } | more


def experiment_body() -> dict[str, Any]:
    return about("Experiment", "fraud", 1) | {
        "spec": {
            "description": "Card fraud, tabular",
            "objective": {"metric": "accuracy", "goal": "Maximize"},
            "retention": {"runs": "90d", "keepBest": 3},
        },
        "status": {
            "observedGeneration": 1,
            "conditions": ready("Synced", "MLflow and the bucket agree with the spec."),
            "mlflow": {
                "id": "12",
                "name": "risk/fraud",
                "url": "http://mlflow.risk/#/experiments/12",
            },
            "artifacts": {
                "uri": "s3://mlflow-artifacts/risk/fraud/",
                "objects": 41,
                "bytes": 1_048_576,
            },
            "runs": {"running": 1, "finished": 7, "failed": 1, "deleted": 2},
            "bestRun": {
                "trainingRun": "fraud-002",
                "runId": "2" * 32,
                "metric": "accuracy",
                "value": "0.941",
            },
        },
    }


def experiment() -> Experiment:
    return Experiment.parse(experiment_body())
