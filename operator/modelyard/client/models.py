"""`client.models`: create, register, get, list, watch and delete RegisteredModels."""

from collections.abc import Iterator, Mapping
from typing import Any, overload

from modelyard.api.registered_model import VersionStatus
from modelyard.client import progress, sources, waiting
from modelyard.client.decisions import Decisions
from modelyard.client.errors import NotFound, Refused
from modelyard.client.handles import API_VERSION, Listing, changes, listed
from modelyard.client.inference import Inference
from modelyard.client.loading import Loading
from modelyard.client.plans import Plans
from modelyard.client.promotions import Promotions
from modelyard.client.recorded import Recorded
from modelyard.client.versions import ModelHandle, ModelVersion, Versions

__all__ = ["Models"]


class Models(Promotions, Decisions, Plans, Loading, Inference, Recorded):
    """The RegisteredModels of a namespace.

    Methods that register a version or change a stage wait until that is complete; pass `seconds=0`
    to return at once. Every method can raise Unreachable, and NotAllowed if the user lacks a right.
    """

    def create(
        self,
        name: str,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        stages: Mapping[str, Mapping[str, Any]] | None = None,
        deletion_policy: str = "Retain",
        seconds: float = 120,
    ) -> ModelHandle:
        """Create a RegisteredModel, and wait until the model exists in MLflow.

        Args:
            name: Lower case letters, digits and dashes.
            description: Shown in MLflow.
            tags: Tags of the registered model in MLflow.
            stages: The stages, as `spec.stages` has them:
                `{"production": {"serving": {"replicas": 2}}}`.
            deletion_policy: `Retain`, or `Delete` to delete the model in MLflow with the object.
            seconds: How long to wait; 0 returns at once.

        Raises:
            Refused: It exists already, or a value is invalid.
            Failed: The operator cannot continue until a user acts (condition Stalled).
            TimedOut: It is not Ready yet.

        """
        spec: dict[str, Any] = {
            "description": description,
            "tags": dict(tags or {}),
            "deletionPolicy": deletion_policy,
        }
        spec |= {"stages": {stage: dict(how) for stage, how in stages.items()}} if stages else {}
        made = ModelHandle(self._kube, self._kube.create(_body(name, spec)))
        return made.wait(seconds) if seconds else made

    def register(
        self,
        name: str,
        source: str,
        version: str,
        tags: Mapping[str, str] | None = None,
        *,
        seconds: float = 300,
        seen: waiting.Watching | None = None,
    ) -> ModelVersion:
        """Declare a version of a model, and wait until it is registered in MLflow.

        Creates the RegisteredModel if it does not exist.

        Args:
            name: The model.
            source: Where the artifacts come from: `trainingruns/<name>`, a TrainingRun of this
                namespace; `runs:/<run id>[/<path>]`, an MLflow run; or `s3://...`, a folder with
                an MLmodel file.
            version: The version's name, such as v3. It cannot be changed later.
            tags: Tags of the version in MLflow.
            seconds: How long to wait; 0 returns at once, with an empty status.
            seen: Called with every state of the model.

        Raises:
            ValueError: `source` has none of these forms.
            Refused: The version is already declared with another source.
            Failed: The version cannot be registered; `reason` and `message` say why.
            TimedOut: It is not registered yet.

        """
        declared = sources.source(source) | ({"tags": dict(tags)} if tags else {})
        model = self._declared(name, version, declared)
        if not seconds:
            return ModelVersion(model, VersionStatus(name=version))
        generation = model.metadata.generation

        def registration(now: ModelHandle) -> progress.Progress:
            return progress.version_registration(now.object, version, declared, generation)

        subject = f"{version} of {model.namespace}/{model.name}"
        return waiting.followed(
            model, {subject: registration}, f"to register {version}", seconds, seen
        ).version(version)

    def _declared(self, name: str, version: str, source: dict[str, Any]) -> ModelHandle:
        """Declare a version in a model, and create the model if it does not exist."""
        spec = {"versions": {version: source}}
        try:
            return self._patched(name, spec)
        except NotFound as error:
            if error.kind != "RegisteredModel":
                raise
        try:
            return ModelHandle(self._kube, self._kube.create(_body(name, spec)))
        except Refused:
            # Another user has just created it; or it breaks a rule, which the patch reports again.
            return self._patched(name, spec)

    def _patched(self, name: str, spec: dict[str, Any]) -> ModelHandle:
        body = self._kube.patch("RegisteredModel", name, {"spec": spec})
        return ModelHandle(self._kube, body)

    @overload
    def get(self, name: str) -> ModelHandle: ...
    @overload
    def get(self, name: str, which: str) -> ModelVersion: ...
    def get(self, name: str, which: str | None = None) -> ModelHandle | ModelVersion:
        """Return a model, or one version of it.

        Args:
            name: The model.
            which: A version, a stage (its effective version) or `latest`. Absent: the model.

        Raises:
            NotFound: There is no such model, version or stage.

        """
        model = ModelHandle(self._kube, self._kube.get("RegisteredModel", name))
        return model if which is None else model.version(which)

    def list(self, *, all_namespaces: bool = False, labels: str = "") -> Listing[ModelHandle]:
        """Return all models, by namespace and name.

        Args:
            all_namespaces: In every namespace.
            labels: A label selector.

        """
        return listed(ModelHandle, self._kube, all_namespaces=all_namespaces, labels=labels)

    def versions(self, name: str) -> Versions:
        """Return a model's versions, oldest first.

        Raises:
            NotFound: There is no such model.

        """
        return self.get(name).versions()

    def delete(self, name: str, *, wait: float = 0) -> None:
        """Delete a model and stop serving it. Its deletionPolicy decides what stays in MLflow.

        Args:
            name: The model.
            wait: Seconds to wait until it is deleted; 0 returns at once.

        Raises:
            NotFound: There is no such model.
            NotAllowed: With deletionPolicy Delete the user needs the verb `purge`.
            TimedOut: It still exists.

        """
        self._kube.delete("RegisteredModel", name, wait=wait)

    def watch(
        self, name: str = "", *, all_namespaces: bool = False, seconds: float | None = None
    ) -> Iterator[tuple[str, ModelHandle]]:
        """Yield the models that exist, then each change, as (type, model).

        Args:
            name: One model; all if absent.
            all_namespaces: In every namespace.
            seconds: When to stop; absent: never.

        Yields:
            The type, `Added`, `Modified` or `Deleted`, and the model.

        """
        return changes(
            ModelHandle, self._kube, name, all_namespaces=all_namespaces, seconds=seconds
        )


def _body(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "RegisteredModel",
        "metadata": {"name": name},
        "spec": dict(spec),
    }
