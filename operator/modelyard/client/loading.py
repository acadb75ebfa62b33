"""The methods of `client.models` that download and load a version."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelyard.client import artifacts, display, text
from modelyard.client.errors import Failed, Refused
from modelyard.client.model_methods import ModelMethods
from modelyard.client.packages import need
from modelyard.client.versions import ModelVersion

__all__ = ["Loading"]


class Loading(ModelMethods):
    """Download and load."""

    def download(
        self,
        name: str,
        path: str | Path,
        which: str = "latest",
        *,
        seen: Callable[[int, int], None] | None = None,
    ) -> Path:
        """Download all artifacts of a version, check their digest, and return the folder.

        An interrupted download continues where it stopped when it is called again.

        Args:
            name: The model.
            path: The folder; created if it does not exist. Files in it that are complete and
                correct are not downloaded again.
            which: A version, a stage (its effective version) or `latest`.
            seen: Called with (bytes downloaded, bytes in total).

        Raises:
            NotFound: There is no such model, version or stage.
            NotAllowed: The user may not read the Secret modelyard-connection.
            Failed: Reason `ArtifactDigestMismatch`: the bytes are not those that were registered;
                `ArtifactMissing`: they no longer exist.
            Unreachable: S3 does not answer. Call again to continue.

        """
        return self._fetched(self._model(name).version(which), Path(path), seen)

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

            def show(done: int, total: int) -> None:
                fraction = done / total if total else 1.0
                move(fraction, f"{text.size(done)} of {text.size(total)}")

            return artifacts.fetch(local, uri, digest, folder, show)

    def load(
        self,
        name: str,
        which: str = "production",
        *,
        flavor: str = "auto",
        allow_code: bool = False,
    ) -> Any:
        """Download a version, check its digest, and load it in this process.

        Args:
            name: The model.
            which: A stage (its effective version), a version or `latest`.
            flavor: `auto` loads the model in its own flavour, such as an XGBClassifier; `pyfunc`
                loads MLflow's common form, which has `.predict`.
            allow_code: Load a model that contains code, as every pickle does. The code runs with
                your rights: allow it only for models that you trust.

        Returns:
            The model, in the class of its flavour.

        Raises:
            NotFound: There is no such model, version or stage.
            Missing: MLflow, or the flavour's package, is not installed.
            Refused: Loading would run code that comes with the model, and `allow_code` is not set.
            Failed: Reason `ArtifactDigestMismatch`: the bytes are not those that were registered.

        """
        mlflow = need("mlflow", "Loading a model")
        version = self._model(name).version(which)
        folder = self._fetched(
            version, artifacts.cache() / str(version.status.digest).replace(":", "-"), None
        )
        if not allow_code and (why := artifacts.why_code_in(folder)):
            subject = f"{version.name} of {version.model.namespace}/{version.model.name}"
            raise Refused(
                f"Loading {subject} runs code that came with it: {why}. If you trust the user who"
                f" registered it, call client.models.load({name!r}, {which!r}, allow_code=True)."
            )
        own = version.status.flavor or ""
        if flavor == "pyfunc" or (flavor == "auto" and own in {"", "python_function"}):
            return mlflow.pyfunc.load_model(str(folder))
        chosen = own if flavor == "auto" else flavor
        module = need(f"mlflow.{chosen}", f"Loading a model of the flavour {chosen}")
        return module.load_model(str(folder))
