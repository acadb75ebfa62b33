"""The operator's Prometheus metrics."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelyard.api.conditions import EngineReason
from modelyard.api.kinds import KINDS
from modelyard.api.registered_model import Outcome
from modelyard.cache import Cache
from modelyard.controller import Finished
from modelyard.engine.promotion_metrics import OTHER as _OTHER
from modelyard.engine.promotion_metrics import PLURAL as _MODELS
from modelyard.engine.promotion_metrics import SERIES as _SERIES
from modelyard.engine.promotion_metrics import promotions
from modelyard.engine.promotion_metrics import seconds as _seconds
from modelyard.engine.report import conditions_of
from modelyard.engine.rollout_metrics import rollouts

__all__ = ["Metrics"]

Queued = Callable[[], Mapping[str, tuple[int, float]]]
Parked = Callable[[], Mapping[tuple[str, str], int]]
Place = tuple[str, str, str]
"""Kind, namespace, reason."""

_REASONS = {kind.resource.KIND: {*kind.reasons, *EngineReason} for kind in KINDS}
"""The reasons that conditions may have, by kind. Other clients may write statuses: any other text
counts as `_other`.
"""

_CLOUD_EVENTS = ("delivered", "refused", "dropped")
_HOUR = 3600.0
_LONG = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, _HOUR, 4 * _HOUR, 24 * _HOUR, 7 * 24 * _HOUR)
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """All metrics of one process, in their own registry."""

    def __init__(self) -> None:
        """Create the metrics, all at zero."""
        self.registry = CollectorRegistry()
        self._reconciles = Counter(
            "modelyard_reconciles",
            "Reconciles of an object.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self._durations = Histogram(
            "modelyard_reconcile_duration_seconds",
            "How long a reconcile took.",
            ("kind",),
            buckets=_FAST,
            registry=self.registry,
        )
        self._calls = Counter(
            "modelyard_external_calls",
            "Calls to Kubernetes, MLflow, S3 and the CloudEvents sink.",
            ("dependency", "operation", "outcome"),
            registry=self.registry,
        )
        self._call_durations = Histogram(
            "modelyard_external_call_duration_seconds",
            "How long a call took.",
            ("dependency",),
            buckets=_FAST,
            registry=self.registry,
        )
        self._watches = Counter(
            "modelyard_watch_restarts",
            "Watch streams that were restarted.",
            ("resource", "reason"),
            registry=self.registry,
        )
        self._drift = Counter(
            "modelyard_watch_drift",
            "Changes that a watch missed and the paged list found.",
            ("kind",),
            registry=self.registry,
        )
        self._dropped = Gauge(
            "modelyard_events_dropped",
            "Kubernetes events that were dropped because too many waited.",
            registry=self.registry,
        )
        self._policies = Gauge(
            "modelyard_policy_in_force",
            "1 if the cluster has an admission policy as it was installed, 0 if not.",
            ("policy",),
            registry=self.registry,
        )
        self._calendar = Gauge(
            "modelyard_cluster_freezes_invalid",
            "1 while the cluster's freezes cannot be read: no stage switches.",
            registry=self.registry,
        )
        self._cloud_events = Counter(
            "modelyard_cloudevents",
            "CloudEvents that were delivered, refused or dropped.",
            ("outcome",),
            registry=self.registry,
        )
        self._cloud_events_waiting = Gauge(
            "modelyard_cloudevents_waiting",
            "CloudEvents that wait for the sink.",
            registry=self.registry,
        )
        for outcome in _CLOUD_EVENTS:
            self._cloud_events.labels(outcome)
        self._promotions = Counter(
            "modelyard_promotions",
            "Finished changes of stages.",
            ("outcome",),
            registry=self.registry,
        )
        self._promotion_durations = Histogram(
            "modelyard_promotion_duration_seconds",
            "From the change of the spec until the stage has switched or rejected the version.",
            ("outcome",),
            buckets=_LONG,
            registry=self.registry,
        )
        for outcome in Outcome:  # so that an alert on an increase sees the first one too
            self._promotions.labels(outcome)
        self.leader = Gauge(
            "modelyard_leader", "1 if this process holds the lease.", registry=self.registry
        )

    def reconciled(self, kind: str, outcome: str, seconds: float) -> None:
        """Count a reconcile."""
        self._reconciles.labels(kind, outcome).inc()
        if outcome != "skipped":
            self._durations.labels(kind).observe(seconds)

    def called(self, dependency: str, operation: str, outcome: str, seconds: float) -> None:
        """Count a call to a dependency; the adapters' `on_call`."""
        self._calls.labels(dependency, operation, outcome).inc()
        self._call_durations.labels(dependency).observe(seconds)

    def watch_restarted(self, resource: str, reason: str) -> None:
        """Count a watch stream that was restarted."""
        self._watches.labels(resource, reason).inc()

    def policies_checked(self, problems: Mapping[str, str | None]) -> None:
        """Record which policies are in force: those without a problem."""
        for name, problem in problems.items():
            self._policies.labels(name).set(problem is None)

    def calendar_read(self, invalid: bool) -> None:
        """Record whether the cluster's freezes cannot be read."""
        self._calendar.set(invalid)

    def announced(self, outcome: str) -> None:
        """Count the outcome of a CloudEvent: `delivered`, `refused` or `dropped`."""
        self._cloud_events.labels(outcome).inc()

    def announcing(self, waiting: Callable[[], int]) -> None:
        """Add the gauge of waiting CloudEvents.

        Args:
            waiting: Returns their number.

        """
        self._cloud_events_waiting.set_function(waiting)

    def finished(self, what: Finished) -> None:
        """Count a finished change of a stage."""
        self._promotions.labels(what.outcome).inc()
        if what.seconds is not None:
            self._promotion_durations.labels(what.outcome).observe(what.seconds)

    def drifted(self, kind: str, count: int) -> None:
        """Count changes that the watch had missed."""
        self._drift.labels(kind).inc(count)

    def watch_over(
        self,
        cache: Cache,
        kinds: Mapping[str, str],
        queue: Queued,
        parked: Parked,
        dropped: Callable[[], int],
    ) -> None:
        """Add the metrics that are computed at each scrape: objects by kind and readiness, the
        queue, and the objects that wait for a dependency.

        Args:
            cache: The objects.
            kinds: The kind of each plural.
            queue: Returns depth and oldest age, in seconds, by priority.
            parked: Returns the number of waiting objects by namespace and dependency.
            dropped: Returns how many events were dropped.

        """
        self._dropped.set_function(dropped)
        self.registry.register(_OnDemand(cache, kinds, queue, parked))


