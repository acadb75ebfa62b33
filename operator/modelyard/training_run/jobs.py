"""A TrainingRun's Jobs and their pods among its owned objects. Pure."""

from collections.abc import Iterable

from modelyard.kube.jobs import of_kind
from modelyard.kube.names import job_name
from modelyard.plan import Delete, Manifest

__all__ = ["delete", "job_of_attempt", "not_deleted", "pods_of"]


def job_of_attempt(owned: Iterable[Manifest], run: str, attempt: int) -> Manifest | None:
    """Return the Job of one attempt of the TrainingRun with this name."""
    name = job_name(run, attempt)
    return next((job for job in of_kind(owned, "Job") if job["metadata"]["name"] == name), None)


def not_deleted(owned: Iterable[Manifest]) -> list[Manifest]:
    """Return the Jobs that nobody has deleted yet."""
    jobs = of_kind(owned, "Job")
    return [job for job in jobs if not job["metadata"].get("deletionTimestamp")]


def pods_of(owned: Iterable[Manifest], job: Manifest) -> list[Manifest]:
    """Return the pods of one Job."""
    name = job["metadata"]["name"]
    pods = of_kind(owned, "Pod")
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get("job-name") == name]


def delete(job: Manifest) -> Delete:
    """Return the action that deletes a Job with its pods."""
    return Delete("batch/v1", "Job", job["metadata"]["name"], job["metadata"]["uid"])
