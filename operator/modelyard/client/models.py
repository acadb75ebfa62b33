"""RegisteredModels: registered, promoted, downloaded, loaded, asked, deleted.

How bytes are fetched does not belong here (`artifacts`), nor how a model is asked (`predict`).
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, overload

from modelyard.api.registered_model import ModelReason, RegisteredModel, RegisteredModelSpec, RegisteredModelStatus, VersionStatus
from modelyard.client import artifacts, display, predict, rest
from modelyard.client.errors import Failed, NotFound, Refused, Unreachable
from modelyard.client.handles import API_VERSION, Handle, Listing, changes, listed
from modelyard.client.kube import Kube
from modelyard.client.packages import need
from modelyard.client.reach import Reach

__all__ = ["ModelHandle", "ModelVersion", "Models", "Versions", "staged"]

_WHOLE = {ModelReason.NAME_TAKEN, ModelReason.CONNECTION_MISSING, ModelReason.CONNECTION_REFUSED, ModelReason.REQUEST_REFUSED}
"""Reasons that stall the model as a whole, not one stage of it."""
_LATEST = "latest"
_RUNS = re.compile(r"runs:/(?P<run>[A-Za-z0-9_-]+)(?:/(?P<path>.+))?")
_TRAINING_RUN = re.compile(r"trainingruns/(?P<name>[a-z0-9.-]+)")
Watching = Callable[["ModelHandle"], None]


class ModelVersion:
    """One version of a model, as it was read.

    Attributes:
        model: The RegisteredModel that it belongs to.
        status: What the operator says of it.

    """

    def __init__(self, model: "ModelHandle", status: VersionStatus) -> None:
        self.model = model
        self.status = status

    @property
    def name(self) -> str:
        """Its name in the spec, such as v3."""
        return self.status.name

    @property
    def registered(self) -> bool:
        """MLflow has it."""
        return self.status.mlflow_version is not None

    def row(self) -> dict[str, Any]:
        """Return its line in a table."""
        status = self.status
        return {
            "version": self.name,
            "stages": [display.Badge(stage, "good") for stage in status.stages],
            "flavor": status.flavor,
            "size": display.size(status.bytes),
            "digest": status.digest[:19] if status.digest else None,
            "from": status.training_run or status.run_id or status.uri,
            "registered": display.age(status.created_at),
            "problem": status.problem,
        }

    def __repr__(self) -> str:
        stages = f" ({', '.join(self.status.stages)})" if self.status.stages else ""
        return f"<version {self.name} of {self.model.namespace}/{self.model.name}{stages}>"

    def _repr_html_(self) -> str:
        row = {key: value for key, value in self.row().items() if key not in {"version", "problem"}}
        badge = display.Badge("Registered", "good") if self.registered else display.Badge("Registering", "busy")
        title = f"{self.model.namespace}/{self.model.name} {self.name}"
        return display.card(title, badge, self.status.problem or "", row | {"signature": self.status.signature})


class Versions(tuple[ModelVersion, ...]):
    """A model's versions, oldest first; a notebook shows them as a table."""

    __slots__ = ()

    def rows(self) -> "list[dict[str, Any]]":
        """Return a row for each, by column."""
        return [each.row() for each in self]

    def __repr__(self) -> str:
        return display.text_table(self.rows(), "no versions")

    def _repr_html_(self) -> str:
        return display.table(self.rows(), "no versions")


