"""`doctor`: check connection, kinds, rights, operator, policies and storage; print fixes.

What the user has no right to read is reported as unknown, and is not a problem.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import typer

from modelyard import __version__
from modelyard.api import schema
from modelyard.api.base import GROUP, VERSION, Resource
from modelyard.api.experiment import Experiment
from modelyard.api.kinds import KINDS
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands import mlflow_reader, rights
from modelyard.cli.commands.session import Session, now, opened
from modelyard.cli.exits import Exit
from modelyard.cli.options import Where
from modelyard.cli.views.doctor import Finding, Verdict, document, findings
from modelyard.client.errors import ClientError, NotAllowed, NotFound
from modelyard.client.kube import Kind, Manifest
from modelyard.kube.policies import BINDINGS, NAMES, POLICIES, expected, problem
from modelyard.kube.policies import GROUP as ADMISSION

__all__ = [
    "doctor",
    "installed",
    "missing_fields",
    "operator",
    "policies",
    "pull_secrets",
    "unobserved",
]

_CRDS = Kind(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    namespaced=False,
)
_POLICY = Kind(f"{ADMISSION}/v1", "ValidatingAdmissionPolicy", POLICIES, namespaced=False)
_BINDING = Kind(f"{ADMISSION}/v1", "ValidatingAdmissionPolicyBinding", BINDINGS, namespaced=False)
_OPERATOR = "app.kubernetes.io/name=modelyard,app.kubernetes.io/component=operator"
_REPOSITORY = "in modelyard's repository"
"""A user who installed only the package does not have the documentation."""
_INSTALL = f"Run helm install modelyard charts/modelyard. See docs/install.md {_REPOSITORY}."
_OBSERVED_WITHIN = timedelta(minutes=2)
"""How long a new spec may stay unobserved; a running operator observes it much sooner."""


def doctor(where: Where) -> None:
    """Check everything, print the findings, and exit with 1 if there is a problem."""
    session = opened(where)
    found = list(_checks(session))
    if where.document:
        session.screen.document(document(found))
    else:
        session.screen.show(findings(found))
    if any(each.verdict is Verdict.BAD for each in found):
        raise typer.Exit(Exit.FAILED)


def _checks(session: Session) -> Iterator[Finding]:
    """Yield findings in order of dependence; a failed check ends those that depend on it."""
    try:
        server = (
            f"{session.kube.server}, context {session.kube.context or 'of the pod'}, namespace"
            f" {session.kube.namespace}"
        )
        session.kube.can("list", "registeredmodels")
    except ClientError as error:
        yield Finding(
            "connection",
            Verdict.BAD,
            str(error),
            "Check that `kubectl get namespace` works with the same context.",
        )
        return
    yield Finding("connection", Verdict.GOOD, server)
    if (absent := _absent(session)) is not None:
        yield absent
        return
    objects: list[Resource[Any, Any]] = []
    for kind in (Experiment, TrainingRun, RegisteredModel):
        try:
            objects += [kind.parse(body) for body in session.kube.list(kind.KIND)]
        except NotAllowed as error:
            fix = (
                "Ask for a binding to the ClusterRole modelyard-viewer in the namespace"
                f" {session.kube.namespace}, or name another namespace (-n)."
            )
            yield Finding(kind.PLURAL, Verdict.BAD, str(error), fix)
        except NotFound as error:
            yield Finding(kind.PLURAL, Verdict.BAD, str(error), _INSTALL)
            return
    yield from _definitions(session)
    yield from rights.findings(
        session, [each for each in objects if isinstance(each, RegisteredModel)]
    )
    yield from _operator(session)
    yield from _objects(objects, now())
    yield from mlflow_reader.findings(session)


def _absent(session: Session) -> Finding | None:
    """Return a finding if the namespace does not exist: its lists would be empty, without errors.

    Missing rights are reported later.
    """
    name = session.kube.namespace
    try:
        session.kube.get("Namespace", name)
    except NotFound:
        return Finding(
            "namespace",
            Verdict.BAD,
            f"There is no namespace {name}.",
            "Name another namespace (-n), or create it.",
        )
    except NotAllowed:
        pass
    return None


def _definitions(session: Session) -> Iterator[Finding]:
    """Compare the CRDs in the cluster with those of this program."""
    for wanted in map(schema.crd, KINDS):
        name = wanted["metadata"]["name"]
        try:
            there = session.kube.get(_CRDS, name)
        except (NotAllowed, NotFound) as error:
            yield Finding("kinds", Verdict.UNKNOWN, f"Their versions were not checked: {error}")
            return
        if absent := missing_fields(wanted, there):
            words = (
                f"{name} in the cluster lacks"
                f" {', '.join(absent[:4])}{', …' if len(absent) > 4 else ''}; modelyard here is"
                f" {__version__}"
            )
            yield Finding(
                "kinds",
                Verdict.WARNING,
                words,
                "Run kubectl apply --server-side -f crds/ of this release, or use that release.",
            )
            return
    yield Finding(
        "kinds", Verdict.GOOD, f"{GROUP}/{VERSION}, with all fields of modelyard {__version__}"
    )


def missing_fields(wanted: Manifest, there: Manifest) -> list[str]:
    """Return the fields that a CRD in the cluster lacks, as paths. Pure."""

    def fields(definition: Manifest) -> set[str]:
        served = next(
            (
                each
                for each in definition["spec"]["versions"]
                if each["name"] == VERSION and each.get("served", True)
            ),
            None,
        )
        return set(_paths(served["schema"]["openAPIV3Schema"], "")) if served else set()

    return sorted(fields(wanted) - fields(there))


def _paths(part: Manifest, above: str) -> Iterator[str]:
    for name, field in (part.get("properties") or {}).items():
        path = f"{above}.{name}" if above else name
        yield path
        yield from _paths(field, path)
    for inner in (part.get("items"), part.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from _paths(inner, f"{above}[]")


def _operator(session: Session) -> Iterator[Finding]:
    try:
        found = session.kube.list("Deployment", all_namespaces=True, labels=_OPERATOR)
    except NotAllowed as error:
        yield Finding("operator", Verdict.UNKNOWN, f"Its Deployment was not checked: {error}")
        yield Finding(
            "policies",
            Verdict.UNKNOWN,
            "They were not checked: the operator's Deployment says which of them are installed.",
        )
        return
    yield operator(found)
    for each in found:
        yield _policies(session, installed(each))
        if names := pull_secrets(each):
            yield _pullable(session, names)


def _pullable(session: Session, names: Sequence[str]) -> Finding:
    """Check the pull Secrets of training and serving pods in the namespace."""
    wrong = []
    try:
        for name in names:
            try:
                if not str(session.kube.get("Secret", name).get("type")).startswith(
                    "kubernetes.io/dockerc"
                ):
                    wrong.append(f"{name} is no pull Secret (kubernetes.io/dockerconfigjson)")
            except NotFound:
                wrong.append(f"{name} does not exist")
    except NotAllowed as error:
        return Finding(
            "images",
            Verdict.UNKNOWN,
            f"The pull Secrets {', '.join(names)} were not checked: {error}",
        )
    if wrong:
        words = f"Pods here pull images with Secrets of this namespace: {'; '.join(wrong)}."
        return Finding(
            "images",
            Verdict.WARNING,
            words,
            "Create them in this namespace. See docs/install.md, Images of a private registry.",
        )
    return Finding("images", Verdict.GOOD, f"the pull Secrets {', '.join(names)} exist")


def _policies(session: Session, wanted: Mapping[str, tuple[str, str]]) -> Finding:
    def there(kind: Kind, name: str) -> Manifest | None:
        try:
            return session.kube.get(kind, name)
        except NotFound:
            return None

    try:
        return policies(
            {
                name: problem(there(_POLICY, name), there(_BINDING, name), hashes)
                for name, hashes in wanted.items()
            }
        )
    except NotAllowed as error:
        return Finding("policies", Verdict.UNKNOWN, f"They were not checked: {error}")


def installed(deployment: Manifest) -> dict[str, tuple[str, str]]:
    """Return the policies that the chart installed, from the operator's settings. Pure."""
    try:
        return expected(_setting(deployment, "MODELYARD_POLICIES"))
    except ValueError:
        return {}


