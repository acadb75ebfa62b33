"""An API server with the chart, its tenant `risk` and users with roles there; and the objects of a
sync.
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
    """The API server's schema, as Argo CD reads it."""
    return Api(installed).get("/openapi/v2").body


@pytest.fixture
def synced(installed: ApiServer) -> Iterator[Synced]:
    """Applies objects, and deletes them at the end."""
    there = Synced(installed)
    yield there
    there.gone()