class ModelHandle(Handle[RegisteredModel]):
    """A RegisteredModel as it was read."""

    RESOURCE = RegisteredModel

    @property
    def spec(self) -> RegisteredModelSpec:
        """What is asked for."""
        return self.object.spec

    @property
    def status(self) -> RegisteredModelStatus:
        """What is so."""
        return self.object.status

    def versions(self) -> Versions:
        """Return its versions, oldest first."""
        return Versions(ModelVersion(self, each) for each in self.object.status.versions)

    def version(self, which: str = _LATEST) -> ModelVersion:
        """Return one version.

        Args:
            which: Its name; a stage, for the version that holds it; or latest, for the one that was registered last.

        Raises:
            NotFound: There is none; the message lists those that are there.

        """
        there = {each.name: each for each in self.versions()}
        if which == _LATEST:
            found = next((each for each in reversed(there.values()) if each.registered), None)
        else:
            stage = self.object.status.stages.get(which)
            found = there.get(which) or there.get(stage.version or "" if stage else "")
        if found is None:
            what = (
                f"no version is registered of {self.namespace}/{self.name}"
                if which == _LATEST
                else f"no version {which}, and no stage of it"
            )
            known = f" Versions: {', '.join(there) or 'none'}; stages: {', '.join(self.stages()) or 'none'}."
            raise NotFound(f"{self.namespace}/{self.name}: {what}.{known}", name=which, namespace=self.namespace)
        return found

    def stages(self) -> dict[str, str | None]:
        """Return which version holds each stage now."""
        names = dict.fromkeys((*self.object.spec.stages, *self.object.status.stages))
        return {name: stage.version if (stage := self.object.status.stages.get(name)) else None for name in names}

    def row(self) -> dict[str, Any]:
        """Return its line in a table."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "stages": self._badges(),
            "versions": len(self.object.status.versions),
            "status": self.badge,
            "age": display.age(self.metadata.creation_timestamp),
        }

    def fields(self) -> dict[str, Any]:
        """Return what is to be known of it."""
        status = self.object.status
        urls = [f"{name}: {stage.url}" for name, stage in status.stages.items() if stage.url]
        history = [f"{each.stage}: {each.from_ or 'nothing'} -> {each.to or 'nothing'}" for each in status.history[-3:]]
        names = [version.name for version in status.versions[-8:]]
        return {"stages": self._badges(), "versions": names, "served at": urls, "last changes": history, "mlflow": status.url}

    def _badges(self) -> "list[display.Badge]":
        def one(name: str, version: str | None) -> display.Badge:
            stage = self.object.status.stages.get(name)
            if stage is not None and stage.desired is not None and stage.desired != version:
                return display.Badge(f"{name} {version or 'none'} → {stage.desired}", "bad" if stage.refused else "busy")
            return display.Badge(f"{name} {version or 'none'}", "good" if version else "quiet")

        return [one(name, version) for name, version in self.stages().items()]


class Models:
    """The RegisteredModels of a namespace."""

    def __init__(self, kube: Kube, reach: Reach) -> None:
        self._kube = kube
        self._reach = reach

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
        spec: dict[str, Any] = {"description": description, "tags": dict(tags or {}), "deletionPolicy": deletion_policy}
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
        seen: Watching | None = None,
    ) -> ModelVersion:
        """Declare a version of a model, and wait until it is registered. The RegisteredModel is made, if there is none.

        Args:
            name: The model.
            source: `trainingruns/<name>`, a TrainingRun of this namespace; `runs:/<run id>[/<path>]`, an MLflow run; `s3://...`, a tree
                with an MLmodel file.
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
        declared = _source(source) | ({"tags": dict(tags)} if tags else {})
        model = self._declared(name, version, declared)
        if not seconds:
            return ModelVersion(model, VersionStatus(name=version))
        look = partial(_registered, version, declared)
        return model._until(look, f"to register {version}", seconds, seen, stalls=False).version(version)  # noqa: SLF001 - this package's

    def _declared(self, name: str, version: str, source: dict[str, Any]) -> ModelHandle:
        """Declare a version, in a model that is there, or that is made for it."""
        spec = {"versions": {version: source}}
        try:
            return ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, {"spec": spec}))
        except NotFound as error:
            if error.kind != "RegisteredModel":
                raise
        try:
            return ModelHandle(self._kube, self._kube.create(_body(name, spec)))
        except Refused:  # somebody else was faster, or it breaks a rule, which is told once more
            return ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, {"spec": spec}))

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

    def set_stage(self, name: str, version: str | None, stage: str, *, seconds: float = 900, seen: Watching | None = None) -> ModelHandle:
        """Let a version hold a stage, and wait until it does: served, and moved in MLflow. The same call takes it back.

        Args:
            name: The model.
            version: The version; None clears the stage, and nothing is served.
            stage: The stage, such as production; it is made if it is not there.
            seconds: How long to wait; 0: not at all.
            seen: Called with every state of the model, for a display. In a notebook a bar shows it, if absent.

        Raises:
            NotAllowed: The user may not promote to that stage: verb `promote` on `registeredmodels/<stage>`.
            Failed: The version was not promoted; the one before serves on. The reason and message say why.
            TimedOut: It is still on its way.

        """
        patch = {"spec": {"stages": {stage: {"version": version}}}}
        model = ModelHandle(self._kube, self._kube.patch("RegisteredModel", name, patch))
        if not seconds:
            return model
        look = partial(staged, stage, version)
        return model._until(look, f"to let {version or 'nothing'} hold {stage}", seconds, seen, stalls=False)  # noqa: SLF001

    def download(self, name: str, path: str | Path, which: str = "latest", *, seen: Callable[[int, int], None] | None = None) -> Path:
        """Download a version's artifacts, the whole tree, and check its digest; return the folder.

        Args:
            name: The model.
            path: A folder, which is made; files that are there already and right are not fetched again, parts are gone on with.
            which: A version, a stage, or latest.
            seen: Called with (bytes done, bytes in all).

        Raises:
            NotAllowed: The user may not read the Secret modelyard-connection.
            Failed: ArtifactDigestMismatch: the bytes are not those that were registered; ArtifactMissing: they are gone.
            Unreachable: S3 does not answer; call again to go on where it stopped.

        """
        return self._fetched(self.get(name, which), Path(path), seen)

    def _fetched(self, version: ModelVersion, folder: Path, seen: Callable[[int, int], None] | None) -> Path:
        subject = f"{version.name} of {version.model.namespace}/{version.model.name}"
        uri, digest = version.status.uri, version.status.digest
        if uri is None or digest is None:
            raise Failed(subject, "WaitingForVersion", version.status.problem or "it is not registered yet.")
        connection = self._reach.connection(version.model.namespace)
        local = {**connection, "MLFLOW_S3_ENDPOINT_URL": self._reach.url(connection["MLFLOW_S3_ENDPOINT_URL"])}
        if seen is not None:
            return artifacts.fetch(local, uri, digest, folder, seen)
        with display.bar(f"Downloading {subject}") as move:
            words = "{} of {}".format
            return artifacts.fetch(
                local, uri, digest, folder, lambda a, b: move(a / b if b else 1.0, words(display.size(a), display.size(b)))
            )

    def load(self, name: str, which: str = "production", *, flavor: str = "auto") -> Any:
        """Download a version, check it, and load it on this machine. A model can be code: load what you trust.

        Args:
            name: The model.
            which: A stage, a version, or latest.
            flavor: `auto`: by its own flavour, such as an XGBClassifier; `pyfunc`: MLflow's common form, with `.predict`.

        Raises:
            Missing: MLflow, or the flavour's package, is not installed.
            Failed: The bytes are not those that were registered.

        """
        mlflow = need("mlflow", "Loading a model")
        version = self.get(name, which)
        folder = self._fetched(version, _cache() / str(version.status.digest).replace(":", "-"), None)
        own = version.status.flavor or ""
        if flavor == "pyfunc" or (flavor == "auto" and own in {"", "python_function"}):
            return mlflow.pyfunc.load_model(str(folder))
        chosen = own if flavor == "auto" else flavor
        return need(f"mlflow.{chosen}", f"Loading a model of the flavour {chosen}").load_model(str(folder))

    def predict(self, name: str, data: Any, stage: str = "production", *, protocol: predict.Protocol = "v2", seconds: float = 60) -> Any:
        """Ask the model that serves a stage.

        Args:
            name: The model.
            data: Rows: a list of lists, a dict of columns, a numpy array or a pandas DataFrame.
            stage: Which stage.
            protocol: v2 (Open Inference Protocol), v1, or invocations (MLflow's).
            seconds: How long an answer may take.

        Returns:
            A numpy array when numpy is there and data was an array or a DataFrame, else a list: one entry a row.

        Raises:
            NotFound: Nothing is served there.
            Refused: The model refuses the input: its words.
            Unreachable: Nobody answers.
            ValueError: The data is no table.

        """
        given = predict.table(data)
        url = self.url(name, stage)
        who = f"The model {name} in {stage}"
        reply = rest.ask(url + predict.path(protocol, name), predict.request(protocol, given), who=who, seconds=seconds)
        if reply.code == 404:
            raise NotFound(f"{who} is not what answers at its address: {reply.said}", name=name, namespace=self._kube.namespace)
        if reply.code >= 500 or reply.code == 429:
            raise Unreachable(f"{who} cannot answer now ({reply.code}): {reply.said}")
        if reply.code >= 300:
            raise Refused(f"{who} refuses the input: {reply.said}")
        return predict.answer(protocol, reply.body, given)

    def url(self, name: str, stage: str = "production") -> str:
        """Return an address from here where a stage answers; it stays open until the client is closed.

        Raises:
            NotFound: Nothing is served there.
            Unreachable: None of its pods is ready.

        """
        model = self.get(name)
        found = model.object.status.stages.get(stage)
        if found is None or found.url is None:
            serving = [each for each, status in model.object.status.stages.items() if status.url]
            where = f"; served are {', '.join(serving)}" if serving else ""
            raise NotFound(f"Nothing serves {stage} of {model.namespace}/{name}{where}.", name=stage, namespace=model.namespace)
        return self._reach.url(found.url)

    def delete(self, name: str, *, wait: float = 0) -> None:
        """Delete a model: serving goes; what is in MLflow goes or stays as its deletionPolicy says."""
        self._kube.delete("RegisteredModel", name, wait=wait)

    def watch(self, name: str = "", *, all_namespaces: bool = False, seconds: float | None = None) -> Iterator[tuple[str, ModelHandle]]:
        """Go through what is there and then what happens: (`Added` | `Modified` | `Deleted`, the object). Ends after `seconds`."""
        return changes(ModelHandle, self._kube, name, all_namespaces=all_namespaces, seconds=seconds)


