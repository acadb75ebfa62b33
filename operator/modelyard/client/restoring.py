"""Restoring soft-deleted MLflow runs, found by modelyard's tags."""

from collections.abc import Mapping
from typing import Any

from modelyard.client.errors import NotFound
from modelyard.client.rest import Mlflow
from modelyard.kube.names import NAME_TAG, NAMESPACE_TAG, UID_TAG, experiment_name

__all__ = ["restored"]

_PAGE = 1000


def restored(mlflow: Mlflow, namespace: str, name: str) -> str:
    """Restore the deleted runs of all attempts of a TrainingRun, and return the newest one's id.

    Args:
        mlflow: The namespace's MLflow.
        namespace: The TrainingRun's namespace.
        name: Its name. If several TrainingRuns had it, the last one's runs are restored.

    Raises:
        NotFound: There is no deleted run; the text says whether one exists that is not deleted.

    """
    wanted = {NAMESPACE_TAG: namespace, NAME_TAG: name}
    experiments = _experiments(mlflow, namespace)
    found = _runs(mlflow, experiments, wanted, "DELETED_ONLY")
    if not found:
        text = f"MLflow has no deleted run of a TrainingRun {namespace}/{name}"
        if kept := _runs(mlflow, experiments, wanted, "ACTIVE_ONLY"):
            raise NotFound(
                f"{text}: the run {kept[0]['info']['run_id']} exists and is not deleted."
            )
        raise NotFound(f"{text}: it was never created, or has been purged.")
    newest = max(found, key=lambda run: int(run["info"].get("start_time") or 0))
    uid = _tags(newest).get(UID_TAG)
    for run in found:
        if _tags(run).get(UID_TAG) == uid:
            mlflow.post("runs/restore", {"run_id": run["info"]["run_id"]})
    return str(newest["info"]["run_id"])


def _experiments(mlflow: Mlflow, namespace: str) -> list[str]:
    """Return the ids of a namespace's experiments, including deleted ones."""
    prefix = experiment_name(namespace, "")
    body = {"filter": f"name LIKE '{prefix}%'", "view_type": "ALL", "max_results": _PAGE}
    return [
        each["experiment_id"]
        for each in _all(mlflow, "experiments/search", body, "experiments")
        if each["name"].startswith(prefix)
    ]


def _runs(
    mlflow: Mlflow, experiments: list[str], tags: Mapping[str, str], view: str
) -> list[dict[str, Any]]:
    """Return the runs with these tags, newest first; `view`: DELETED_ONLY, ACTIVE_ONLY."""
    if not experiments:
        return []
    # Names in Kubernetes contain no quotes.
    terms = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    body = {
        "experiment_ids": experiments,
        "filter": terms,
        "run_view_type": view,
        "max_results": _PAGE,
    }
    return [
        run
        for run in _all(mlflow, "runs/search", body, "runs")
        if tags.items() <= _tags(run).items()
    ]


def _all(mlflow: Mlflow, path: str, body: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = mlflow.post(path, body)
        found += page.get(key) or []
        if not (token := page.get("next_page_token")):
            return found
        body = {**body, "page_token": token}


def _tags(run: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in (run.get("data") or {}).get("tags") or []}
