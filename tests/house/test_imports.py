"""The import contracts are kept, and each of them finds violations."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.api.kinds import KINDS

ROOT = Path(__file__).parents[2]

# By contract: a module, and a forbidden import in it.
VIOLATIONS = {
    "Layers": [
        ("modelyard/errors.py", "import modelyard.api.base"),
        ("modelyard/api/rules.py", "import modelyard.kube.names"),
        ("modelyard/experiment/observe.py", "import modelyard.training_run.observe"),
        ("modelyard/controller.py", "import modelyard.engine.reconcile"),
        ("modelyard/experiment/observe.py", "import modelyard.adapters.s3"),
        ("modelyard/engine/reconcile.py", "import modelyard.adapters.s3"),
        ("modelyard/anything.py", ""),
    ],
    "Kopf is an engine part": [
        ("modelyard/engine/reconcile.py", "import kopf"),
        ("modelyard/controller.py", "import kopf"),
    ],
    "Only adapters know": [
        ("modelyard/engine/reconcile.py", "import kubernetes"),
        ("modelyard/experiment/observe.py", "import boto3"),
    ],
    "The operator loads no model": [
        ("modelyard/adapters/s3.py", "import mlflow"),
        ("modelyard/api/base.py", "import modelyard_runtime.s3"),
    ],
    "The API, names and plans are pure": [
        ("modelyard/api/base.py", "import os"),
        ("modelyard/kube/names.py", "import asyncio"),
        ("modelyard/plan.py", "import time"),
    ],
    "Kinds are pure": [
        ("modelyard/experiment/decide.py", "import time"),
        ("modelyard/experiment/retention.py", "import random"),
        ("modelyard/experiment/a_new_module.py", "import pathlib"),
        ("modelyard/training_run/jobs.py", "import asyncio"),
        ("modelyard/training_run/attempt.py", "import modelyard.training_run.observe"),
        ("modelyard/registered_model/promotion.py", "import uuid"),
        ("modelyard/registered_model/versions.py", "import modelyard.registered_model.sources"),
    ],
    "What runs in pods": [
        ("modelyard_runtime/s3.py", "import modelyard.kube.names"),
        ("modelyard_runtime/s3.py", "import modelyard.errors"),
    ],
    "The client's Kubernetes package": [
        ("modelyard/client/kube/reach.py", "import modelyard.client.runs")
    ],
    "One module knows kr8s": [("modelyard/client/kube/session.py", "import kr8s")],
}


def lint(root: Path) -> tuple[int, str]:
    program = Path(sys.executable).parent / "lint-imports"
    environment = os.environ | {"PYTHONPATH": str(root / "operator"), "COLUMNS": "200"}
    done = subprocess.run(
        [program, "--no-cache"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def copied(root: Path) -> Path:
    shutil.copytree(
        ROOT / "operator", root / "operator", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / ".importlinter", root / ".importlinter")
    return root


def test_the_contracts_are_kept():
    code, said = lint(ROOT)
    assert code == 0, said


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The linter's output for a copy that breaks every contract."""
    root = copied(tmp_path_factory.mktemp("broken"))
    for module, line in (
        violation for violations in VIOLATIONS.values() for violation in violations
    ):
        with (root / "operator" / module).open("a") as source:
            source.write(f"\n{line}\n")
    code, said = lint(root)
    assert code == 1, said
    return said


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_violation_of_each_contract_is_found(contract: str, broken: str):
    assert re.search(rf"^{re.escape(contract)}.*BROKEN", broken, re.MULTILINE), broken


@pytest.mark.parametrize(
    ("module", "line"), [pair for pairs in VIOLATIONS.values() for pair in pairs if pair[1]]
)
def test_each_violation_is_named(module: str, line: str, broken: str):
    importer, imported = module.removesuffix(".py").replace("/", "."), line.removeprefix("import ")
    package = imported.split(".")[0]
    target = imported if package.startswith("modelyard") else package
    assert re.search(rf"{re.escape(importer)} -> {re.escape(target)}\b", broken), broken


def test_io_modules_of_a_kind_may_do_io(tmp_path: Path):
    root = copied(tmp_path)
    for module in ("experiment/observe", "training_run/evidence", "registered_model/sources"):
        with (root / "operator" / "modelyard" / f"{module}.py").open("a") as source:
            source.write("\nimport asyncio\n")
    code, said = lint(root)
    assert code == 0, said


def test_the_contract_of_kinds_names_each_kind():
    text = (ROOT / ".importlinter").read_text()
    contract = text[text.index("importlinter:contract:kinds") :].split("forbidden_modules")[0]
    kinds = {path.parent.name for path in (ROOT / "operator" / "modelyard").glob("*/observe.py")}
    assert set(re.findall(r"modelyard\.(\w+)\.\*\*", contract)) == kinds
    assert len(kinds) == len(KINDS)


def test_a_module_without_a_layer_is_named(broken: str):
    assert "modelyard.anything" in broken


def test_the_contract_of_pods_names_every_part_of_the_operator():
    text = (ROOT / ".importlinter").read_text()
    forbidden = text[text.index("importlinter:contract:pods") :]
    parts = {
        path.stem
        for path in (ROOT / "operator" / "modelyard").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {
        part
        for part in parts - {"__init__", "__main__", "api"}
        if f"modelyard.{part}\n" not in forbidden
    } == set()