def _body(name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "RegisteredModel", "metadata": {"name": name}, "spec": dict(spec)}


def _source(text: str) -> dict[str, Any]:
    """Read where a version comes from."""
    if found := _TRAINING_RUN.fullmatch(text):
        return {"trainingRun": found["name"]}
    if found := _RUNS.fullmatch(text):
        return {"runId": found["run"], **({"path": found["path"]} if found["path"] else {})}
    if text.startswith("s3://"):
        return {"uri": text}
    raise ValueError(f"{text} is no source: write trainingruns/<name>, runs:/<run id>[/<path>] or s3://<bucket>/<key>")


def _registered(version: str, source: Mapping[str, Any], model: ModelHandle) -> ModelHandle | None:
    """The model, when MLflow has the version. What else is wrong with the model is not its business.

    Raises:
        Failed: The version cannot be registered, or another source holds its name.

    """
    subject = f"{version} of {model.namespace}/{model.name}"
    status = next((each for each in model.object.status.versions if each.name == version), None)
    if not model.fresh:
        return None
    if status is None:
        if model.stalled and model.reason in _WHOLE:
            raise Failed(subject, model.reason, model.message)
        return None
    if status.mlflow_version is not None:
        given = {"trainingRun": status.training_run, "runId": status.run_id, "uri": (status.uri or "").rstrip("/")}
        if any(given[key] != str(value).rstrip("/") for key, value in source.items() if key in given):
            raise Failed(subject, "VersionTaken", "another source was registered under this name before: declare this one under another.")
        return model
    reason, _, words = (status.problem or "").partition(": ")
    if words and reason in set(ModelReason):
        raise Failed(subject, reason, words)
    return None


