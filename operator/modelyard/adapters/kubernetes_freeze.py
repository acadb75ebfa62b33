"""The cluster's calendar of freezes, from a watched ConfigMap."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from modelyard.adapters.kubernetes_api import KINDS, Api
from modelyard.adapters.kubernetes_watch import Watch
from modelyard.api.freeze import Calendar, parse_calendar
from modelyard.kube.names import FREEZE_CONFIG_MAP
from modelyard.plan import Manifest

__all__ = ["Freezes", "watch"]

logger = logging.getLogger("modelyard.freeze")

_KIND = replace(KINDS["v1", "ConfigMap"], metadata_only=False)


class Freezes:
    """The current calendar, maintained by a watch.

    Attributes:
        current: The calendar, or why it cannot be read.
        changed: Called when `current` changes.

    """

    def __init__(self) -> None:
        """Create a calendar without freezes."""
        self.current: Calendar | str = Calendar()
        self.changed: Callable[[], None] = lambda: None
        self._place: dict[str, tuple[str, str]] = {}

    def uids(self, _scope: str, _namespace: str | None = None) -> Mapping[str, tuple[str, str]]:
        """Return namespace and name of the ConfigMap by uid."""
        return dict(self._place)

    def remove_missing(
        self,
        scope: str,
        before: Mapping[str, tuple[str, str]],
        listed: Iterable[str],
        _version: int = 0,
    ) -> int:
        """Remove the ConfigMap if it is not in a list."""
        gone = set(before) - set(listed)
        return sum(self.remove(scope, *before[uid], uid) for uid in gone)

    def put(self, _scope: str, body: Manifest) -> bool:
        """Read the ConfigMap."""
        meta = body["metadata"]
        self._place = {meta["uid"]: (meta["namespace"], meta["name"])}
        try:
            found: Calendar | str = parse_calendar(body.get("data") or {})
        except ValueError as error:
            found = f"{meta['namespace']}/{meta['name']}: {error}"
        return self._take(found)

    def remove(self, _scope: str, _namespace: str, _name: str, uid: str, _version: int = 0) -> bool:
        """Remove the ConfigMap; without it there are no freezes."""
        if uid not in self._place:
            return False
        self._place = {}
        return self._take(Calendar())

    def _take(self, found: Calendar | str) -> bool:
        if found == self.current:
            return False
        self.current = found
        if isinstance(found, str):
            logger.error("The cluster's freezes cannot be read, so no stage switches: %s", found)
        else:
            stop = ""
            if found.stop:
                stop = f"; all changes are stopped until {found.stop.until}: {found.stop.reason}"
            logger.info("The cluster has %d freezes%s", len(found.windows), stop)
        self.changed()
        return True


def watch(
    api: Api,
    freezes: Freezes,
    namespace: str,
    restarted: Callable[[str, str], None],
    silence: float,
) -> Watch:
    """Return the watch of the ConfigMap in the operator's namespace."""
    only = {"fieldSelector": f"metadata.name={FREEZE_CONFIG_MAP}"}
    return Watch(
        api, freezes, _KIND, namespace, selector=only, restarted=restarted, silence=silence
    )
