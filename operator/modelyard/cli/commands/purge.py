"""`runs purge`: create a Job from the chart's CronJob, like `kubectl create job --from`; follow it.

Only that Job may purge: it removes MLflow's metadata and the artifacts together, with the
operator's rights in the operator's namespace.
"""

import secrets
from typing import Any

from rich.text import Text

from modelyard.cli.commands.confirm import confirm
from modelyard.cli.commands.live import status_line
from modelyard.cli.commands.session import Session, opened
from modelyard.cli.options import Where
from modelyard.client.errors import Failed, NotAllowed, NotFound, TimedOut
from modelyard.client.kube import Kind, Manifest

__all__ = ["job", "purge"]

_CRON_JOB = Kind("batch/v1", "CronJob", "cronjobs")
_LABELS = "app.kubernetes.io/component=purge"
_CONTAINER = "purge"


def purge(where: Where, run_ids: list[str], *, yes: bool, dry_run: bool, timeout: float) -> None:
    """Purge soft-deleted runs, after confirmation."""
    session = opened(where)
    template = _template(session)
    if not dry_run:
        confirm(
            session.screen, f"Permanently remove {', '.join(run_ids)} from MLflow and S3", yes=yes
        )
    body = _created(session, job(template, run_ids, secrets.token_hex(3), dry_run=dry_run))
    name = body["metadata"]["name"]
    session.screen.message(Text(f"Job {name} created in {session.kube.namespace}."))
    ended = _followed(session, name, timeout)
    if where.document:
        session.print_objects([ended], single=True)


def job(template: Manifest, run_ids: list[str], suffix: str, *, dry_run: bool) -> Manifest:
    """Return the Job. Pure.

    Args:
        template: The CronJob.
        run_ids: The MLflow runs to purge.
        suffix: Makes the Job's name unique.
        dry_run: Whether the Job only prints what it would purge.

    """
    meta, inner = template["metadata"], template["spec"]["jobTemplate"]
    pod = inner["spec"]["template"]["spec"]
    arguments = ["--run-ids", ",".join(run_ids), *(["--dry-run"] if dry_run else [])]
    containers = [
        each | {"args": arguments} if each["name"] == _CONTAINER else each
        for each in pod["containers"]
    ]
    spec: dict[str, Any] = inner["spec"] | {
        "template": inner["spec"]["template"] | {"spec": pod | {"containers": containers}}
    }
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": meta["name"], "uid": meta["uid"]}
    about = inner.get("metadata") or {}
    annotations = dict(about.get("annotations") or {}) | {
        "cronjob.kubernetes.io/instantiate": "manual"
    }
    metadata = {
        "name": f"{meta['name'][:50]}-{suffix}",
        "namespace": meta["namespace"],
        "labels": dict(about.get("labels") or {}),
        "annotations": annotations,
        "ownerReferences": [owner],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _template(session: Session) -> Manifest:
    place = session.kube.namespace
    found = session.kube.list(_CRON_JOB, labels=_LABELS)
    if not found:
        raise NotFound(
            f"There is no CronJob for purging in {place}. Name the operator's namespace with"
            " --operator-namespace, or ask an administrator to set purge.enabled in the chart's"
            " values.",
            kind="CronJob",
            namespace=place,
        )
    return found[0]


def _created(session: Session, body: Manifest) -> Manifest:
    try:
        return session.kube.create(body)
    except NotAllowed as error:
        text = f"{error} Purging needs a Job in the operator's namespace: ask an administrator."
        raise NotAllowed(
            text, verb=error.verb, resource=error.resource, namespace=error.namespace
        ) from None


def _followed(session: Session, name: str, seconds: float) -> Manifest:
    """Follow the Job to its end, and print its log."""
    back = f"kubectl -n {session.kube.namespace} logs job/{name}"
    with status_line(
        session.screen, f"\nThe Job continues in the cluster. To see its log: {back}"
    ) as status:
        for body in session.kube.states("Job", name, seconds=seconds):
            if body is None:
                raise NotFound(
                    f"The Job {name} was deleted; what it has purged stays purged.",
                    kind="Job",
                    name=name,
                )
            conditions = {
                each["type"]: each
                for each in (body.get("status") or {}).get("conditions") or []
                if each["status"] == "True"
            }
            status.show(Text(f"{name}  purging"), f"{name}  purging")
            if "Complete" in conditions or "Failed" in conditions:
                for line in _logs(session, name):
                    status.print(Text(line))
            if "Complete" in conditions:
                return body
            if (failed := conditions.get("Failed")) is not None:
                raise Failed(
                    f"Job {name}",
                    str(failed.get("reason", "Failed")),
                    f"{failed.get('message', '')} {back}".strip(),
                )
    raise TimedOut(
        f"Timed out after {seconds:.0f} s. The Job {name} continues in the cluster. To see its log:"
        f" {back}",
        seconds,
    )


def _logs(session: Session, name: str) -> list[str]:
    try:
        pods = session.kube.list("Pod", labels=f"batch.kubernetes.io/job-name={name}")
        return [
            line
            for pod in pods
            for line in session.kube.logs(pod["metadata"]["name"], container=_CONTAINER)
        ]
    except (NotAllowed, NotFound) as error:
        return [f"No logs: {error}"]
