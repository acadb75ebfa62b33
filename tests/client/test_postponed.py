"""Lazy imports with real modules, each test in a separate process.

A process cannot unload a module.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

IMPORTER = (
    "import jsonpath\n"
    "from cryptography import x509\n"
    "\n"
    "def found():\n"
    "    return jsonpath.findall('$.a', {'a': 1})\n"
)


def python(code: str, *path: Path) -> str:
    """Return what the code prints in a process that can import the client and the modules on the
    path.
    """
    before = (
        f"import sys; sys.path[:0] = {[str(ROOT / 'operator'), *map(str, path)]!r}\n"
        "from modelyard.client.kube.postponed import postponed\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", before + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def importer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library that imports two others and uses one of them."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "importer.py").write_text(IMPORTER)
    return folder


def test_a_module_is_loaded_on_first_attribute_access(importer: Path):
    told = python(
        """
        with postponed("jsonpath", "cryptography.x509"):
            import importer
        print("jsonpath.path" in sys.modules, importer.found(), "jsonpath.path" in sys.modules)
        base = "cryptography.x509.base"
        print(base in sys.modules, importer.x509.Certificate.__name__, base in sys.modules)
        """,
        importer,
    )
    assert told == "False [1] True\nFalse Certificate True\n"


def test_other_imports_are_not_affected(importer: Path):
    told = python(
        """
        with postponed("jsonpath"):
            import importer
        from jsonpath import findall
        import jsonpath
        same = jsonpath is importer.jsonpath
        print(same, type(jsonpath).__name__, findall is importer.jsonpath.findall)
        """,
        importer,
    )
    assert told == "False module True\n"


def test_a_name_that_is_imported_from_it_loads_it(importer: Path):
    told = python(
        """
        with postponed("jsonpath"):
            from jsonpath import findall
            import jsonpath.pointer
        pointer = jsonpath.pointer.JSONPointer.__name__
        print(findall("$.a", {"a": 1}), pointer, type(sys.modules["jsonpath"]).__name__)
        """,
        importer,
    )
    assert told == "[1] JSONPointer module\n"


def test_a_loaded_module_is_not_affected(importer: Path):
    told = python(
        """
        import jsonpath
        with postponed("jsonpath"):
            import importer
        print(importer.jsonpath is jsonpath is sys.modules["jsonpath"])
        """,
        importer,
    )
    assert told == "True\n"


def test_a_missing_module_raises_on_first_use():
    told = python(
        """
        with postponed("no_such_module"):
            import no_such_module
        try:
            no_such_module.anything
        except ModuleNotFoundError as error:
            print(error)
        print("no_such_module" in sys.modules)
        """
    )
    assert told == "No module named 'no_such_module'\nFalse\n"


def test_an_error_in_the_block_restores_normal_imports():
    told = python(
        """
        try:
            with postponed("jsonpath"):
                raise ValueError("in between")
        except ValueError as error:
            print(error, "jsonpath" in sys.modules)
        """
    )
    assert told == "in between False\n"
