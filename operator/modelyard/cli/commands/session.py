"""One command's session: the API server, the screen, the clock; reading objects, and printing
them as `-o` says.
"""

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

__all__ = ["Session", "bare", "full_name", "now", "opened"]

R = TypeVar("R", bound="Resource[Any, Any]")


def now() -> datetime:
    """Return the time; views get it as an argument."""
    return datetime.now(UTC)


def bare(manifest: Manifest) -> Manifest:
    """Return an object without `managedFields`, which kubectl does not show either."""
    meta = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return manifest | {"metadata": meta}


def full_name(manifest: Manifest) -> str:
    """Return an object's name as `kubectl get -o name` prints it:
    `trainingrun.modelyard.io/fraud-3`.
    """
    return f"{manifest['kind'].lower()}.{GROUP}/{manifest['metadata']['name']}"


@dataclass(frozen=True)
class Session:
    """What every command has at hand."""

    where: Where
    client: Client
    screen: Screen

    @property
    def kube(self) -> Kube:
        """Kubernetes itself, where raw objects are wanted."""
        return self.client.kube

    def hint(self, words: str) -> str:
        """Return a command for people to copy."""
        return hint(words, self.where.namespace, self.where.context, *self.where.acting.words())

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
        """Return the version that a stage's or a version's name means; the only stage, or
        production, if none is named.

        Raises:
            NotFound: There is neither such a stage nor such a version, or the stage is empty.

        """
        if which is not None and any(version.name == which for version in model.status.versions):
            return which
        stage = self.stage_of(model, which, or_version=True)
        held = model.status.stages[stage].version if stage in model.status.stages else None
        if held is None:
            raise NotFound(
                f"No version holds the stage {stage} of {model.key}. It has the versions"
                f" {_names(model)}.",
                kind="",
                name=stage,
            )
        return held

    def stage_of(
        self, model: RegisteredModel, stage: str | None, *, or_version: bool = False
    ) -> str:
        """Return a stage of the model; its only one, or production, if none is named.

        Args:
            model: The model.
            stage: Its name.
            or_version: A version's name would have done as well, which the refusal says.

        Raises:
            NotFound: There is none of that name.

        """
        stages = sorted(model.spec.stages)
        chosen = stage or (stages[0] if len(stages) == 1 else "production")
        if chosen not in stages:
            said = f"{model.key} has no stage {chosen}" + (
                f", nor a version of that name: it has {_names(model)}"
                if stage and or_version
                else ""
            )
            raise NotFound(
                f"{said}. Its stages: {', '.join(stages) or 'none; they belong into its spec'}.",
                name=chosen,
            )
        return chosen

    # --- printing ---------------------------------------------------------------------------------
    def print_objects(self, manifests: Sequence[Manifest], *, single: bool = False) -> None:
        """Print objects for a program: as they are, or their names."""
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
        """Print a table, with the namespace in front where all were asked for."""
        if not rows:
            self.screen.tell(Text(none))
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
    """Begin: nobody is asked anything yet."""
    who = where.acting
    acting = Impersonation(who.user, who.groups, who.uid)
    return Session(where, Client(where.namespace, where.context, acting=acting), Screen(where))
