"""What Prometheus reads: requests by protocol and code, how long they took, which model this is.

Several worker processes keep their figures in files of one folder, which any of them adds up (PROMETHEUS_MULTIPROC_DIR).
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["Metrics"]

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The server's figures. Every one carries the labels `model`, `<namespace>.<name>`, and `version`."""

    def __init__(self, model: str, version: str) -> None:
        """Make them, at zero."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each, which nobody reads
        self._labels = (model, version)
        self._registry = CollectorRegistry()
        own = ("model", "version")
        self._requests = Counter("modelyard_requests", "Inference requests answered.", (*own, "protocol", "code"), registry=self._registry)
        self._seconds = Histogram(
            "modelyard_request_seconds",
            "Time from a request's headers to its answer.",
            (*own, "protocol"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._rows = Counter("modelyard_predicted_rows", "Rows predicted.", (*own, "protocol"), registry=self._registry)
        self._info = Gauge(
            "modelyard_model_info", "1, with the model as labels.", (*own, "platform"), registry=self._registry, multiprocess_mode="max"
        )
        self._known: dict[tuple[str, int], Counter] = {}

    def loaded(self, platform: str) -> None:
        """Say which kind of model is served."""
        self._info.labels(*self._labels, platform).set(1)

    def answered(self, protocol: str, code: int, seconds: float, rows: int) -> None:
        """Count one request."""
        counter = self._known.get((protocol, code))
        if counter is None:
            counter = self._known[protocol, code] = self._requests.labels(*self._labels, protocol, str(code))
        counter.inc()
        self._seconds.labels(*self._labels, protocol).observe(seconds)
        if rows:
            self._rows.labels(*self._labels, protocol).inc(rows)

    def page(self) -> tuple[bytes, bytes]:
        """Return the page of figures and its content type."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), b"text/plain; version=0.0.4; charset=utf-8"
