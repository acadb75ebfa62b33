"""The tutorial notebook, executed as committed, and its committed outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.e2e.tenant import Tenant
from tests.notebook.execute import NOTEBOOK, execute, read


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell: Any) -> str:
    """Return a cell's outputs as text."""
    found = [
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    ]
    return "\n".join(found)


def pictures(notebook: Any) -> int:
    return sum(
        "image/png" in output.get("data", {}) for cell in code(notebook) for output in cell.outputs
    )


def test_the_committed_notebook_was_executed_from_top_to_bottom():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code(notebook)] == list(
        range(1, len(code(notebook)) + 1)
    )
    assert not [
        output
        for cell in code(notebook)
        for output in cell.outputs
        if output.output_type == "error"
    ]
    assert pictures(notebook) == 2
    steps = [
        cell.source.split(".")[0]
        for cell in notebook.cells
        if cell.cell_type == "markdown" and cell.source.startswith("## ")
    ]
    assert steps == [f"## {number}" for number in range(1, 12)]


@pytest.mark.e2e
def test_every_step_does_what_it_says(tenant: Tenant, tmp_path: Path):
    notebook = execute(read(tenant.name), tenant.kube.kubeconfig, tmp_path, tenant.kube.tools)
    shown = {cell.source.splitlines()[0]: texts(cell) for cell in code(notebook)}
    assert pictures(notebook) == 2
    (answer,) = [
        text for source, text in shown.items() if source.startswith("with client.mlflow()")
    ]
    assert "'by URI and over HTTP': True" in answer
    (summary,) = [
        text
        for source, text in shown.items()
        if source.startswith('client.models.set_stage("tutorial", "v1", "production").status')
    ]
    assert "production=v1" in summary
    assert tenant.kube.list("RegisteredModel", tenant.name) == []
    assert tenant.kube.list("TrainingRun", tenant.name) == []
    assert tenant.kube.list("Experiment", tenant.name) == []
    assert tenant.kube.list("Deployment", tenant.name) == []
