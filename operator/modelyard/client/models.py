"""RegisteredModels: registered, promoted, downloaded, loaded, asked, deleted.

How bytes are fetched does not belong here (`artifacts`), nor how a model is asked (`predict`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from modelyard.api.registered_model import VersionStatus
from modelyard.client import (
    artifacts,
    asking,
    display,
    newest,
    oneself,
    overriding,
    predict,
    progress,
    refreshing,
    retrying,
    sources,
    text,
    verifying,
    waiting,
)
from modelyard.client.errors import Failed, NotFound, Refused
from modelyard.client.handles import API_VERSION, Listing, changes, listed
from modelyard.client.packages import need
from modelyard.client.plans import Plans
from modelyard.client.recorded import Recorded
from modelyard.client.versions import ModelHandle, ModelVersion, Versions

__all__ = ["Models"]


class Models(Plans, Recorded):
    """The RegisteredModels of a namespace."""

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
        """Create a RegisteredModel, and wait until MLflow has it.

        Args:
            name: Lower case letters, digits and dashes.
            description: Shown in MLflow.
            tags: Tags of the registered model in MLflow.
            stages: Stages as the API has them: `{"production": {"serving": {"replicas": 2}}}`.
            deletion_policy: Retain, or Delete: the model in MLflow goes with the object.
            seconds: How long to wait; 0: not at all.

        Raises:
            Refused: It exists already, or breaks a rule.
            Failed: It is stalled.

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
        """Declare a version of a model, and wait until it is registered. The RegisteredModel is
        made, if there is none.

        Args:
            name: The model.
            source: `trainingruns/<name>`, a TrainingRun of this namespace; `runs:/<run
                id>[/<path>]`, an MLflow run; `s3://...`, a tree with an MLmodel file.
            version: The version's name, such as v3. It cannot be changed later.
            tags: Tags of the version in MLflow.
            seconds: How long to wait; 0: not at all, and the version has no status yet.
            seen: Called with every state of the model.

        Raises:
            ValueError: The source is none of these.
            Refused: The version is declared with another source.
            Failed: The source cannot be registered; the reason and message say why.
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
        """Declare a version, in a model that is there, or that is made for it."""
        spec = {"versions": {version: source}}
        try:
            return ModelHandle(
                self._kube, self._kube.patch("RegisteredModel", name, {"spec": spec})
            )
        except NotFound as error:
            if error.kind != "RegisteredModel":
                raise
        try:
            return ModelHandle(self._kube, self._kube.create(_body(name, spec)))
        except Refused:  # somebody else was faster, or it breaks a rule, which is told once more
            return ModelHandle(
                self._kube, self._kube.patch("RegisteredModel", name, {"spec": spec})
            )

    @overload
    def get(self, name: str) -> ModelHandle: ...
    @overload
    def get(self, name: str, which: str) -> ModelVersion: ...
    def get(self, name: str, which: str | None = None) -> ModelHandle | ModelVersion:
        """Return a model, or one version of it.

        Args:
            name: The model.
            which: A version, a stage, or latest; absent: the model itself.

        Raises:
            NotFound: There is none.

        """
        model = ModelHandle(self._kube, self._kube.get("RegisteredModel", name))
        return model if which is None else model.version(which)

    def list(self, *, all_namespaces: bool = False, labels: str = "") -> Listing[ModelHandle]:
        """Return all, by namespace and name."""
        return listed(ModelHandle, self._kube, all_namespaces=all_namespaces, labels=labels)

    def versions(self, name: str) -> Versions:
        """Return a model's versions, oldest first."""
        return self.get(name).versions()

    def set_stage(
        self,
        name: str,
        version: str | None,
        stage: str,
        *,
        reason: str = "",
        seconds: float | None = None,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Let a version hold a stage, and wait until it does: served, and moved in MLflow. The same
        call takes it back.

        Args:
            name: The model.
            version: The version; None clears the stage, and nothing is served.
            stage: The stage, such as production; it is made if it is not there.
            reason: Why, at most 256 characters; kept in the history. The reason of an earlier
                change is removed.
            seconds: How long to wait; 0: not at all. Absent: 900 and its rollout's holds, and a
                pause of that ends it.
            seen: Called with every state of the model, for a display. In a notebook a bar shows it,
                if absent.

        Raises:
            NotAllowed: The user may not promote to that stage: verb `promote` on
                `registeredmodels/<stage>`.
            Failed: The version was not promoted; the stable version is still serving. The reason
                and message say why. Reason `Superseded`: another user has asked for something else
                since.
            Paused: A rollout waits for a person (`resume`).
            TimedOut: It is still on its way.

        """
        there = self.get(name).object
        by = oneself.requester(self._kube, there, stage)
        asked = {"version": version, "reason": reason or None} | newest.stopped(there, stage) | by
        if stage in there.spec.stages and there.spec.stages[stage].version == version:
            asked |= overriding.back(there, stage)
        patch = {"spec": {"stages": {stage: asked}}}
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        changes = (replace(progress.asked_for(model.object, stage), version=version),)
        return waiting.changed(
            model, changes, f"to make {version or 'no version'} effective in {stage}", seconds, seen
        )

    def refresh(
        self,
        name: str,
        stage: str | None = None,
        *,
        seconds: float | None = None,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Serve the effective version with the operator's current runtime, and wait until it is.

        It is a promotion of the same version and loses no request. A stage that has the current
        runtime is left as it is. After an upgrade the operator needs some seconds to record its new
        runtime.

        Args:
            name: The model.
            stage: The stage; absent: each stage that is served with another runtime.
            seconds: How long to wait; 0: not at all. Absent: 900 and its rollout's holds, and a
                pause of that ends it.
            seen: Called with every state of the model.

        Raises:
            NotFound: The model has no such stage.
            NotAllowed: The user may not promote to that stage.
            Refused: The named stage has no effective version, or another change of it comes first.
            Failed: The new runtime cannot serve the version; the old one is still serving.
            Paused: A rollout waits for a person (`resume`).
            TimedOut: It is still on its way.

        """
        model = self.get(name)
        stages = refreshing.stages_to_refresh(model.object, stage)
        if not stages:
            return model
        patch = refreshing.patch(model.object, stages)
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        changes = refreshing.changes(model.object, stages)
        return waiting.changed(model, changes, f"to refresh {', '.join(stages)}", seconds, seen)

    def retry(
        self,
        name: str,
        stage: str,
        *,
        seconds: float | None = None,
        seen: waiting.Watching | None = None,
    ) -> ModelHandle:
        """Have a stage try the version again that it has rejected, and wait until it is effective.

        What was rejected by a gate is asked again; what its pods failed at starts again.

        Args:
            name: The model.
            stage: The stage.
            seconds: How long to wait; 0: not at all. Absent: 900 and its rollout's holds, and a
                pause of that ends it.
            seen: Called with every state of the model.

        Raises:
            NotFound: The model has no such stage.
            NotAllowed: The user may not promote to that stage.
            Refused: The stage has not rejected the version that it asks for.
            Failed: It was rejected again; the stable version is still serving.
            Paused: A rollout waits for a person (`resume`).
            TimedOut: It is still on its way, or waits for its gates.

        """
        model = self.get(name)
        version = retrying.rejection(model.object, stage).version
        model = ModelHandle(
            self._kube,
            self._kube.patch("RegisteredModel", name, retrying.patch(model.object, stage)),
        )
        changes = (replace(progress.asked_for(model.object, stage), version=version),)
        return waiting.changed(
            model, changes, f"to make {version} effective in {stage}", seconds, seen
        )

    def verify(
        self, name: str, stage: str, *, seconds: float = 900, seen: waiting.Watching | None = None
    ) -> ModelHandle:
        """Have the gates of a stage asked again about the version that is effective, and wait for
        their word. Arguments as of `retry`.

        Raises:
            NotFound: The model has no such stage.
            NotAllowed: The user may not promote to that stage.
            Refused: No version is effective there.
            Failed: A gate fails: it keeps serving, and no stage takes it from there.
                NothingToVerify: no gate can be asked.
            TimedOut: A gate has not answered yet.

        """
        asked, patch = verifying.patch(self.get(name).object, stage)
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        asked = replace(asked, generation=model.metadata.generation)
        if not seconds:
            return model
        looks: dict[str, waiting.Look] = {
            f"{stage} of {model.namespace}/{name}": lambda now: verifying.standing(
                now.object, asked
            )
        }
        return waiting.followed(
            model, looks, f"to verify {asked.version} in {stage}", seconds, seen
        )

    def download(
        self,
        name: str,
        path: str | Path,
        which: str = "latest",
        *,
        seen: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Download a version's artifacts, the whole tree, and check its digest; return the folder.

        Args:
            name: The model.
            path: A folder, which is made; files that are there already and right are not fetched
                again, parts are gone on with.
            which: A version, a stage, or latest.
            seen: Called with (bytes done, bytes in all).

        Raises:
            NotAllowed: The user may not read the Secret modelyard-connection.
            Failed: ArtifactDigestMismatch: the bytes are not those that were registered;
                ArtifactMissing: they are gone.
            Unreachable: S3 does not answer; call again to go on where it stopped.

        """
        return self._fetched(self.get(name, which), Path(path), seen)

    def _fetched(
        self, version: ModelVersion, folder: Path, seen: Callable[[int, int], None] | None
    ) -> Path:
        subject = f"{version.name} of {version.model.namespace}/{version.model.name}"
        uri, digest = version.status.uri, version.status.digest
        if uri is None or digest is None:
            blocker = version.status.blocked
            if blocker is not None:
                raise Failed(subject, blocker.reason, blocker.message)
            raise Failed(subject, "WaitingForVersion", "It is not registered yet.")
        connection = self._reach.connection(version.model.namespace)
        local = {
            **connection,
            "MLFLOW_S3_ENDPOINT_URL": self._reach.url(connection["MLFLOW_S3_ENDPOINT_URL"]),
        }
        if seen is not None:
            return artifacts.fetch(local, uri, digest, folder, seen)
        with display.bar(f"Downloading {subject}") as move:
            words = "{} of {}".format
            return artifacts.fetch(
                local,
                uri,
                digest,
                folder,
                lambda a, b: move(a / b if b else 1.0, words(text.size(a), text.size(b))),
            )

    def load(
        self,
        name: str,
        which: str = "production",
        *,
        flavor: str = "auto",
        allow_code: bool = False,
    ) -> Any:
        """Download a version, check it, and load it on this machine.

        Args:
            name: The model.
            which: A stage, a version, or latest.
            flavor: `auto`: by its own flavour, such as an XGBClassifier; `pyfunc`: MLflow's common
                form, with `.predict`.
            allow_code: Load a model that is code, as every pickle is: it runs with your rights. Say
                so only of what you trust.

        Raises:
            Missing: MLflow, or the flavour's package, is not installed.
            Refused: Loading it runs code that came with it, and `allow_code` is not set.
            Failed: The bytes are not those that were registered.

        """
        mlflow = need("mlflow", "Loading a model")
        version = self.get(name, which)
        folder = self._fetched(
            version, artifacts.cache() / str(version.status.digest).replace(":", "-"), None
        )
        if not allow_code and (why := artifacts.why_code_in(folder)):
            subject = f"{version.name} of {version.model.namespace}/{version.model.name}"
            raise Refused(
                f"Loading {subject} runs code that came with it: {why}. If you trust who registered"
                f" it, write client.models.load({name!r}, {which!r}, allow_code=True)."
            )
        own = version.status.flavor or ""
        if flavor == "pyfunc" or (flavor == "auto" and own in {"", "python_function"}):
            return mlflow.pyfunc.load_model(str(folder))
        chosen = own if flavor == "auto" else flavor
        return need(f"mlflow.{chosen}", f"Loading a model of the flavour {chosen}").load_model(
            str(folder)
        )

    def predict(
        self,
        name: str,
        data: Any,
        stage: str = "production",
        *,
        protocol: predict.Protocol = "v2",
        seconds: float = 60,
    ) -> Any:
        """Ask the model that serves a stage.

        What the values leave open (the type of a column without a value, of mixed rows without
        names) is what the model's signature says, which its server is asked for.

        Args:
            name: The model.
            data: Rows: a list of lists, a dict of columns, a numpy array or a pandas DataFrame.
            stage: Which stage.
            protocol: v2 (Open Inference Protocol), v1, or invocations (MLflow's).
            seconds: How long an answer may take.

        Returns:
            A numpy array when numpy is there and data was an array or a DataFrame, else a list: one
                entry a row.

        Raises:
            NotFound: Nothing is served there.
            Refused: The model refuses the input: its words.
            Unreachable: Nobody answers.
            ValueError: The data is no table, or a text of a CSV file is not of the type that the
                model declares.

        """
        given = predict.table(data)
        return asking.ask(
            self.url(name, stage),
            name,
            stage,
            given,
            protocol=protocol,
            seconds=seconds,
            namespace=self._kube.namespace,
        )

    def url(self, name: str, stage: str = "production") -> str:
        """Return an address from here where a stage answers; it stays open until the client is
        closed.

        Raises:
            NotFound: Nothing is served there.
            Unreachable: None of its pods is ready.

        """
        model = self.get(name)
        found = model.object.status.stages.get(stage)
        if found is None or found.url is None:
            serving = [each for each, status in model.object.status.stages.items() if status.url]
            where = f" Served: {', '.join(serving)}." if serving else ""
            why = f"Nothing serves {stage} of {model.namespace}/{name}."
            asked = model.object.spec.stages.get(stage)
            if (
                found is not None
                and found.version is not None
                and asked is not None
                and asked.serving.replicas == 0
            ):
                why = (
                    f"{stage} of {model.namespace}/{name} holds {found.version}, and has no pods:"
                    " its serving.replicas is 0."
                )
            raise NotFound(f"{why}{where}", name=stage, namespace=model.namespace)
        return self._reach.url(found.url)

    def delete(self, name: str, *, wait: float = 0) -> None:
        """Delete a model: serving goes; what is in MLflow goes or stays as its deletionPolicy
        says.
        """
        self._kube.delete("RegisteredModel", name, wait=wait)

    def watch(
        self, name: str = "", *, all_namespaces: bool = False, seconds: float | None = None
    ) -> Iterator[tuple[str, ModelHandle]]:
        """Go through what is there and then what happens: (`Added` | `Modified` | `Deleted`, the
        object). Ends after `seconds`.
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
