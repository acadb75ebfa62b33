"""Bringing MLflow runs back that were soft-deleted, found by the tags that they carry. What the
objects say of it does not belong here.
"""

from collections.abc import Mapping
from typing import Any

from modelyard.client.errors import NotFound
from modelyard.client.rest import Mlflow
from modelyard.kube.names import NAME_TAG, NAMESPACE_TAG, UID_TAG, experiment_name

__all__ = ["restored"]

_PAGE = 1000


def restored(mlflow: Mlflow, namespace: str, name: str) -> str:
    """Restore all deleted runs of a TrainingRun, each attempt's, and return the id of the newest.

    Args:
        mlflow: The namespace's MLflow.
        namespace: The TrainingRun's namespace.
        name: Its name. Of several that had it, the last one's runs are restored.

    Raises:
        NotFound: There is none; the text says whether MLflow has runs of that name that are not
            deleted.

    """
    wanted = {NAMESPACE_TAG: namespace, NAME_TAG: name}
    experiments = _experiments(mlflow, namespace)
    found = _runs(mlflow, experiments, wanted, "DELETED_ONLY")
    if not found:
        text = f"MLflow has no deleted run of a TrainingRun {namespace}/{name}"
        if kept := _runs(mlflow, experiments, wanted, "ACTIVE_ONLY"):
            raise NotFound(
                f"{text}: it was not deleted there, and is there as {kept[0]['info']['run_id']}."
            )
        raise NotFound(f"{text}: it was never made, or has been purged.")
    newest = max(found, key=lambda run: int(run["info"].get("start_time") or 0))
    uid = _tags(newest).get(UID_TAG)
    for run in found:
        if _tags(run).get(UID_TAG) == uid:
            mlflow.post("runs/restore", {"run_id": run["info"]["run_id"]})
    return str(newest["info"]["run_id"])


def _experiments(mlflow: Mlflow, namespace: str) -> list[str]:
    """The ids of a namespace's experiments, deleted ones included."""
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
    """The runs with these tags, newest first; `view`: DELETED_ONLY, ACTIVE_ONLY."""
    if not experiments:
        return []
    terms = " AND ".join(
        f"tags.`{key}` = '{value}'" for key, value in tags.items()
    )  # names of Kubernetes hold no quotes
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
