"""What runs side by side with what, where pytest has workers (`make test` gives it two).

A folder's tests stay together and in their order, for they share servers; all that uses the one kind cluster is one group.
"""

from pathlib import Path

import pytest

ON_KIND = {"cluster", "demo", "e2e"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(here).parts[0]
        on_kind = folder in ON_KIND or item.get_closest_marker("e2e") is not None
        item.add_marker(pytest.mark.xdist_group("kind" if on_kind else folder))
