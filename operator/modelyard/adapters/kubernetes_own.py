"""Our own objects in Kubernetes: list pages, write statuses and finalizers by JSON patch."""

import logging
from collections.abc import Collection, Mapping

from modelyard.adapters.instrument import Missing
from modelyard.adapters.kubernetes_api import JSON_PATCH, KINDS, Api, Gone, Kind, kind_of
from modelyard.api.base import GROUP, VERSION
from modelyard.cache import Cache
from modelyard.errors import Conflict, Invalid, ModelyardError, Unavailable
from modelyard.plan import Manifest

__all__ = ["OWN", "REPLACED", "TEST_FAILED", "OwnObjects"]

logger = logging.getLogger("modelyard.kubernetes")

OWN: Mapping[str, Kind] = {
    kind.plural: kind for kind in KINDS.values() if kind.api_version == f"{GROUP}/{VERSION}"
}
"""Our own kinds by plural."""
TEST_FAILED = "the server rejected our request due to an error in our request"
"""The API server's whole message about a JSON patch whose `test` failed."""
REPLACED = "another object has its name now"
"""The detail of a `Conflict` over an object that was deleted and created again."""


class OwnObjects:
    """The port `Objects` without events: pages, statuses and finalizers."""

    def __init__(
        self, api: Api, cache: Cache, *, namespaces: tuple[str, ...], page_size: int
    ) -> None:
        """Create the port.

        Args:
            api: The session.
            cache: The objects that the watches maintain.
            namespaces: The namespaces that are served; empty for all.
            page_size: Objects in one page of a list.

        """
        self._api = api
        self._cache = cache
        self._namespaces = namespaces
        self._page_size = page_size

    async def page(self, plural: str, token: str) -> tuple[list[Manifest], str]:
        """List one page. The token is `<index of the namespace>:<the API server's token>`."""
        number, _, follow = token.partition(":")
        index = int(number or 0)
        namespace = self._namespaces[index] if self._namespaces else None
        params = {"limit": str(self._page_size)} | ({"continue": follow} if follow else {})
        operation, subject = f"list {plural}", namespace or "all namespaces"
        try:
            answer = await self._api.read(OWN[plural].path(namespace), operation, subject, params)
        except Gone:
            raise Unavailable("Kubernetes", operation, subject, "the list took too long") from None
        follow = answer["metadata"].get("continue", "")
        if follow:
            return answer["items"], f"{index}:{follow}"
        return answer["items"], f"{index + 1}:" if index + 1 < len(self._namespaces) else ""

    async def write_status(self, body: Manifest, status: Manifest) -> Manifest:
        """Replace an object's status in one write, if the object has not changed since `body`."""
        meta = body["metadata"]
        # A `test` of the uid, unlike below: the status subresource ignores a patched uid.
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
            {"op": "add", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "add", "path": "/status", "value": status},
        ]
        return await self._patch(body, "status", "write status of", patch)

    async def set_finalizers(self, body: Manifest, finalizers: tuple[str, ...]) -> Manifest:
        """Replace an object's finalizers."""
        meta = body["metadata"]
        patch = [
            {"op": "add", "path": "/metadata/uid", "value": meta["uid"]},
            {"op": "add", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
            {"op": "add", "path": "/metadata/finalizers", "value": list(finalizers)},
        ]
        return await self._patch(body, "", "set finalizers of", patch)

    async def _patch(
        self, body: Manifest, subresource: str, operation: str, patch: list[Manifest]
    ) -> Manifest:
        kind, meta = kind_of(body), body["metadata"]
        subject = f"{meta['namespace']}/{meta['name']}"
        path = kind.path(meta["namespace"], meta["name"], subresource)
        what = f"{operation} {kind.kind}"
        try:
            return await self._api.write(
                "PATCH", path, what, subject, patch, content_type=JSON_PATCH
            )
        except Missing:
            self._cache.remove(kind.plural, meta["namespace"], meta["name"], meta["uid"])
            raise Conflict("Kubernetes", operation, subject, "it is gone") from None
        except Conflict:
            await self._refresh(kind, body)
            raise
        except Invalid as error:
            if TEST_FAILED in error.detail:
                raise Conflict("Kubernetes", operation, subject, REPLACED) from None
            raise

    async def _refresh(self, kind: Kind, body: Manifest) -> None:
        """Read a changed object again, for the next decision: its watch may be late or broken."""
        meta = body["metadata"]
        subject = f"{meta['namespace']}/{meta['name']}"
        path = kind.path(meta["namespace"], meta["name"])
        try:
            self._cache.put(kind.plural, await self._api.read(path, f"read {kind.kind}", subject))
        except Missing:
            self._cache.remove(kind.plural, meta["namespace"], meta["name"], meta["uid"])
        except ModelyardError as error:
            logger.info("The changed object could not be read: %s", error)

    async def unserved(self, plurals: Collection[str]) -> tuple[str, ...]:
        """Return which of our kinds the API server does not serve."""
        try:
            answer = await self._api.read(
                f"/apis/{GROUP}/{VERSION}", "discover", f"{GROUP}/{VERSION}"
            )
        except Missing:
            return tuple(plurals)
        served = {resource["name"] for resource in answer["resources"]}
        return tuple(plural for plural in plurals if plural not in served)