def pull_secrets(deployment: Manifest) -> tuple[str, ...]:
    """Return the pull Secrets that an operator gives to its pods. Pure."""
    names = _setting(deployment, "MODELYARD_IMAGE_PULL_SECRETS").split(",")
    return tuple(filter(None, map(str.strip, names)))


def _setting(deployment: Manifest, name: str) -> str:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    settings = {
        each["name"]: each.get("value")
        for container in containers
        for each in container.get("env") or ()
    }
    return settings.get(name) or ""


def policies(problems: Mapping[str, str | None]) -> Finding:
    """Return whether the policies are in force. Pure."""
    page = f"docs/concepts/security.md {_REPOSITORY}"
    fix = (
        "Without them, every editor may promote and purge. Run helm upgrade with `policies` on"
        f" ({page})."
    )
    if wrong := [f"{name}: {problem}" for name, problem in problems.items() if problem]:
        return Finding(
            "policies", Verdict.BAD, f"Not in force as installed: {'; '.join(wrong)}.", fix
        )
    if lacking := [
        name for name in NAMES if not any(each.endswith(f"-{name}") for each in problems)
    ]:
        return Finding("policies", Verdict.WARNING, f"Not installed: {', '.join(lacking)}.", fix)
    return Finding("policies", Verdict.GOOD, f"all {len(problems)} are in force")


