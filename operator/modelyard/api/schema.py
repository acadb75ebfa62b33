"""The CustomResourceDefinitions of the kinds in `api.kinds`.

`api.structural` converts a model to OpenAPI. `python -m modelyard crds` prints the CRDs; `make
crds` writes them to `crds/` and to the chart.
"""

from collections.abc import Sequence
from typing import Any

from modelyard import generated
from modelyard.api.base import GROUP, VERSION, Resource
from modelyard.api.document import dumped
from modelyard.api.kinds import KINDS, Column, Kind
from modelyard.api.rules import rule
from modelyard.api.structural import paragraphs, structural

__all__ = ["crd", "files", "main"]

Manifest = dict[str, Any]


def crd(kind: Kind) -> Manifest:
    """Return the CustomResourceDefinition of a kind."""
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
                    **(
                        {"selectableFields": [{"jsonPath": path} for path in kind.selectable]}
                        if kind.selectable
                        else {}
                    ),
                    "schema": {"openAPIV3Schema": _root(kind)},
                }
            ],
        },
    }


def files() -> generated.Files:
    """Return the committed files: one per kind, in `crds/` and in the chart."""
    out = {}
    for kind in KINDS:
        text = (
            "# Generated from operator/modelyard/api by `make crds`. Never edit it.\n"
            f"{dumped(crd(kind))}"
        )
        for folder in ("crds", "charts/modelyard/files/crds"):
            out[f"{folder}/{GROUP}_{kind.resource.PLURAL}.yaml"] = text
    return out


def main(argv: Sequence[str]) -> int:
    """Run `modelyard crds`."""
    return generated.main(
        "crds",
        "the CustomResourceDefinitions, for kubectl apply -f -",
        files,
        argv,
        ("crds/*.yaml", "charts/modelyard/files/crds/*.yaml"),
    )


def _root(kind: Kind) -> Manifest:
    fields = kind.resource.model_fields
    return {
        "description": _docstring(kind.resource),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {
                "description": f"The version of the API: {GROUP}/{VERSION}.",
                "type": "string",
            },
            "kind": {"description": f"The kind: {kind.resource.KIND}.", "type": "string"},
            # Declared only for the rule below, which reads it.
            "metadata": {
                "type": "object",
                "properties": {
                    "name": {
                        "description": "The object's name.",
                        "type": "string",
                        "maxLength": 253,
                    }
                },
            },
            "spec": structural(_annotation(fields["spec"].annotation), written=True),
            "status": structural(_annotation(fields["status"].annotation), written=False),
        },
        "x-kubernetes-validations": [
            rule(
                f"self.metadata.name.size() <= {kind.longest} &&"
                f" self.metadata.name.matches('^{kind.names}$')",
                kind.advice,
            )
            | {"fieldPath": ".metadata.name"}
        ],
    }


def _annotation(annotation: Any) -> type[Any]:
    assert isinstance(annotation, type), f"{annotation} is not a model"
    return annotation


def _docstring(resource: type[Resource[Any, Any]]) -> str:
    text = resource.__doc__
    assert text, f"{resource.KIND} has no docstring"
    return paragraphs(text)


def _column(column: Column) -> Manifest:
    out: Manifest = {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
    return out | {"priority": 1} if column.wide else out
