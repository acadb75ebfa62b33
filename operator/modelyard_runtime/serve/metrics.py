"""The server's Prometheus metrics: requests by protocol and code, latency, rows, the model.

Several worker processes keep their metrics in files of one folder (PROMETHEUS_MULTIPROC_DIR), and
each of them can add them up.
"""

import os
from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["Metrics"]

Drawn = Callable[[], tuple[int, dict[tuple[str, str], int]] | None]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The server's metrics, all with the labels `model` (`<namespace>.<name>`) and `version`."""

    def __init__(self, model: str, version: str) -> None:
        """Create the metrics, at zero."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # an unused series for each metric
        self._labels = (model, version)
        self._registry = CollectorRegistry()
        own = ("model", "version")
        self._requests = Counter(
            "modelyard_requests",
            "Inference requests answered.",
            (*own, "protocol", "code"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "modelyard_request_seconds",
            "Time from a request's headers to its answer.",
            (*own, "protocol"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._rows = Counter(
            "modelyard_predicted_rows",
            "Rows predicted.",
            (*own, "protocol"),
            registry=self._registry,
        )
        self._info = Gauge(
            "modelyard_model_info",
            "1, with the model as labels.",
            (*own, "platform"),
            registry=self._registry,
            multiprocess_mode="max",
        )
        self._known: dict[tuple[str, int], tuple[Counter, Histogram, Counter]] = {}
        """Labelled metrics by protocol and code; a lookup by labels takes longer than counting."""

    def loaded(self, platform: str) -> None:
        """Set the kind of model that is served."""
        self._info.labels(*self._labels, platform).set(1)

    def answered(self, protocol: str, code: int, seconds: float, rows: int) -> None:
        """Count one request."""
        if (known := self._known.get((protocol, code))) is None:
            own = (*self._labels, protocol)
            known = (
                self._requests.labels(*own, str(code)),
                self._seconds.labels(*own),
                self._rows.labels(*own),
            )
            self._known[protocol, code] = known
        requests, time, predicted = known
        requests.inc()
        time.observe(seconds)
        if rows:
            predicted.inc(rows)

    def page(self, drawn: Drawn) -> tuple[bytes, bytes]:
        """Return the page of metrics and its content type.

        Args:
            drawn: Returns the rule's weight, and the drawn requests by arm and outcome; None:
                there never was a rule.

        """
        registry = CollectorRegistry()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            registry.register(self._registry)
        registry.register(_Split(self._labels, drawn))
        return generate_latest(registry), b"text/plain; version=0.0.4; charset=utf-8"


class _Split:
    """A collector that reads the counts of `traffic`, so that requests are not counted twice."""

    def __init__(self, labels: tuple[str, str], drawn: Drawn) -> None:
        self._labels = labels
        self._drawn = drawn

    def collect(self) -> Iterator[Metric]:
        """Return the counters and the weight, once there was a rule."""
        if (found := self._drawn()) is None:
            return
        weight, counts = found
        own = ("model", "version")
        requests = CounterMetricFamily(
            "modelyard_traffic_requests",
            "Requests that were drawn for a version, by outcome.",
            labels=(*own, "arm", "outcome"),
        )
        for (arm, outcome), count in counts.items():
            requests.add_metric((*self._labels, arm, outcome), count)
        yield requests
        share = GaugeMetricFamily(
            "modelyard_traffic_weight",
            "Percent of requests that are drawn for the candidate.",
            labels=own,
        )
        share.add_metric(self._labels, weight)
        yield share
