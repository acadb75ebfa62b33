"""Golden files: built objects are compared with a committed file, byte by byte.

pytest tests/golden --update-golden     writes them again; review the diff before you commit it
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import goldens

FILES = Path(__file__).parent / "files"

Golden = Callable[[str, list[dict[str, Any]]], None]


class Plain(yaml.SafeDumper):
    """YAML without anchors, lists indented below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files again")


def dumped(manifests: list[dict[str, Any]]) -> str:
    return yaml.dump_all(manifests, Dumper=Plain, sort_keys=False, width=140, explicit_start=True)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare objects with the file of that name, or write it."""

    def compare(name: str, manifests: list[dict[str, Any]]) -> None:
        anew = bool(request.config.getoption("--update-golden", default=False))
        goldens.compare(
            FILES / f"{name}.yaml",
            dumped(manifests),
            "pytest tests/golden --update-golden",
            anew=anew,
        )

    return compare
