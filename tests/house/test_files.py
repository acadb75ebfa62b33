"""Rules for every file: a limited size, a docstring, `__all__`, and tests that neither sleep nor
patch.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = {"operator": 400, "tests": 500}
"""The greatest size of a file, by top-level folder."""

PURE = {"api", "kube"}
READS = {"observe", "sources", "evidence"}
"""The modules of a kind that do I/O; all others are pure (.importlinter)."""


def sources(*folders: str) -> list[Path]:
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "node_modules" not in path.parts
    )


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


CODE = sources("operator")
ALL = sources("operator", "tests")


@pytest.mark.parametrize("path", ALL, ids=name)
def test_a_file_is_not_too_long(path: Path):
    lines = path.read_text().count("\n")
    most = LINES[path.relative_to(ROOT).parts[0]]
    assert lines <= most, "split it: a module has one subject"


@pytest.mark.parametrize("path", [path for path in CODE if path.read_text().strip()], ids=name)
def test_a_module_has_a_docstring(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text())), "write what it is for"


def public(tree: ast.Module) -> set[str]:
    """Return the public names that a module defines."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return {each for each in found if not each.startswith("_")}


def exported(tree: ast.Module) -> list[str] | None:
    """Return the names in `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return None


@pytest.mark.parametrize("path", [path for path in CODE if path.stem != "__main__"], ids=name)
def test_a_public_module_has_dunder_all(path: Path):
    tree = ast.parse(path.read_text())
    names = exported(tree)
    if not public(tree):
        return
    assert names is not None, "has no __all__"
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert set(names) <= public(tree) | imported | {"__version__"}, (
        "names something that does not exist"
    )


def calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Return the dotted names of all calls, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def naps(node: ast.AST, *, polling: bool = False) -> Iterator[int]:
    """Return the lines of sleeps that are neither in a loop on a condition nor of length zero."""
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(child, ast.Call)
            and ast.unparse(child.func).split(".")[-1] == "sleep"
            and not polling
            and ast.unparse(child.args[0]) != "0"
        ):
            yield child.lineno
        yield from naps(child, polling=polling or isinstance(child, ast.While))


EXCUSE = "# not for a condition: "


@pytest.mark.parametrize("path", sources("tests"), ids=name)
def test_no_test_sleeps_instead_of_waiting_for_something(path: Path):
    text = path.read_text()
    lines = text.splitlines()
    found = [
        f"{line}: {lines[line - 1].strip()}"
        for line in naps(ast.parse(text))
        if EXCUSE not in lines[line - 1]
    ]
    assert found == [], (
        "wait for the condition, in a loop (tests.harness.until); or say what lasts so long, by"
        f" {EXCUSE!r}"
    )


def test_a_sleep_is_distinguished_from_waiting():
    assert list(naps(ast.parse("time.sleep(1)\nawait asyncio.sleep(0.1)"))) == [1, 2]
    assert list(naps(ast.parse("while not done():\n    sleep(0.05)\nawait asyncio.sleep(0)"))) == []


@pytest.mark.parametrize("path", sources("tests"), ids=name)
def test_no_test_patches_functions(path: Path):
    tree = ast.parse(path.read_text())
    imported = {
        module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for module in (alias.name for alias in node.names)
    }
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {
        module
        for module in imported
        if module.split(".")[:2] in (["unittest", "mock"], ["mock"], ["pytest_mock"])
    }
    arguments = {
        argument.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arguments)
        for argument in node.args + node.kwonlyargs
    }
    assert not arguments & {"monkeypatch", "mocker"}, (
        "use a fake that keeps the contract (tests/fakes)"
    )


def pure(path: Path) -> bool:
    """Return whether a module must be pure: plans, the API, names, and the modules of a kind
    without I/O.
    """
    folder = path.parent
    if folder == ROOT / "operator" / "modelyard":
        return path.stem == "plan"
    kind = (folder / "observe.py").exists()
    return (folder.parent == ROOT / "operator" / "modelyard" and folder.name in PURE) or (
        kind and path.stem not in READS
    )


@pytest.mark.parametrize("path", [path for path in CODE if pure(path)], ids=name)
def test_pure_code_gets_the_clock_as_an_argument_and_waits_for_nothing(path: Path):
    tree = ast.parse(path.read_text())
    asked = {call.split(".")[-1] for call, _ in calls(tree)}
    assert not asked & {"now", "utcnow", "today", "open", "print", "input"}
    assert [
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    ] == []


def test_purity_is_by_exclusion():
    modelyard = ROOT / "operator" / "modelyard"
    assert pure(modelyard / "experiment" / "anything_new.py")
    assert not pure(modelyard / "experiment" / "observe.py")
    assert not pure(modelyard / "engine" / "reconcile.py")
    assert sum(pure(path) for path in CODE) > 40


def test_the_source_root_is_not_a_package():
    """Decision 0001: as a package it would hide the standard library's `operator`."""
    assert [
        path.name
        for path in (ROOT / "operator").iterdir()
        if path.is_file() and path.suffix == ".py"
    ] == []
    found = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not found.stdout.startswith(str(ROOT / "operator"))


MACHINE = re.compile(r"(?<![\w.])/(work/(main|shared)|root/|home/\w+/)")


def test_no_file_names_a_path_of_a_developers_machine():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    found = []
    for each in listed:
        path = ROOT / each
        if (
            path == Path(__file__)
            or not path.is_file()
            or path.suffix in (".parquet", ".ubj", ".lock")
        ):
            continue
        found += [
            f"{each}: {line.strip()}"
            for line in path.read_text(errors="replace").splitlines()
            if MACHINE.search(line)
        ]
    assert found == []
