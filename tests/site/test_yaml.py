"""The API server and the chart would accept every YAML block of the pages: our kinds, values,
objects of Kubernetes.

CEL rules are checked only by an API server, when the pages are run (tests/e2e/test_docs.py).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from modelyard.api.kinds import KINDS, Kind
from modelyard.api.schema import crd
from tests.pages import ROOT, Block, blocks, pages

Node = dict[str, Any]

VALUES = json.loads((ROOT / "charts" / "modelyard" / "values.schema.json").read_text())
# Objects that are not ours: those that tests apply (tests/chart, tests/e2e), and a route and a
# monitor, which no cluster of ours knows.
OTHERS = {
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Kustomization",
    "HTTPRoute",
    "PodMonitor",
    "ResourceQuota",
    "Policy",
}
HEREDOC = re.compile(r"<<'YAML'\n(.*?)^YAML$", re.MULTILINE | re.DOTALL)


def closed(schema: Node) -> Node:
    """Return a CRD's schema that refuses unknown fields, as `kubectl --validate=strict` does."""
    out: Node = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: closed(node) for name, node in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = closed(value)
        else:
            out[key] = value
    if out.get("nullable") and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
    return out | (
        {"additionalProperties": False}
        if "properties" in out and "additionalProperties" not in out
        else {}
    )


def schema_of(kind: Kind) -> Node:
    (version,) = crd(kind)["spec"]["versions"]
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


SCHEMAS = {kind.resource.KIND: schema_of(kind) for kind in KINDS}


def texts() -> Iterator[tuple[str, str]]:
    """Every YAML text of the pages, and where it stands: blocks of their own, and what commands
    are given as it stands.
    """
    found: list[Block] = [
        block for page in [*pages(), ROOT / "README.md"] for block in blocks(page)
    ]
    for block in found:
        if block.language == "yaml":
            yield str(block), block.text
        elif block.language == "sh":
            yield from ((str(block), text) for text in HEREDOC.findall(block.text))


TEXTS = list(texts())


def complaints(text: str) -> list[str]:
    """Return the problems of a YAML text."""
    found = []
    for document in yaml.safe_load_all(text):
        if text.startswith("# values.yaml"):
            schema = VALUES
        elif (
            "nameReference" in document
        ):  # kustomize's own configuration, which tests/gitops/test_kustomize.py uses
            continue
        elif "kind" not in document:  # a part of an object, such as its spec: it fits one kind
            parts = [
                {"properties": {key: schema["properties"].get(key, False) for key in document}}
                for schema in SCHEMAS.values()
            ]
            if not any(jsonschema.Draft202012Validator(part).is_valid(document) for part in parts):
                found.append("fits no kind, and is no values.yaml")
            continue
        elif document["kind"] in SCHEMAS:
            schema = SCHEMAS[document["kind"]]
        else:
            found += (
                []
                if document["kind"] in OTHERS
                else [f"{document['kind']} is not checked by anything"]
            )
            continue
        found += [
            error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)
        ]
    return found


def test_the_pages_have_yaml_blocks():
    assert len(TEXTS) > 20


@pytest.mark.parametrize("text", [text for _, text in TEXTS], ids=[where for where, _ in TEXTS])
def test_a_yaml_block_would_be_accepted(text: str):
    assert complaints(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "kind: Experiment\nspec: {retention: {run: 90d}}",
        "kind: RegisteredModel\nspec: {stages: {production: {versions: v1}}}",
        "kind: TrainingRun\nspec: {experiment: fraud}",
        "kind: Experiment\nspec: {retention: {runs: soon}}",
        "spec: {stages: {production: {version: 2}}}",
        "# values.yaml\ntenant: []",
        "kind: Deployment",
    ],
)
def test_an_invalid_yaml_block_would_be_noticed(text: str):
    assert complaints(text) != []
