"""One API server for all of this folder."""

import pytest

from tests.harness import cluster

__all__ = ["cluster"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/api/" in item.path.as_posix():
            item.add_marker(pytest.mark.api)
