"""Read the admission policies in the cluster by name, for `kube.policies`."""

from collections.abc import Mapping

from modelyard.adapters.instrument import Missing
from modelyard.adapters.kubernetes_api import Api
from modelyard.kube.policies import BINDINGS, GROUP, POLICIES, problem
from modelyard.plan import Manifest

__all__ = ["Policies"]


class Policies:
    """The policies that the release installed."""

    def __init__(self, api: Api, expected: Mapping[str, tuple[str, str]]) -> None:
        """Name the policies, with the hashes of their specs."""
        self._api = api
        self._expected = expected

    async def problems(self) -> dict[str, str | None]:
        """Return, by name, why a policy is not in force; None for one that is.

        Raises:
            ModelyardError: The API server does not answer, or refuses the read.

        """
        return {
            name: problem(
                await self._read(POLICIES, name), await self._read(BINDINGS, name), hashes
            )
            for name, hashes in self._expected.items()
        }

    async def _read(self, plural: str, name: str) -> Manifest | None:
        try:
            return await self._api.read(f"/apis/{GROUP}/v1/{plural}/{name}", f"read {plural}", name)
        except Missing:
            return None