class _OnDemand(Collector):
    def __init__(
        self, cache: Cache, kinds: Mapping[str, str], queue: Queued, parked: Parked
    ) -> None:
        self._cache = cache
        self._kinds = kinds
        self._queue = queue
        self._parked = parked

    def collect(self) -> Iterator[Metric]:
        yield from self._objects()
        if _MODELS in self._kinds:
            yield from promotions(self._cache.every(_MODELS))
            yield from rollouts(self._cache.every(_MODELS))
        depth = GaugeMetricFamily(
            "modelyard_queue_depth",
            "Ready keys that wait for a worker.",
            labels=("priority",),
        )
        age = GaugeMetricFamily(
            "modelyard_queue_oldest_seconds",
            "How long the oldest ready key has waited.",
            labels=("priority",),
        )
        for priority, (count, seconds) in self._queue().items():
            depth.add_metric((priority,), count)
            age.add_metric((priority,), seconds)
        yield depth
        yield age
        waiting = GaugeMetricFamily(
            "modelyard_objects_waiting",
            "Objects that wait for a dependency that is down.",
            labels=("namespace", "dependency"),
        )
        for place, count in self._parked().items():
            waiting.add_metric(place, count)
        yield waiting

    def _objects(self) -> Iterator[Metric]:
        objects = GaugeMetricFamily(
            "modelyard_objects", "Objects by kind and readiness.", labels=("kind", "ready")
        )
        stalled: Tally[Place] = Tally()
        failed: dict[Place, float] = {}
        for plural, kind in self._kinds.items():
            counts = {"True": 0, "False": 0, "Unknown": 0}
            for body in self._cache.every(plural):
                status = body.get("status") or {}
                conditions = conditions_of(status)
                ready = conditions.get("Ready", {}).get("status")
                counts[ready if ready in counts else "Unknown"] += 1
                found = conditions.get("Stalled", {})
                if found.get("status") != "True":
                    continue
                namespace = str(body["metadata"]["namespace"])
                place = (kind, namespace, _reason(kind, found.get("reason")))
                if conditions.get("Succeeded", {}).get("status") == "False":  # final
                    completed = _seconds(status.get("completionTime"))
                    failed[place] = max(failed.get(place, 0.0), completed)
                else:
                    stalled[place] += 1
            for ready, count in counts.items():
                objects.add_metric((kind, ready), count)
        yield objects
        yield _family(
            "modelyard_objects_stalled",
            "Objects that need action: Stalled, and not finally failed.",
            stalled,
            sum,
        )
        help_ = (
            "When an object last failed finally, in seconds since 1970; deleted objects do not"
            " count."
        )
        yield _family("modelyard_last_failure_timestamp_seconds", help_, failed, max)


def _reason(kind: str, reason: Any) -> str:
    return str(reason) if reason in _REASONS.get(kind, ()) else _OTHER


def _family(
    name: str, help_: str, values: Mapping[Place, float], joined: Callable[[Iterable[float]], float]
) -> Metric:
    """Return a gauge by kind, namespace and reason.

    The largest values have a series each; the others are joined into one per kind.
    """
    family = GaugeMetricFamily(name, help_, labels=("kind", "namespace", "reason"))
    largest = sorted(values.items(), key=lambda each: (-each[1], each[0]))
    for place, value in largest[:_SERIES]:
        family.add_metric(place, value)
    others: dict[str, list[float]] = {}
    for (kind, _, _), value in largest[_SERIES:]:
        others.setdefault(kind, []).append(value)
    for kind, rest in others.items():
        family.add_metric((kind, _OTHER, _OTHER), joined(rest))
    return family