def staged(stage: str, version: str | None, model: ModelHandle) -> ModelHandle | None:
    """Return the model, when a version holds a stage and MLflow agrees; None while it is on its way. Pure.

    Raises:
        Failed: It will not, until somebody changes something. Trouble of other stages is not this one's.

    """
    if not model.fresh:
        return None
    status = model.object.status.stages.get(stage)
    if (status.version if status else None) == version:
        synced = model.object.status.condition("Synced")
        if model.ready or (synced is not None and synced.status == "True" and (status is None or status.desired == version)):
            return model
    subject = f"{stage} of {model.namespace}/{model.name}"
    if status is not None and status.refused and status.refused_generation == model.metadata.generation:
        raise Failed(subject, ModelReason.SERVING_FAILED, status.refused)
    known = next((each for each in model.object.status.versions if each.name == version), None)
    reason, _, words = ((known.problem if known else None) or "").partition(": ")
    if words and reason in set(ModelReason):
        raise Failed(subject, reason, words)
    if model.stalled and (model.reason in _WHOLE or model.message.startswith(f"{stage}: ")):
        raise Failed(subject, model.reason, model.message.removeprefix(f"{stage}: "))
    return None


def _cache() -> Path:
    """Return where loaded models are kept, each under its digest."""
    root = os.environ.get("MODELYARD_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "modelyard" / "models"
