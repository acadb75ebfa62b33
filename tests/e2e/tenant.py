"""A namespace of a test, and actions in it: our objects, its MLflow, its S3, requests to its
models.

Waiting for a cluster, and reporting its problems, is in `tests.demo.kube`.
"""

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import boto3

from tests.demo import install
from tests.demo.kube import Kube, Manifest, condition
from tests.demo.load import Load, steady_load
from tests.demo.registry import reached, resolve, rows

__all__ = [
    "LABEL",
    "QUICK",
    "SERVING",
    "SESSION",
    "SESSION_LABEL",
    "TABLE",
    "Tenant",
    "make_namespace",
]

LABEL = "modelyard.io/e2e"
SESSION_LABEL = "modelyard.io/e2e-session"
TABLE = rows(4)
# MLflow keeps what an earlier session made under the names that derive from a namespace's.
SESSION = secrets.token_hex(2)
# The smallest real training: two cores run all of these tests.
QUICK = {
    "parameters": {"max_depth": "3", "n_estimators": "20"},
    "dataset": {"name": "cards", "rows": 500},
    "trainer": {"xgboost": {"task": "classification"}},
    "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
}
SERVING = {
    "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
}


@dataclass(frozen=True)
class Tenant:
    """One namespace."""

    kube: Kube
    name: str

    # --- objects ----------------------------------------------------------------------------------
    def apply(self, kind: str, name: str, spec: Mapping[str, Any], **metadata: Any) -> None:
        """Apply an object of ours, as `kubectl apply` does."""
        body = {
            "apiVersion": "modelyard.io/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, **metadata},
            "spec": dict(spec),
        }
        self.kube.apply(body, namespace=self.name)

    def connect(self, connection: Mapping[str, str]) -> None:
        """Write the Secret with the namespace's connection to MLflow and S3."""
        metadata = {"name": "modelyard-connection"}
        self.kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": metadata,
                "stringData": dict(connection),
            },
            namespace=self.name,
        )

    def experiment(self, name: str = "fraud", **spec: Any) -> None:
        self.apply("Experiment", name, spec)

    def run(self, name: str, experiment: str = "fraud", **spec: Any) -> None:
        """Apply a TrainingRun that is fast by default."""
        full = {**QUICK, "experiment": experiment, **spec}
        self.apply(
            "TrainingRun", name, {key: value for key, value in full.items() if value is not None}
        )

    def model(
        self, name: str = "fraud", stages: Mapping[str, str | None] | None = None, **spec: Any
    ) -> None:
        """Apply a model; `stages` maps each stage to its version."""
        slots = {
            stage: {"serving": SERVING, **({"version": version} if version else {})}
            for stage, version in (stages or {}).items()
        }
        self.apply("RegisteredModel", name, {"stages": slots, **spec})

    def promote(self, version: str | None, stage: str = "production", model: str = "fraud") -> None:
        """Promote by one merge patch, as a user types it."""
        self.patch("mlmodel", model, {"spec": {"stages": {stage: {"version": version}}}})

    def patch(self, resource: str, name: str, patch: Manifest) -> None:
        self.kube.kubectl(
            "patch", resource, name, "-n", self.name, "--type", "merge", "-p", json.dumps(patch)
        )

    def get(self, kind: str, name: str = "fraud") -> Manifest:
        body = self.kube.get(kind, name, self.name)
        assert body is not None, f"{kind} {self.name}/{name} is not there"
        return body

    def status(self, kind: str, name: str = "fraud") -> dict[str, Any]:
        return dict(self.get(kind, name).get("status") or {})

    # --- waiting ----------------------------------------------------------------------------------
    def ready(self, kind: str, name: str = "fraud", seconds: float = 150) -> Manifest:
        """Return the object once it is Ready for its present spec."""
        return self.kube.wait_condition(kind, name, self.name, seconds=seconds)

    def says(
        self, kind: str, name: str, reason: str, type_: str = "Stalled", seconds: float = 150
    ) -> dict[str, Any]:
        """Return the condition once it is True with this reason."""
        return condition(
            self.kube.wait_condition(kind, name, self.name, type_, "True", reason, seconds), type_
        )

    def serves(
        self, version: str, stage: str = "production", model: str = "fraud", seconds: float = 120
    ) -> None:
        """Wait until a version is effective in a stage, the object is Ready, and no pods of other
        versions are left.
        """

        def look() -> bool:
            body = self.get("RegisteredModel", model)
            fresh = (
                condition(body, "Ready").get("observedGeneration", 0)
                >= body["metadata"]["generation"]
            )
            holds = ((body.get("status") or {}).get("stages") or {}).get(stage, {}).get(
                "version"
            ) == version
            calm = (
                condition(body, "Ready").get("status") == "True"
                and condition(body, "Synced").get("status") == "True"
            )
            return fresh and holds and calm and self.pods(stage, model) == {version}

        self.kube.wait(
            f"{version} alone serves {stage} of {self.name}/{model}",
            look,
            seconds,
            lambda: self.explain("RegisteredModel", model),
        )

    def stage(self, model: str = "fraud", stage: str = "production") -> dict[str, Any]:
        """Return the status of a stage."""
        found: dict[str, Any] = (self.status("RegisteredModel", model).get("stages") or {}).get(
            stage
        ) or {}
        return found

    def pods(self, stage: str = "production", model: str = "fraud") -> set[str]:
        """Return the versions of a stage's pods, also of terminating ones."""
        labels = f"modelyard.io/model={model},modelyard.io/stage={stage}"
        return {
            pod["metadata"]["labels"]["modelyard.io/version"]
            for pod in self.kube.list("Pod", self.name, labels)
        }

    def wait(self, what: str, look: Any, seconds: float = 120) -> Any:
        return self.kube.wait(f"{self.name}: {what}", look, seconds, self.explain_all)

    def explain(self, kind: str, name: str) -> str:
        return self.kube.explain(kind, name, self.name)

    def explain_all(self) -> str:
        """Return the state of all our objects in the namespace."""
        listed = self.kube.program(
            "kubectl", "get", "modelyard", "-n", self.name, "-o", "wide", check=False
        )
        more = [
            self.kube.explain_events(self.name),
            self.kube.explain_pods(self.name),
            self.kube.explain_operator(),
        ]
        return "\n".join([listed.stdout + listed.stderr, *more])

    def events(self, reason: str) -> list[str]:
        """Return the messages of the events with this reason."""
        return [
            each["message"]
            for each in self.kube.list("Event", self.name)
            if each.get("reason") == reason
        ]

    # --- the model answers ------------------------------------------------------------------------
    def ask(
        self, path: str, body: Any = None, stage: str = "production", model: str = "fraud"
    ) -> tuple[int, dict[str, str], Any]:
        """Send a request to a stage's Service; return status code, headers, body."""
        return self.kube.service(self.name, f"{model}-{stage}", path, body)

    def predict(self, stage: str = "production", model: str = "fraud") -> tuple[str, list[Any]]:
        """Return the version that answers V1, and its predictions for TABLE."""
        code, headers, body = self.ask(
            f"v1/models/{model}:predict", {"instances": TABLE}, stage, model
        )
        assert code == 200, f"{code} {body}\n{self.explain('RegisteredModel', model)}"
        return headers["modelyard-version"], body["predictions"]

    @contextmanager
    def load(
        self, stage: str = "production", model: str = "fraud", name: str = "load", rate: float = 50
    ) -> Iterator[Load]:
        """A steady load on a stage's Service, from inside of the cluster."""
        url = f"http://{model}-{stage}.{self.name}/v1/models/{model}:predict"
        with steady_load(
            self.kube, install.RUNTIME, self.name, url, {"instances": TABLE}, rate, name
        ) as load:
            yield load

    # --- outside ----------------------------------------------------------------------------------
    def mlflow(self, path: str, body: Any = None, *, method: str = "", **query: str) -> Any:
        """Call MLflow's REST API."""
        words = "&".join(f"{key}={quote(value)}" for key, value in query.items())
        full = f"api/2.0/mlflow/{path}" + (f"?{words}" if words else "")
        code, _, answer = self.kube.service(
            install.NAMESPACE, install.DEPLOYMENTS["MLflow"], full, body, method=method
        )
        assert code == 200, f"MLflow answers {code} to {path}: {answer}"
        return answer

    def mlflow_runs(self, uid: str) -> list[dict[str, Any]]:
        """Return all MLflow runs of an object of ours, also deleted ones, oldest first."""
        experiments = self.mlflow(
            "experiments/search", {"max_results": 1000, "view_type": "ALL"}
        ).get("experiments", [])
        mine = [
            each["experiment_id"]
            for each in experiments
            if each["name"].startswith(f"{self.name}/")
        ]
        query = {
            "experiment_ids": mine,
            "filter": f"tags.`modelyard.io/uid` = '{uid}'",
            "run_view_type": "ALL",
            "max_results": 100,
        }
        found = self.mlflow("runs/search", query).get("runs", []) if mine else []
        return sorted(found, key=lambda run: run["info"]["start_time"])

    def mlflow_versions(self, model: str = "fraud") -> list[dict[str, Any]]:
        """Return all versions of a model in MLflow, oldest first."""
        found = self.mlflow("model-versions/search", filter=f"name='{self.name}.{model}'").get(
            "model_versions", []
        )
        return sorted(found, key=lambda each: int(each["version"]))

    def mlflow_model(self, model: str = "fraud") -> dict[str, Any]:
        """Return a registered model in MLflow."""
        return dict(
            self.mlflow("registered-models/get", name=f"{self.name}.{model}")["registered_model"]
        )

    def mlflow_holders(self, model: str = "fraud") -> dict[str, str]:
        """Return stages (`Production`) and aliases (`@production`) in MLflow by our name of the
        version.
        """
        versions = self.mlflow_versions(model)
        names = {
            each["version"]: {tag["key"]: tag["value"] for tag in each["tags"]}[
                "modelyard.io/version"
            ]
            for each in versions
        }
        held = {
            each["current_stage"]: names[each["version"]]
            for each in versions
            if each["current_stage"] in ("Production", "Staging")
        }
        return held | {
            f"@{each['alias']}": names[each["version"]]
            for each in self.mlflow_model(model).get("aliases", [])
        }

    def resolve(self, *uris: str) -> dict[str, Any]:
        """Return what MLflow's own client finds under `models:/...`, and the model's predictions
        for TABLE.
        """
        return resolve(self.kube, self.name, uris, TABLE)

    @contextmanager
    def s3(self) -> Iterator[Any]:
        """Yield a client of the tenant's S3 for the duration of a block."""
        with reached(self.kube, self.name) as environment:
            yield boto3.client(
                "s3",
                endpoint_url=environment["MLFLOW_S3_ENDPOINT_URL"],
                aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
                region_name="us-east-1",
            )

    @property
    def bucket(self) -> str:
        return self.kube.connection(self.name)["MODELYARD_BUCKET"]

    def copy_model(self, uri: str, name: str) -> str:
        """Copy an artifact tree to the tenant's own prefix; return its new URI."""
        source, _, prefix = uri.removeprefix("s3://").partition("/")
        target = f"{self.name}/models/{name}"
        with self.s3() as s3:
            for item in s3.list_objects_v2(Bucket=source, Prefix=prefix.rstrip("/") + "/")[
                "Contents"
            ]:
                key = f"{target}/{item['Key'][len(prefix.rstrip('/')) + 1 :]}"
                s3.copy_object(
                    Bucket=self.bucket, Key=key, CopySource={"Bucket": source, "Key": item["Key"]}
                )
        return f"s3://{self.bucket}/{target}"


def make_namespace(kube: Kube, title: str, *, connected: bool = True) -> Tenant:
    """Create a namespace like a tenant's: Pod Security enforces the level restricted, and the
    Secret with the connection exists.
    """
    name = f"e2e-{title}-{SESSION}"
    labels = {LABEL: "true", SESSION_LABEL: SESSION} | {
        f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")
    }
    kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    there = Tenant(kube, name)
    if connected:
        there.connect(kube.connection("risk"))
    return there