def operator(found: Sequence[Manifest]) -> Finding:
    """Return the state of the operator's Deployments. Pure."""
    if not found:
        return Finding("operator", Verdict.BAD, "It has no Deployment in this cluster.", _INSTALL)
    for each in found:
        meta, status = each["metadata"], each.get("status") or {}
        where, version = (
            f"{meta['namespace']}/{meta['name']}",
            (meta.get("labels") or {}).get("app.kubernetes.io/version", "unknown"),
        )
        if not status.get("readyReplicas"):
            look = f"kubectl -n {meta['namespace']} describe pods -l {_OPERATOR}"
            return Finding(
                "operator",
                Verdict.BAD,
                f"{where}, version {version}, has no ready pod.",
                f"See why: {look}",
            )
        if version not in (__version__, "unknown"):
            fix = "Use one release for both: pip install modelyard==<version>, or helm upgrade."
            return Finding(
                "operator",
                Verdict.WARNING,
                f"{where} has version {version}, this program has {__version__}.",
                fix,
            )
    return Finding(
        "operator",
        Verdict.GOOD,
        ", ".join(
            f"{each['metadata']['namespace']}/{each['metadata']['name']} is ready" for each in found
        ),
    )


def unobserved(objects: Sequence[Resource[Any, Any]], time: datetime) -> list[str]:
    """Return the objects whose spec has not been observed for a while. Pure."""

    def born(each: Resource[Any, Any]) -> datetime:
        return each.metadata.creation_timestamp or time

    return [
        f"{each.KIND} {each.metadata.name}"
        for each in objects
        if each.status.observed_generation == 0
        and time - born(each) > _OBSERVED_WITHIN
        and each.metadata.deletion_timestamp is None
    ]


def _objects(objects: Sequence[Resource[Any, Any]], time: datetime) -> Iterator[Finding]:
    """Yield unobserved and stalled objects of the namespace."""
    if waiting := unobserved(objects, time):
        fix = "Check that the operator runs, and that its watchNamespaces have this namespace."
        yield Finding(
            "objects",
            Verdict.BAD,
            "The operator has not observed"
            f" {', '.join(waiting[:3])}{', …' if len(waiting) > 3 else ''}.",
            fix,
        )
    stalled: list[tuple[Resource[Any, Any], Any]] = [
        (each, each.status.condition("Stalled"))
        for each in objects
        if each.status.is_true("Stalled")
    ]
    disconnected = [pair for pair in stalled if pair[1].reason.startswith("Connection")]
    for each, condition in disconnected[:1]:
        yield Finding(
            "objects",
            Verdict.BAD,
            f"{each.KIND} {each.metadata.name}: {condition.message}",
            _FIXES[condition.reason],
        )
    if others := [pair for pair in stalled if pair not in disconnected]:
        each, condition = others[0]
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        words = (
            f"{each.KIND} {each.metadata.name} is stalled, {condition.reason}:"
            f" {condition.message}{more}"
        )
        yield Finding(
            "objects",
            Verdict.WARNING,
            words,
            f"See docs/conditions.md {_REPOSITORY} for each reason.",
        )
    if not waiting and not stalled:
        yield Finding(
            "objects", Verdict.GOOD, f"{len(objects)} in this namespace, none of them stalled"
        )


_FIXES: dict[str, str] = {
    "ConnectionMissing": "Create the Secret modelyard-connection, or have the chart create it. See"
    f" docs/install.md {_REPOSITORY}.",
    "ConnectionRefused": "Correct the keys in the Secret modelyard-connection.",
}
