"""An API server with the chart, its tenant `risk` and people who have roles there; and what a
sync leaves on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chart.api import Api
from tests.chart.conftest import installed
from tests.cluster.apiserver import ApiServer
from tests.gitops.synced import Synced

__all__ = ["installed"]


@pytest.fixture(scope="package")
def schema(installed: ApiServer) -> dict[str, Any]:
    """What the API server says of its types, as Argo CD reads it."""
    return Api(installed).get("/openapi/v2").body


@pytest.fixture
def synced(installed: ApiServer) -> Iterator[Synced]:
    """Applies objects, and takes them away in the end."""
    there = Synced(installed)
    yield there
    there.gone()
