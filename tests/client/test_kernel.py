"""In a real Jupyter kernel: progress bars and tables as HTML, and none of it elsewhere."""

from __future__ import annotations

import io
import os

import nbformat
import pytest
from nbclient import NotebookClient
from rich.console import Console

from modelyard.client import display
from modelyard.client.table import rows_table

BAR = """
from modelyard.client import display
with display.bar("Promoting <b>") as move:
    move(0.5, "half of it")
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_a_progress_bar_is_updated_in_place_in_a_notebook(tmp_path):
    environment = os.environ | {"PYTHONPATH": "operator", "IPYTHONDIR": str(tmp_path)}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BAR)])
    done = NotebookClient(notebook, timeout=240).execute(env=environment)
    (output,) = [each for each in done.cells[0].outputs if each.output_type == "display_data"]
    html = output.data["text/html"]
    assert "width:50%" in html
    assert "half of it" in html
    assert "Promoting &lt;b&gt;" in html


def test_there_is_no_progress_bar_outside_of_a_notebook(capsys):
    assert not display.in_notebook()
    with display.bar("x") as move:
        move(0.5, "half")
    assert capsys.readouterr() == ("", "")


def test_rich_draws_the_same_table():
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(
        rows_table(
            [{"name": "fraud", "stages": [display.Badge("production v1", "good")]}], "nothing"
        )
    )
    console.print(rows_table([], "nothing"))
    assert console.export_text() == "NAME   STAGES\nfraud  production v1\nnothing\n"
