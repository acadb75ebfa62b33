"""Kubernetes events: post the operator's own, and read why a Job could not create its pod."""

import uuid
from datetime import UTC, datetime

from modelyard.adapters.kubernetes_api import KINDS, Api
from modelyard.api.base import GROUP
from modelyard.plan import Manifest

__all__ = ["creation_error", "post"]

_KIND = KINDS["events.k8s.io/v1", "Event"]
_NOTE_LIMIT = 1000
_EVENTS = 20
"""Events that are read: Kubernetes joins those of one cause, and Jobs retry once a minute."""


async def post(
    api: Api, reporter: str, body: Manifest, reason: str, message: str, *, warning: bool
) -> None:
    """Post an event about an object.

    Raises:
        ModelyardError: Kubernetes did not accept it.

    """
    meta = body["metadata"]
    event = {
        "apiVersion": _KIND.api_version,
        "kind": _KIND.kind,
        "metadata": {
            "name": f"{meta['name'][:200]}.{uuid.uuid4().hex[:16]}",
            "namespace": meta["namespace"],
        },
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": f"{GROUP}/operator",
        "reportingInstance": reporter[:128],
        "action": "Reconcile",
        "reason": reason,
        "note": message[:_NOTE_LIMIT],
        "type": "Warning" if warning else "Normal",
        "regarding": {
            "apiVersion": body["apiVersion"],
            "kind": body["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
        },
    }
    path, subject = _KIND.path(meta["namespace"]), f"{meta['namespace']}/{meta['name']}"
    await api.write("POST", path, "record Event", subject, event)


async def creation_error(api: Api, namespace: str, uid: str) -> str | None:
    """Return the note of the newest `FailedCreate` event of a Job."""
    selector = f"regarding.uid={uid},reason=FailedCreate"
    params = {"fieldSelector": selector, "limit": str(_EVENTS)}
    answer = await api.read(_KIND.path(namespace), "list Event", f"{namespace}/{uid}", params)
    newest = max(answer.get("items") or (), key=_last_observed, default=None)
    return None if newest is None else str(newest.get("note") or "")[:_NOTE_LIMIT] or None


def _last_observed(event: Manifest) -> str:
    """Return the time of an event's last occurrence; events of core/v1 use other fields for it."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("deprecatedLastTimestamp")
        or event.get("eventTime")
        or ""
    )
