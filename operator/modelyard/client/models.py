"""RegisteredModels: registered, promoted, downloaded, loaded, asked, deleted.

How bytes are fetched does not belong here (`artifacts`), nor how a model is asked (`predict`).
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelyard.api.registered_model import RegisteredModel, VersionStatus
from modelyard.client.handles import Handle, Listing
from modelyard.client.kube import Kube

__all__ = ["ModelHandle", "ModelVersion", "Models"]


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

    def set_stage(self, stage: str, *, seconds: float = 900, seen: "Callable[[ModelHandle], None] | None" = None) -> "ModelHandle":
        """Promote it; see `Models.set_stage`."""
        raise NotImplementedError

    def download(self, path: str | Path, *, seen: Callable[[int, int], None] | None = None) -> Path:
        """Download it; see `Models.download`."""
        raise NotImplementedError

    def load(self) -> Any:
        """Load it on this machine; see `Models.load`."""
        raise NotImplementedError


class ModelHandle(Handle[RegisteredModel]):
    """A RegisteredModel as it was read."""

    RESOURCE = RegisteredModel

    def versions(self) -> tuple[ModelVersion, ...]:
        """Return its versions, oldest first."""
        return tuple(ModelVersion(self, each) for each in self.object.status.versions)

    def version(self, which: str = "latest") -> ModelVersion:
        """Return one version.

        Args:
            which: Its name; a stage, for the version that holds it; or latest, for the one that was registered last.

        Raises:
            NotFound: There is none; the message lists those that are there.

        """
        raise NotImplementedError


class Models:
    """The RegisteredModels of a namespace."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

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
        raise NotImplementedError

    def register(
        self,
        name: str,
        source: str,
        version: str,
        tags: Mapping[str, str] | None = None,
        *,
        seconds: float = 300,
        seen: Callable[[ModelHandle], None] | None = None,
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
        raise NotImplementedError

    def get(self, name: str) -> ModelHandle:
        """Return one. `.version()` is its latest version.

        Raises:
            NotFound: There is none of that name.

        """
        return ModelHandle(self._kube, self._kube.get("RegisteredModel", name))

    def list(self, *, all_namespaces: bool = False, labels: str = "") -> Listing[ModelHandle]:
        """Return all, by namespace and name."""
        raise NotImplementedError

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Return a model's versions, oldest first."""
        return self.get(name).versions()

    def set_stage(
        self, name: str, version: str | None, stage: str, *, seconds: float = 900, seen: Callable[[ModelHandle], None] | None = None
    ) -> ModelHandle:
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
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    def predict(self, name: str, data: Any, stage: str = "production", *, protocol: str = "v2", seconds: float = 60) -> Any:
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

        """
        raise NotImplementedError

    def delete(self, name: str, *, wait: float = 0) -> None:
        """Delete a model: serving goes; what is in MLflow goes or stays as its deletionPolicy says."""
        self._kube.delete("RegisteredModel", name, wait=wait)

    def watch(self, name: str = "", *, all_namespaces: bool = False, seconds: float | None = None) -> Iterator[tuple[str, ModelHandle]]:
        """Go through what is there and then what happens: (`Added` | `Modified` | `Deleted`, the object). Ends after `seconds`."""
        raise NotImplementedError
