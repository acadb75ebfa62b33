"""Read runs from MLflow, and check whether MLflow and S3 answer.

S3 keys are not checked: the operator does that for every Experiment, and reports it there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from modelyard.api.wire import PROGRESS_METRIC
from modelyard.cli.commands.session import Session
from modelyard.cli.views.doctor import Finding, Verdict
from modelyard.client.errors import ClientError, NotAllowed
from modelyard.client.kube.reach import Reach
from modelyard.client.rest import Mlflow

__all__ = ["Tracked", "findings", "thinned", "tracked"]

_CURVES = 12
"""Metrics per run whose curves are read, at most."""
_POINTS = 400
"""Points to which a curve is thinned: more than a terminal or a picture can show."""


@dataclass(frozen=True)
class Tracked:
    """A run in MLflow."""

    parameters: dict[str, str]
    metrics: dict[str, float]
    curves: dict[str, list[tuple[float, float]]]


@contextmanager
def _mlflow(session: Session) -> Iterator[Mlflow]:
    """Connect to the namespace's MLflow during a block."""
    reach = Reach(session.kube)
    try:
        values = reach.connection(session.kube.namespace)
        yield Mlflow(reach.url(values["MLFLOW_TRACKING_URI"]), values)
    finally:
        reach.close()


def tracked(session: Session, run_id: str) -> Tracked:
    """Return a run's parameters, metrics and their histories.

    Raises:
        ClientError: MLflow cannot be read; the text says why.

    """
    with _mlflow(session) as mlflow:
        data = mlflow.get("runs/get", run_id=run_id)["run"].get("data") or {}
        parameters = {each["key"]: each["value"] for each in data.get("params") or []}
        metrics = {each["key"]: float(each["value"]) for each in data.get("metrics") or []}
        shown = {
            name: value
            for name, value in sorted(metrics.items())
            if name != PROGRESS_METRIC and not name.startswith("system/")
        }
        curves = {name: _history(mlflow, run_id, name) for name in list(shown)[:_CURVES]}
    return Tracked(
        parameters, shown, {name: points for name, points in curves.items() if len(points) > 1}
    )


def _history(mlflow: Mlflow, run_id: str, metric: str) -> list[tuple[float, float]]:
    """Return a metric's values by step."""
    points: list[tuple[float, float]] = []
    query = {"run_id": run_id, "metric_key": metric, "max_results": "10000"}
    while True:
        page = mlflow.get("metrics/get-history", **query)
        points += [
            (float(each.get("step") or 0), float(each["value"]))
            for each in page.get("metrics") or []
        ]
        if not (token := page.get("next_page_token")):
            return thinned(sorted(points))
        query["page_token"] = token


def thinned(points: list[tuple[float, float]], limit: int = _POINTS) -> list[tuple[float, float]]:
    """Keep both ends, and evenly spaced points between them, up to the limit. Pure."""
    if len(points) <= limit:
        return points
    return [points[round(at * (len(points) - 1) / (limit - 1))] for at in range(limit)]


def findings(session: Session) -> Iterator[Finding]:
    """Check whether MLflow and S3 answer from this machine."""
    reach = Reach(session.kube)
    try:
        values = reach.connection(session.kube.namespace)
    except NotAllowed as error:
        yield Finding("storage", Verdict.UNKNOWN, f"MLflow and S3 were not checked: {error}")
        return
    except ClientError as error:
        yield Finding(
            "storage",
            Verdict.BAD,
            str(error),
            "See docs/install.md in modelyard's repository, A namespace's connection.",
        )
        return
    try:
        yield _answers(
            "mlflow",
            values["MLFLOW_TRACKING_URI"],
            lambda url: Mlflow(url, values).post("experiments/search", {"max_results": 1}),
            reach,
        )
        yield _answers("s3", values["MLFLOW_S3_ENDPOINT_URL"], lambda _url: None, reach)
    finally:
        reach.close()


def _answers(subject: str, address: str, tried: Callable[[str], Any], reach: Reach) -> Finding:
    try:
        tried(reach.url(address))
    except NotAllowed as error:
        lacks_a_port_forward = bool(error.verb)
        verdict = Verdict.UNKNOWN if lacks_a_port_forward else Verdict.BAD
        return Finding(
            subject,
            verdict,
            str(error),
            "" if lacks_a_port_forward else "Correct the Secret modelyard-connection.",
        )
    except ClientError as error:
        return Finding(
            subject,
            Verdict.BAD,
            f"{address}: {error}",
            "Check that it runs, and that the Secret modelyard-connection has its address.",
        )
    return Finding(subject, Verdict.GOOD, f"{address} answers")
