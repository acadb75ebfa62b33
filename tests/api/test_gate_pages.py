"""docs/gates: a page for every kind of gate. A real API server accepts each sample on them, and the
policy for a bank, CEL included.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from modelyard.api.gates import Gate
from tests.api.objects import Manifest
from tests.harness import Cluster

PAGES = Path(__file__).parents[2] / "docs" / "gates"
KINDS = sorted(Gate.model_fields.keys() - {"name"})


def samples(page: Path) -> list[Manifest]:
    """All YAML blocks of a page."""
    texts = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [document for text in texts for document in yaml.safe_load_all(text)]


def gates(manifest: Manifest) -> set[str]:
    """The kinds of gates that a model asks for."""
    stages = manifest["spec"]["stages"].values() if manifest["kind"] == "RegisteredModel" else ()
    return {
        kind
        for stage in stages
        for gate in stage.get("gates", ())
        for kind in gate
        if kind != "name"
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_page_with_a_sample_and_the_list_links_it(kind: str):
    page = PAGES / f"{kind}.md"
    assert kind in set().union(*map(gates, samples(page)))
    assert f"]({page.name})" in (PAGES / "README.md").read_text()


@pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda page: page.stem)
def test_the_api_server_accepts_the_samples_of_a_page(page: Path, cluster: Cluster):
    shown = samples(page)
    assert shown, "a page shows how it is written"
    for manifest in shown:
        manifest["metadata"]["namespace"] = "default"
        if manifest["kind"] != "RegisteredModel":
            continue
        answer = cluster.check(manifest)
        assert answer.ok, answer.message


def test_the_policy_for_a_bank_matches_its_page_and_is_accepted(cluster: Cluster):
    pages = PAGES.parent / "how-to"
    text = (pages / "files" / "policy-bank.yaml").read_text()
    assert f"```yaml\n{text}```" in (pages / "policy-bank.md").read_text()
    manifest = next(each for each in yaml.safe_load_all(text) if each["kind"] == "RegisteredModel")
    manifest["metadata"]["namespace"] = "default"
    answer = cluster.check(manifest)
    assert answer.ok, answer.message
