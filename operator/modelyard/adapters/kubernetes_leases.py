"""The Lease of the leader election."""

import json

from modelyard.adapters.instrument import Missing
from modelyard.adapters.kubernetes_api import KINDS, Api
from modelyard.plan import Manifest

__all__ = ["Leases"]


class Leases:
    """Reads and writes one Lease, for the leader election."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        """Name the Lease; nothing is read yet."""
        self._api = api
        self._namespace = namespace
        self._name = name
        self._kind = KINDS["coordination.k8s.io/v1", "Lease"]

    async def read(self) -> Manifest | None:
        """Return the Lease; None if there is none."""
        try:
            return await self._api.read(
                self._kind.path(self._namespace, self._name),
                "read Lease",
                f"{self._namespace}/{self._name}",
            )
        except Missing:
            return None

    async def write(self, old: Manifest | None, spec: Manifest) -> Manifest:
        """Create the Lease, or replace the spec of the one that was read.

        Raises:
            Conflict: Another client wrote it meanwhile.

        """
        meta = {"name": self._name, "namespace": self._namespace}
        body = {
            "apiVersion": self._kind.api_version,
            "kind": self._kind.kind,
            "metadata": meta,
            "spec": spec,
        }
        subject = f"{self._namespace}/{self._name}"
        if old is None:
            return await self._api.write(
                "POST",
                self._kind.path(self._namespace),
                "create Lease",
                subject,
                body,
                fenced=False,
            )
        body = json.loads(json.dumps(old)) | {"spec": spec}
        return await self._api.write(
            "PUT",
            self._kind.path(self._namespace, self._name),
            "renew Lease",
            subject,
            body,
            fenced=False,
        )
