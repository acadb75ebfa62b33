"""Metrics of promotions, computed from the statuses of RegisteredModels at each scrape.

Finished changes are counted when the status is written (`Metrics.finished`).
"""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from modelyard.api.gates import Verdict
from modelyard.api.registered_model import ModelReason, RegisteredModel
from modelyard.plan import Manifest

__all__ = ["OTHER", "PLURAL", "SERIES", "promotions", "seconds"]

PLURAL = RegisteredModel.PLURAL
"""The kind that `promotions` reads."""

SERIES = 500
"""Maximum series of one metric; the rest is one series, with `OTHER` for each label."""
OTHER = "_other"
_VERDICTS = frozenset(Verdict)
_ROLLED_BACK = frozenset({ModelReason.ROLLED_BACK, ModelReason.WATCH_FAILED})
_FROZEN = frozenset({ModelReason.FROZEN, ModelReason.FREEZE_INVALID})
_FINAL = frozenset({Verdict.PASS, Verdict.FAIL})


@dataclass
class _Counts:
    """What is counted over all models, by the labels of each metric."""

    gates: Tally[tuple[str, ...]] = field(default_factory=Tally)
    rejected: Tally[tuple[str, ...]] = field(default_factory=Tally)
    frozen: Tally[tuple[str, ...]] = field(default_factory=Tally)
    rolled_back: Tally[tuple[str, ...]] = field(default_factory=Tally)
    planned: Tally[tuple[str, ...]] = field(default_factory=Tally)
    pending: Tally[tuple[str, ...]] = field(default_factory=Tally)
    awaited: dict[tuple[str, ...], float] = field(default_factory=dict)
    verified: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add_model(self, body: Manifest) -> None:
        """Count one RegisteredModel."""
        namespace, model = str(body["metadata"]["namespace"]), str(body["metadata"]["name"])
        status = body.get("status") or {}
        self.pending[namespace, model] += _pending(status.get("record") or {})
        asked: Mapping[str, Manifest] = (body.get("spec") or {}).get("stages") or {}
        known: Mapping[str, Manifest] = status.get("stages") or {}
        # The status is checked, because other clients may write it; the API server checks the spec.
        for stage in asked.keys() & known.keys():
            self._add_stage(namespace, model, stage, asked[stage], known[stage])

    def _add_stage(
        self, namespace: str, model: str, stage: str, asked: Manifest, known: Manifest
    ) -> None:
        for gate in known.get("gates") or ():
            if gate.get("verdict") in _VERDICTS:
                self.gates[namespace, stage, gate["verdict"]] += 1
        self.rejected[namespace, stage] += _is_rejected(known)
        reason = (known.get("blocked") or {}).get("reason")
        self.frozen[namespace, stage] += reason in _FROZEN
        self.rolled_back[namespace, stage] += reason in _ROLLED_BACK
        self.planned[namespace, stage] += reason == ModelReason.PLANNED
        if (since := _awaited_since(known)) is not None:
            self.awaited[namespace, model, stage] = since
        verification = known.get("verification") or {}
        verdict = verification.get("verdict") if asked.get("reverify") else None
        if verdict in _FINAL:
            self.verified[namespace, model, stage] = int(verdict == Verdict.PASS)


def promotions(models: Iterable[Manifest]) -> Iterator[Metric]:
    """Return the metrics of gates, of rejected and waiting stages, of verifications, and of history
    entries that S3 does not have yet.

    Args:
        models: RegisteredModels as the API server has them.

    """
    counts = _Counts()
    for body in models:
        counts.add_model(body)
    stage, model = ("namespace", "stage"), ("namespace", "model")
    yield _family("modelyard_gates", "Gates by current verdict.", (*stage, "verdict"), counts.gates)
    help_ = "Models whose stage has rejected its desired version."
    yield _family("modelyard_stages_rejected", help_, stage, +counts.rejected)
    help_ = (
        "Models whose stage was rolled back automatically from its desired version, or was to be."
    )
    yield _family("modelyard_stages_rolled_back", help_, stage, +counts.rolled_back)
    help_ = "Models whose stage waits for the end of a freeze."
    yield _family("modelyard_stages_frozen", help_, stage, +counts.frozen)
    help_ = "Models whose stage has a change that spec.dryRun prevents."
    yield _family("modelyard_stages_planned", help_, stage, +counts.planned)
    help_ = "Entries of a model's history that S3 does not have yet."
    yield _family("modelyard_history_pending", help_, model, +counts.pending)
    yield _awaited(counts.awaited)
    yield _verified(counts.verified)


def _pending(record: Manifest) -> int:
    """Return the number of history entries that are not stored yet."""
    number, stored = record.get("number"), (record.get("stored") or {}).get("number") or 0
    return max(0, number - stored) if isinstance(number, int) and isinstance(stored, int) else 0


def _is_rejected(stage: Manifest) -> bool:
    blocker = stage.get("blocked") or {}
    found = ((each.get("version"), each.get("reason")) for each in stage.get("rejected") or ())
    return (
        bool(blocker.get("needsAction")) and (stage.get("desired"), blocker.get("reason")) in found
    )


def _awaited_since(stage: Manifest) -> float | None:
    """Return the Unix time since when a stage waits for an approval; None if it does not wait."""
    if (stage.get("blocked") or {}).get("reason") != ModelReason.APPROVAL_WANTED:
        return None
    step = next((each for each in stage.get("steps") or () if each.get("name") == "approval"), None)
    return (seconds(step.get("sinceTime")) or None) if step is not None else None


def _awaited(since: Mapping[tuple[str, ...], float]) -> Metric:
    """Return a gauge with a series for each of the longest waits, and one for the rest."""
    labels = ("namespace", "model", "stage")
    family = GaugeMetricFamily(
        "modelyard_approval_wanted_timestamp_seconds",
        "Since when a stage waits for an approval, in seconds since 1970.",
        labels=labels,
    )
    oldest = sorted(since.items(), key=lambda each: (each[1], each[0]))
    for place, value in oldest[:SERIES]:
        family.add_metric(place, value)
    if rest := oldest[SERIES:]:
        family.add_metric((OTHER,) * len(labels), rest[0][1])
    return family


def seconds(time: Any) -> float:
    """Return a time of a status as seconds since 1970; 0 if it is not a time."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _verified(values: Mapping[tuple[str, ...], int]) -> Metric:
    """Return the last verdicts of verifications, failed ones first.

    Those beyond `SERIES` are one series, which is 0 if any of them failed.
    """
    help_ = "Whether the effective version of a stage passed its gates when it was last verified."
    family = GaugeMetricFamily(
        "modelyard_stage_verified", help_, labels=("namespace", "model", "stage")
    )
    ordered = sorted(values.items(), key=lambda each: (each[1], each[0]))
    for place, value in ordered[:SERIES]:
        family.add_metric(place, value)
    if rest := ordered[SERIES:]:
        family.add_metric((OTHER,) * 3, min(value for _, value in rest))
    return family


def _family(
    name: str, help_: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], int]
) -> Metric:
    family = GaugeMetricFamily(name, help_, labels=labels)
    largest = sorted(values.items(), key=lambda each: (-each[1], each[0]))
    for place, value in largest[:SERIES]:
        family.add_metric(place, value)
    if rest := sum(value for _, value in largest[SERIES:]):
        family.add_metric((OTHER,) * len(labels), rest)
    return family
