"""CloudEvents about new entries of a model's history. Pure; `engine.sink` sends them.

CloudEvents 1.0, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md: `source` and
`id` together identify an event, however often it is sent.
"""

from collections.abc import Iterator
from typing import Any

from modelyard.api.registered_model import RegisteredModel
from modelyard.plan import Manifest
from modelyard.registered_model import record
from modelyard.registered_model.history import gained

__all__ = ["cloud_events"]

_TYPE = "io.modelyard.promotion."


def cloud_events(body: Manifest, before: Manifest, after: Manifest) -> Iterator[Manifest]:
    """Return a CloudEvent, in its JSON format, for each new entry of the history.

    Args:
        body: The RegisteredModel.
        before: Its status before, as JSON.
        after: Its status that was written.

    """
    meta = body["metadata"]
    namespace = f"/apis/{body['apiVersion']}/namespaces/{meta['namespace']}"
    source = f"{namespace}/{RegisteredModel.PLURAL}/{meta['name']}"
    digests = _digests(body, before, after)
    for entry in gained(before, after):
        number = entry.get("record")
        recorded = (
            {"record": {"number": number, "digest": digests[number]}} if number in digests else {}
        )
        yield {
            "specversion": "1.0",
            "type": _TYPE + str(entry["outcome"]).lower(),
            "source": source,
            "id": f"{meta['uid']}/{_number(entry)}",
            "subject": entry["stage"],
            "time": entry["time"],
            "datacontenttype": "application/json",
            "data": dict(entry) | recorded,
        }


def _digests(body: Manifest, before: Manifest, after: Manifest) -> dict[int, str]:
    """Return the digest of each new entry's object in S3, by the entry's number.

    A receiver that keeps the digests can detect that the record was rewritten.
    """
    if not any(gained(before, after)):
        return {}
    earlier = RegisteredModel.parse(dict(body) | {"status": before}).status
    return {
        link.number: link.digest
        for link in record.new(earlier, RegisteredModel.parse(dict(body) | {"status": after}))
    }


def _number(entry: Manifest) -> Any:
    """Return an id of the entry, unique in its model: its number, else stage, time and outcome."""
    return (
        entry.get("record") or f"{entry['stage']}/{entry['time']}/{str(entry['outcome']).lower()}"
    )
