"""The CloudEvents about the entries that a model's history has gained. Pure. Sending them does not
belong here (`engine.sink`).

CloudEvents 1.0, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md: `source` and
`id` together name an event, however often it is sent.
"""

from collections.abc import Iterator
from typing import Any

from modelyard.api.registered_model import RegisteredModel
from modelyard.plan import Manifest
from modelyard.registered_model import record
from modelyard.registered_model.history import gained

__all__ = ["announced"]

_TYPE = "io.modelyard.promotion."


def announced(body: Manifest, before: Manifest, after: Manifest) -> Iterator[Manifest]:
    """Return a CloudEvent, in its JSON format, for each entry that the history has gained.

    Args:
        body: The RegisteredModel.
        before: Its status before, as JSON.
        after: Its status that was written.

    """
    meta = body["metadata"]
    where = f"/apis/{body['apiVersion']}/namespaces/{meta['namespace']}/{RegisteredModel.PLURAL}/{meta['name']}"
    digests = _digests(body, before, after)
    for entry in gained(before, after):
        number = entry.get("record")
        recorded = (
            {"record": {"number": number, "digest": digests[number]}} if number in digests else {}
        )
        yield {
            "specversion": "1.0",
            "type": _TYPE + str(entry["outcome"]).lower(),
            "source": where,
            "id": f"{meta['uid']}/{_number(entry)}",
            "subject": entry["stage"],
            "time": entry["time"],
            "datacontenttype": "application/json",
            "data": dict(entry) | recorded,
        }


def _digests(body: Manifest, before: Manifest, after: Manifest) -> dict[int, str]:
    """Return by its number the digest of each new entry's object in S3: kept elsewhere, it shows
    that the record was rewritten.
    """
    if not any(gained(before, after)):
        return {}
    earlier = RegisteredModel.parse(dict(body) | {"status": before}).status
    return {
        link.number: link.digest
        for link in record.new(earlier, RegisteredModel.parse(dict(body) | {"status": after}))
    }


def _number(entry: Manifest) -> Any:
    """Return what names an entry among those of its model: its number, or of one without, what
    there is once in a second.
    """
    return (
        entry.get("record") or f"{entry['stage']}/{entry['time']}/{str(entry['outcome']).lower()}"
    )
