"""`runs purge`: a Job from the chart's CronJob, as `kubectl create job --from` makes it, and its
end. It alone may purge: MLflow's metadata and the artifacts go together, by the operator's rights,
in the operator's namespace.
"""

import secrets
from typing import Any

from rich.text import Text

from modelyard.cli.commands.live import telling
from modelyard.cli.commands.session import Session, opened
from modelyard.cli.commands.sure import sure
from modelyard.cli.options import Where
from modelyard.client.errors import Failed, NotAllowed, NotFound, TimedOut
from modelyard.client.kube import Kind, Manifest

__all__ = ["job", "purge"]

_CRON_JOB = Kind("batch/v1", "CronJob", "cronjobs")
_LABELS = "app.kubernetes.io/component=purge"
_CONTAINER = "purge"


def purge(where: Where, run_ids: list[str], *, yes: bool, dry_run: bool, timeout: float) -> None:
    """Purge runs that were deleted, after asking."""
    session = opened(where)
    template = _template(session)
    if not dry_run:
        sure(session.screen, f"Remove {', '.join(run_ids)} from MLflow and S3 for good", yes=yes)
    body = _created(session, job(template, run_ids, secrets.token_hex(3), dry_run=dry_run))
    name = body["metadata"]["name"]
    session.screen.tell(Text(f"Job {name} made in {session.kube.namespace}."))
    ended = _followed(session, name, timeout)
    if where.document:
        session.print_objects([ended], single=True)


def job(template: Manifest, run_ids: list[str], suffix: str, *, dry_run: bool) -> Manifest:
    """Return the Job. Pure.

    Args:
        template: The CronJob.
        run_ids: What goes.
        suffix: What tells this Job from others.
        dry_run: Whether it only says what would go.

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
            f"No CronJob in {place} purges: ask whoever installed modelyard for `purge.enabled` in"
            " the chart's values, or name the operator's namespace by --operator-namespace.",
            kind="CronJob",
            namespace=place,
        )
    return found[0]


def _created(session: Session, body: Manifest) -> Manifest:
    try:
        return session.kube.create(body)
    except NotAllowed as error:
        text = f"{error} Or ask who may: purging is done by a Job in the operator's namespace."
        raise NotAllowed(
            text, verb=error.verb, resource=error.resource, namespace=error.namespace
        ) from None


def _followed(session: Session, name: str, seconds: float) -> Manifest:
    """Follow the Job to its end, and show what its pod wrote."""
    back = f"kubectl -n {session.kube.namespace} logs job/{name}"
    with telling(
        session.screen, f"\nIt goes on in the cluster. To see what it did: {back}"
    ) as teller:
        for body in session.kube.states("Job", name, seconds=seconds):
            if body is None:
                raise NotFound(
                    f"The Job {name} was deleted meanwhile; what it had purged stays purged.",
                    kind="Job",
                    name=name,
                )
            conditions = {
                each["type"]: each
                for each in (body.get("status") or {}).get("conditions") or []
                if each["status"] == "True"
            }
            teller.now(Text(f"{name}  purging"), f"{name}  purging")
            if "Complete" in conditions or "Failed" in conditions:
                for line in _logs(session, name):
                    teller.line(Text(line))
            if "Complete" in conditions:
                return body
            if (failed := conditions.get("Failed")) is not None:
                raise Failed(
                    f"Job {name}",
                    str(failed.get("reason", "Failed")),
                    f"{failed.get('message', '')} {back}".strip(),
                )
    raise TimedOut(
        f"The Job {name} has not ended after {seconds:.0f} s; it goes on. To see what it did:"
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
