"""One command's session: the client, the screen and the clock; reads objects and prints them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from rich.text import Text

from modelyard.api.base import GROUP, Resource
from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.options import Format, Where
from modelyard.cli.program import hint
from modelyard.cli.screen import Screen
from modelyard.client.client import Client
from modelyard.client.errors import NotFound
from modelyard.client.kube import Impersonation, Kube, Manifest
from modelyard.client.table import Cell, table

__all__ = ["DRY_RUN", "Session", "bare", "full_name", "now", "opened"]

DRY_RUN = "The API server would accept the change; nothing was changed."
"""What `--dry-run` prints after the API server has accepted the request."""

R = TypeVar("R", bound="Resource[Any, Any]")


def now() -> datetime:
    """Return the current time; views get it as an argument."""
    return datetime.now(UTC)


def bare(manifest: Manifest) -> Manifest:
    """Return an object without `managedFields`, as kubectl shows it."""
    meta = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return manifest | {"metadata": meta}


def full_name(manifest: Manifest) -> str:
    """Return an object's name as `kubectl get -o name` does: `trainingrun.modelyard.io/fraud-3`."""
    return f"{manifest['kind'].lower()}.{GROUP}/{manifest['metadata']['name']}"


@dataclass(frozen=True)
class Session:
    """What every command uses."""

    where: Where
    client: Client
    screen: Screen

    @property
    def kube(self) -> Kube:
        """The Kubernetes client, for raw objects."""
        return self.client.kube

    def hint(self, words: str) -> str:
        """Return a command to copy, with the namespace, context and user that were given."""
        return hint(words, self.where.namespace, self.where.context, *self.where.acting.words())

    def requested(self, name: str) -> Text:
        """Say that a change of a model is requested, and how to watch it."""
        return Text(f"Requested. To watch it: {self.hint(f'status {name} --watch')}")

    def every(self, kind: str) -> list[Manifest]:
        """Return the objects of a kind, by namespace and name."""
        found = self.kube.list(kind, all_namespaces=self.where.everywhere)
        return sorted(
            found, key=lambda body: (body["metadata"]["namespace"], body["metadata"]["name"])
        )

    def model(self, name: str) -> RegisteredModel:
        """Return a model."""
        return self.client.models.get(name).object

    def version_of(self, model: RegisteredModel, which: str | None) -> str:
        """Return the named version, or the version that is effective in the named stage.

        Args:
            model: The model.
            which: A version or a stage; None: the only stage, or production.

        Raises:
            NotFound: There is no such stage or version, or the stage is empty.

        """
        if which is not None and any(version.name == which for version in model.status.versions):
            return which
        stage = self.stage_of(model, which, or_version=True)
        held = model.status.stages[stage].version if stage in model.status.stages else None
        if held is None:
            raise NotFound(
                f"The stage {stage} of {model.key} is empty. The model has {_names(model)}.",
                kind="",
                name=stage,
            )
        return held

    def stage_of(
        self, model: RegisteredModel, stage: str | None, *, or_version: bool = False
    ) -> str:
        """Return the name of a stage after checking that the model has it.

        Args:
            model: The model.
            stage: The stage; None: the only one, or production.
            or_version: Whether a version would have been accepted too; the error then says so.

        Raises:
            NotFound: The model has no such stage.

        """
        stages = sorted(model.spec.stages)
        chosen = stage or (stages[0] if len(stages) == 1 else "production")
        if chosen not in stages:
            nor = f", and no version of that name: it has {_names(model)}"
            missing = f"{model.key} has no stage {chosen}{nor if stage and or_version else ''}"
            raise NotFound(
                f"{missing}. Its stages: {', '.join(stages) or 'none; add one to its spec'}.",
                name=chosen,
            )
        return chosen

    # --- printing ---------------------------------------------------------------------------------
    def print_objects(self, manifests: Sequence[Manifest], *, single: bool = False) -> None:
        """Print objects for a program: as documents, or their names."""
        if self.where.output is Format.NAME:
            self.screen.names([full_name(manifest) for manifest in manifests])
        elif single:
            self.screen.document(bare(manifests[0]))
        else:
            self.screen.document(
                {
                    "apiVersion": "v1",
                    "kind": "List",
                    "items": [bare(manifest) for manifest in manifests],
                }
            )

    def print_table(
        self, heads: Sequence[str], resources: Sequence[R], rows: Sequence[list[Cell]], none: str
    ) -> None:
        """Print a table, with a NAMESPACE column for all namespaces."""
        if not rows:
            self.screen.message(Text(none))
            return
        if self.where.everywhere:
            heads = ("NAMESPACE", *heads)
            rows = [
                [resource.metadata.namespace, *row]
                for resource, row in zip(resources, rows, strict=True)
            ]
        self.screen.show_table(table(heads, rows, self.screen.table_width))


def _names(model: RegisteredModel) -> str:
    return ", ".join(version.name for version in model.status.versions) or "none yet"


def opened(where: Where) -> Session:
    """Create a session, without any request yet."""
    given = where.acting
    acting = Impersonation(given.user, given.groups, given.uid)
    return Session(where, Client(where.namespace, where.context, acting=acting), Screen(where))
