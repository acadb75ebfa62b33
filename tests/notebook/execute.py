"""Execute the tutorial notebook on a real cluster: `python -m tests.notebook.execute` writes its
outputs into docs/tutorial.ipynb.

A test executes it in a separate namespace (`test_tutorial.py`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from tests.cluster.console import Console
from tests.demo import install
from tests.demo.kube import Kube

__all__ = ["NOTEBOOK", "execute", "read"]

NOTEBOOK = install.ROOT / "docs" / "tutorial.ipynb"
NAMESPACE = "risk"
_SECONDS = 900  # the limit for one cell


def read(namespace: str = NAMESPACE) -> Any:
    """Return the notebook with another namespace."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = re.sub(rf'(?<=["/]){NAMESPACE}(?=[".])', namespace, cell.source)
    return notebook


def execute(notebook: Any, kubeconfig: Path, folder: Path, tools: Path | None = None) -> Any:
    """Execute it in a new kernel with the client from this checkout; an error of a cell is raised.

    Args:
        notebook: It gets the outputs.
        kubeconfig: The cluster's.
        folder: The kernel's working folder, for its downloads.
        tools: A folder that comes first in its path.

    """
    ours: Mapping[str, str] = {
        "KUBECONFIG": str(kubeconfig),
        "PYTHONPATH": str(install.ROOT / "operator"),
        "PATH": os.pathsep.join(filter(None, (str(tools or ""), os.environ.get("PATH", "")))),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "TQDM_DISABLE": "1",  # without MLflow's own progress bars; ours stay
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    client = NotebookClient(
        notebook,
        timeout=_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env={**os.environ, **ours})
    return notebook


def main() -> int:
    """Execute it unchanged, and keep its outputs."""
    kube: Kube = install.cluster(Console(sys.stdout))
    folder = install.ROOT / ".cache" / "notebook"
    folder.mkdir(parents=True, exist_ok=True)
    notebook = execute(read(), kube.kubeconfig, folder, kube.tools)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of execution, which change every time
    nbformat.write(notebook, NOTEBOOK)
    return 0


if __name__ == "__main__":
    sys.exit(main())
