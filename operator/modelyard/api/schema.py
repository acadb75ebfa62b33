"""The CustomResourceDefinitions: what each kind is called, how it is listed, how its objects may be named.

The fields and their rules are the models'; turning a model into OpenAPI is `api.structural`'s. `python -m modelyard crds`
prints what this makes, `make crds` writes it to `crds/` and to the chart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelyard import generated
from modelyard.api.base import GROUP, VERSION, Resource
from modelyard.api.document import dumped
from modelyard.api.experiment import Experiment
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.rules import rule
from modelyard.api.structural import structural
from modelyard.api.training_run import TrainingRun

__all__ = ["KINDS", "Column", "Kind", "crd", "files", "main"]

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`. With `wide`, only `-o wide` shows it."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """How one kind appears to users of kubectl.

    Attributes:
        resource: The model.
        short: Its short name.
        names: A regular expression (RE2) that names of its objects match, from their first to their last character.
        longest: How long such a name may be; derived names (`kube.names`) then fit without being shortened.
        advice: What a user reads whose object is named otherwise.
        columns: The columns of `kubectl get`, in their order.
        selectable: Fields that `--field-selector` may name.

    """

    resource: type[Resource[Any, Any]]
    short: str
    names: str
    longest: int
    advice: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...] = ()


_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SERVICE = "[a-z]([-a-z0-9]*[a-z0-9])?"

READY = Column("Ready", '.status.conditions[?(@.type=="Ready")].status', "Whether all is as the spec asks.")
REASON = Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', "Why, in one word; docs/conditions.md lists them.")
MESSAGE = Column("Message", '.status.conditions[?(@.type=="Ready")].message', "Why, and what to do next.", wide=True)
AGE = Column("Age", ".metadata.creationTimestamp", "Time since the object was made.", type="date")

KINDS = (
    Kind(
        Experiment,
        short="mlexp",
        names=_LABEL,
        longest=63,
        advice="an Experiment's name is at most 63 lower case letters, digits and dashes, such as fraud: MLflow and S3 use it too",
        columns=(
            READY,
            REASON,
            Column("Runs", ".status.runs.finished", "MLflow runs that finished well.", type="integer"),
            Column("Best", ".status.bestRun.value", "The best value of the objective's metric."),
            Column("Best Run", ".status.bestRun.trainingRun", "The TrainingRun that reached it.", wide=True),
            Column("MLflow", ".status.mlflow.name", "Its name in MLflow.", wide=True),
            MESSAGE,
            AGE,
        ),
    ),
    Kind(
        TrainingRun,
        short="mlrun",
        names=_LABEL,
        longest=50,
        advice="a TrainingRun's name is at most 50 lower case letters, digits and dashes, such as fraud-003: its Jobs are named after it",
        columns=(
            Column("Experiment", ".spec.experiment", "The Experiment that it belongs to."),
            Column("Attempt", ".status.attempt", "The attempt that runs or ran last.", type="integer"),
            READY,
            REASON,
            Column("Progress", ".status.progress.percent", "How much is done, in percent.", type="integer"),
            Column("Model", ".status.registered.model", "The RegisteredModel that took its model."),
            Column("Version", ".status.registered.version", "The version that its model became.", wide=True),
            Column("Run", ".status.mlflow.runId", "MLflow's run id.", wide=True),
            MESSAGE,
            AGE,
        ),
        selectable=(".spec.experiment",),
    ),
    Kind(
        RegisteredModel,
        short="mlmodel",
        names=_SERVICE,
        longest=32,
        advice="a RegisteredModel's name begins with a letter and is at most 32 lower case letters, digits and dashes, such as fraud:"
        " the Service of each stage is named <model>-<stage>",
        columns=(
            Column("Stages", ".status.summary", "Stages and the versions that hold them."),
            Column("Production", ".status.stages.production.version", "The version that holds production."),
            READY,
            REASON,
            Column("URL", ".status.stages.production.url", "Where production answers, in the cluster.", wide=True),
            Column("MLflow", ".status.mlflowName", "Its name in MLflow.", wide=True),
            MESSAGE,
            AGE,
        ),
    ),
)


def crd(kind: Kind) -> Manifest:
    """Return the CustomResourceDefinition of a kind, whole."""
    resource = kind.resource
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": resource.KIND,
                "listKind": f"{resource.KIND}List",
                "plural": resource.PLURAL,
                "singular": resource.KIND.lower(),
                "shortNames": [kind.short],
                "categories": ["modelyard"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in kind.columns],
                    **({"selectableFields": [{"jsonPath": path} for path in kind.selectable]} if kind.selectable else {}),
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def files() -> generated.Files:
    """Return the committed files: one a kind, in `crds/` and again in the chart."""
    out = {}
    for kind in KINDS:
        text = f"# Generated from operator/modelyard/api by `make crds`. Never edit it.\n{dumped(crd(kind))}"
        for folder in ("crds", "charts/modelyard/files/crds"):
            out[f"{folder}/{GROUP}_{kind.resource.PLURAL}.yaml"] = text
    return out


def main(argv: Sequence[str]) -> int:
    """Run `modelyard crds`."""
    return generated.main(
        "crds", "the CustomResourceDefinitions, for kubectl apply -f -", files, argv, ("crds/*.yaml", "charts/modelyard/files/crds/*.yaml")
    )


def _root(kind: Kind) -> Manifest:
    fields = kind.resource.model_fields
    return {
        "description": _docstring(kind.resource),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"The version of the API: {GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": f"The kind: {kind.resource.KIND}.", "type": "string"},
            # Named only for the rule below, which speaks of it.
            "metadata": {
                "type": "object",
                "properties": {"name": {"description": "The object's name.", "type": "string", "maxLength": 253}},
            },
            "spec": structural(_annotation(fields["spec"].annotation), written=True),
            "status": structural(_annotation(fields["status"].annotation), written=False),
        },
        "x-kubernetes-validations": [
            rule(f"self.metadata.name.size() <= {kind.longest} && self.metadata.name.matches('^{kind.names}$')", kind.advice)
            | {"fieldPath": ".metadata.name"}
        ],
    }


def _annotation(annotation: Any) -> type[Any]:
    assert isinstance(annotation, type), f"{annotation} is not a model"
    return annotation


def _docstring(resource: type[Resource[Any, Any]]) -> str:
    text = resource.__doc__
    assert text, f"{resource.KIND} has no docstring"
    return text


def _column(column: Column) -> Manifest:
    out: Manifest = {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description}
    return out | {"priority": 1} if column.wide else out
