"""The modules of the operator's package that pods import: listed by the image, standard library
only, and fast to import.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = ROOT / "operator" / "modelyard" / "api"


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def shared() -> set[str]:
    """Return the modules of `modelyard.api` that the pods' programs import, directly or
    indirectly.
    """
    names = {path.stem for path in API.glob("*.py")}
    found: set[str] = set()
    waiting = list((ROOT / "operator" / "modelyard_runtime").rglob("*.py"))
    while waiting:
        for module in imports(waiting.pop()):
            name = module.removeprefix("modelyard.api.")
            if name in names and module != name and name not in found:
                found.add(name)
                waiting.append(API / f"{name}.py")
    return found


SHARED = sorted(shared())


def test_the_runtime_image_contains_exactly_the_shared_modules():
    dockerfile = (ROOT / "operator" / "runtime.Dockerfile").read_text()
    assert set(re.findall(r"operator/modelyard/api/(\w+)\.py", dockerfile)) == {"__init__", *SHARED}


@pytest.mark.parametrize("name", SHARED)
def test_shared_modules_need_only_the_standard_library(name: str):
    packages = {module.partition(".")[0] for module in imports(API / f"{name}.py")}
    assert packages - {"modelyard"} <= set(sys.stdlib_module_names)


def test_shared_modules_import_nothing_else_of_the_operator():
    code = (
        f"import {', '.join(f'modelyard.api.{name}' for name in SHARED)}, sys;"
        " print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "operator")},
        capture_output=True,
        text=True,
        check=True,
    )
    ours = {name for name in done.stdout.split() if name.startswith("modelyard")}
    assert ours == {"modelyard", "modelyard.api", *(f"modelyard.api.{name}" for name in SHARED)}
    assert not {"pydantic", "asyncio"} & set(done.stdout.split())
