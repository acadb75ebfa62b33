"""Golden files: what is built is compared with a committed file, word for word.

pytest tests/golden --update-golden     writes them anew; read the difference before it is committed
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

FILES = Path(__file__).parent / "files"

Golden = Callable[[str, list[dict[str, Any]]], None]


class Plain(yaml.SafeDumper):
    """YAML without anchors, lists indented below their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


def dumped(manifests: list[dict[str, Any]]) -> str:
    return yaml.dump_all(manifests, Dumper=Plain, sort_keys=False, width=140, explicit_start=True)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare objects with the file of that name, or write it."""

    def compare(name: str, manifests: list[dict[str, Any]]) -> None:
        path, text = FILES / f"{name}.yaml", dumped(manifests)
        if request.config.getoption("--update-golden", default=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.is_file(), "write it: pytest tests/golden --update-golden"
        assert text == path.read_text(), "if that is meant: pytest tests/golden --update-golden"

    return compare
