"""Kubernetes for the client: the objects as they are, synchronously, with the user's own kubeconfig
and rights.

    kube = Kube(namespace="risk")
    kube.get("TrainingRun", "fraud-3")["status"]

Objects are manifests: dictionaries, as `kubectl get -o json` prints them. What our kinds mean does
not belong here (`experiments`, `runs`, `models`), nor how a request is sent (`session`) or a
refusal read (`answers`). Every method may raise Unreachable and NotAllowed.
"""

import base64
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any, ClassVar, Self, TypeVar

from modelyard.client.errors import TimedOut
from modelyard.client.kube.forward import chosen, listening, may_forward, selector
from modelyard.client.kube.identity import Impersonation
from modelyard.client.kube.kinds import Kind, group_of, kind_of
from modelyard.client.kube.session import Session, path
from modelyard.client.kube.watch import PATIENCE, Event, watched

__all__ = ["FIELD_MANAGER", "Kube", "Manifest"]

Manifest = dict[str, Any]
T = TypeVar("T")

FIELD_MANAGER = "modelyard-client"
"""Who the client is to server-side apply, and in `metadata.managedFields`."""


class Kube:
    """One API server, as one user. It is asked when a method is called, not before. Any thread may
    use it.

    Args:
        namespace: Where to look when a method is told no other; the context's namespace if absent.
        context: The kubeconfig's context; the current one if absent.
        kubeconfig: Path of the kubeconfig; $KUBECONFIG, ~/.kube/config or the pod's account if
            absent.
        acting: The user to act as; what it does not say, the kubeconfig's user may (`as`,
            `as-groups`, `as-uid`, `as-user-extra`).

    """

    PAGE: ClassVar[int] = 500
    """Objects that one answer of a list holds."""
    PATIENCE: ClassVar[int] = PATIENCE
    """Failures in a row after which a watch is given up; 8 of them take half a minute."""

    def __init__(
        self,
        namespace: str | None = None,
        context: str | None = None,
        kubeconfig: str | None = None,
        *,
        acting: Impersonation | None = None,
    ) -> None:
        self.kubeconfig = kubeconfig
        self._session = Session(namespace, context, kubeconfig, acting)

    def close(self) -> None:
        """Give the connections back. Asked again, it opens new ones. A process that ends needs
        no farewell.
        """
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- where it leads ---------------------------------------------------------------------------
    @property
    def namespace(self) -> str:
        """The namespace that is meant when none is named."""
        return self._session.namespace

    @property
    def context(self) -> str:
        """The kubeconfig's context; empty in a pod."""
        return self._session.login.context

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._session.login.server

    # --- reading ----------------------------------------------------------------------------------
    def get(self, kind: str | Kind, name: str, namespace: str | None = None) -> Manifest:
        """Return an object.

        Raises:
            NotFound: It is not there, nor its kind.

        """
        return self._session.ask("get", kind_of(kind), name, namespace)

    def list(
        self,
        kind: str | Kind,
        namespace: str | None = None,
        *,
        all_namespaces: bool = False,
        labels: str = "",
        fields: str = "",
    ) -> list[Manifest]:
        """Return all objects of a kind, in one namespace or in all; `kind` and `apiVersion` are set
        on each.

        Args:
            kind: `TrainingRun`, or a `Kind`.
            namespace: The client's own if absent.
            all_namespaces: In every namespace, which the user must be allowed to list.
            labels: A label selector, as kubectl's `-l`.
            fields: A field selector, as kubectl's `--field-selector`.

        """
        found, more = (
            [],
            {"labelSelector": labels, "fieldSelector": fields, "limit": str(self.PAGE)},
        )
        what = kind_of(kind)
        while True:
            page = self._session.ask(
                "list", what, "", namespace, params=more, everywhere=all_namespaces
            )
            found += [
                {"apiVersion": what.api_version, "kind": what.name, **item}
                for item in page.get("items") or []
            ]
            if not (rest := (page.get("metadata") or {}).get("continue")):
                return found
            more["continue"] = rest

    def watch(
        self,
        kind: str | Kind,
        name: str = "",
        namespace: str | None = None,
        *,
        all_namespaces: bool = False,
        labels: str = "",
        seconds: float | None = None,
    ) -> Iterator[Event]:
        """Go through what is there, as `Added`, and then through what happens, until `seconds` have
        passed or the caller stops.

        A connection that ends is taken up again where it ended; what was missed for good (410) is
        found by listing anew, and told as events too. Ends silently when the time is over.

        Raises:
            Unreachable: The API server was gone for half a minute.

        """
        stream = self._watched(
            kind, name, namespace, all_namespaces=all_namespaces, labels=labels, seconds=seconds
        )
        with closing(stream):
            yield from (event for event in stream if event is not None)

    def states(
        self,
        kind: str | Kind,
        name: str,
        namespace: str | None = None,
        *,
        seconds: float | None = None,
    ) -> Generator[Manifest | None, None, None]:
        """Go through the states of one object: the one it is in, and each that it comes into; None
        when it is not there.

        Ends silently when `seconds` have passed.

        Raises:
            Unreachable: The API server was gone for half a minute.

        """
        there = False
        with closing(self._watched(kind, name, namespace, seconds=seconds)) as stream:
            for event in stream:
                if event is not None:
                    there = event.type != "Deleted"
                    yield event.object if there else None
                elif not there:
                    yield None

    def _watched(
        self,
        kind: str | Kind,
        name: str,
        namespace: str | None,
        *,
        all_namespaces: bool = False,
        labels: str = "",
        seconds: float | None,
    ) -> Generator[Event | None, None, None]:
        what = kind_of(kind)
        asked = self._session.asked("watch", what, name, namespace, everywhere=all_namespaces)
        login = self._session.login
        params = {"labelSelector": labels, "fieldSelector": f"metadata.name={name}" if name else ""}
        where = path(asked, what, collection=True)
        return self._session.loop.stream(
            lambda: watched(login, where, params, asked, what, patience=self.PATIENCE), seconds
        )

    def until(
        self,
        kind: str | Kind,
        name: str,
        look: Callable[[Manifest | None], T | None],
        *,
        what: str,
        seconds: float,
        namespace: str | None = None,
    ) -> T:
        """Follow one object until `look` returns something, and return that.

        Args:
            kind: Its kind.
            name: Its name.
            look: Called with each state of it, None when it is not there; returns None to go on
                waiting.
            what: What is waited for, for the error: "TrainingRun risk/fraud-3 to end".
            seconds: How long.
            namespace: The client's own if absent.

        Raises:
            TimedOut: It did not come about.

        """
        with closing(self.states(kind, name, namespace, seconds=seconds)) as states:
            for body in states:
                if (found := look(body)) is not None:
                    return found
        raise TimedOut(f"Waited {seconds:.0f} s in vain for {what}.", seconds)

    # --- writing ----------------------------------------------------------------------------------
    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Create an object, in the client's namespace if it names none. Unknown fields are refused.

        Raises:
            Refused: It breaks a rule, or exists already.

        """
        meta = manifest.get("metadata") or {}
        body = self._placed(manifest)
        return self._session.ask(
            "create",
            _kind(manifest),
            meta.get("name", ""),
            meta.get("namespace"),
            body=body,
            params=_written(dry_run=dry_run),
        )

    def apply(self, manifest: Manifest, *, force: bool = False, dry_run: bool = False) -> Manifest:
        """Apply an object by server-side apply: what it says is so, what it no longer says goes,
        what others say stays.

        Args:
            manifest: The object, with what it is to have.
            force: Take fields over that others keep (kubectl, GitOps, a colleague), instead of
                being refused.
            dry_run: Change nothing, but be refused where it would be, and return what it would be.

        Raises:
            Refused: It breaks a rule; or others keep a field: `problems` says who keeps which.

        """
        meta = manifest.get("metadata") or {}
        params = _written(dry_run=dry_run) | {"force": str(force).lower()}
        body, media = self._placed(manifest), "application/apply-patch+yaml"
        return self._session.ask(
            "patch",
            _kind(manifest),
            meta.get("name", ""),
            meta.get("namespace"),
            body=body,
            params=params,
            media=media,
        )

    def patch(
        self,
        kind: str | Kind,
        name: str,
        patch: Manifest,
        namespace: str | None = None,
        *,
        dry_run: bool = False,
    ) -> Manifest:
        """Change some fields of an object by a merge patch (RFC 7386): None removes a field. Return
        the object.

        Raises:
            NotFound: It is not there.
            Refused: It would break a rule.

        """
        return self._session.ask(
            "patch",
            kind_of(kind),
            name,
            namespace,
            body=patch,
            params=_written(dry_run=dry_run),
            media="application/merge-patch+json",
        )

    def delete(
        self, kind: str | Kind, name: str, namespace: str | None = None, *, wait: float = 0
    ) -> None:
        """Delete an object.

        Args:
            kind: Its kind.
            name: Its name.
            namespace: The client's own if absent.
            wait: Seconds to wait until it is gone, which its finalizer decides; 0: do not wait.

        Raises:
            NotFound: It is not there.
            TimedOut: It is being deleted, and still there.

        """
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        uid = self.get(kind, name, namespace)["metadata"]["uid"] if wait else ""
        self._session.ask("delete", kind_of(kind), name, namespace, body=body)
        if wait:
            what = f"{kind_of(kind).name} {name} to go; its finalizers hold it"

            def gone(body: Manifest | None) -> bool | None:
                return True if body is None or body["metadata"]["uid"] != uid else None

            self.until(kind, name, gone, what=what, seconds=wait, namespace=namespace)

    # --- what stands beside -----------------------------------------------------------------------
    def secret(self, name: str, namespace: str | None = None) -> dict[str, str]:
        """Return a Secret's values as text."""
        return {
            key: base64.b64decode(value).decode()
            for key, value in (self.get("Secret", name, namespace).get("data") or {}).items()
        }

    def config_map(self, name: str, namespace: str | None = None) -> dict[str, str]:
        """Return a ConfigMap's values."""
        return dict(self.get("ConfigMap", name, namespace).get("data") or {})

    def logs(
        self,
        pod: str,
        namespace: str | None = None,
        *,
        container: str = "",
        follow: bool = False,
        tail: int | None = None,
        previous: bool = False,
        timestamps: bool = False,
    ) -> Iterator[str]:
        """Go through the lines that a pod wrote, oldest first.

        Args:
            pod: The pod.
            namespace: The client's own if absent.
            container: Which container; the only one, or the default one, if absent.
            follow: Go on with what it writes, until it ends.
            tail: Only so many of the last lines.
            previous: Those of the container that ran before a restart.
            timestamps: Begin each line with its time, RFC 3339.

        Raises:
            NotFound: There is no such pod.
            Refused: The container has not started yet, or there is none of that name.

        """
        params = {
            "follow": str(follow).lower(),
            "previous": str(previous).lower(),
            "timestamps": str(timestamps).lower(),
        }
        params |= {"container": container} if container else {}
        params |= {"tailLines": str(tail)} if tail is not None else {}
        asked = self._session.asked("get", kind_of("Pod"), pod, namespace, subresource="log")
        return self._session.lines(asked, f"{path(asked, kind_of('Pod'))}/log", params)

    def can(
        self,
        verb: str,
        resource: str,
        *,
        name: str = "",
        namespace: str | None = None,
        group: str | None = None,
        all_namespaces: bool = False,
    ) -> bool:
        """Tell whether the user may do something, as `kubectl auth can-i` does.

        Args:
            verb: `create`, `promote`, ...
            resource: Plural, with the subresource: `registeredmodels/production`.
            name: One object; all if absent.
            namespace: The client's own if absent.
            group: The API group; that of a kind that the client knows, if absent.
            all_namespaces: In every namespace.

        """
        plural, _, sub = resource.partition("/")
        attributes = {
            "verb": verb,
            "resource": plural,
            "subresource": sub,
            "name": name,
            "group": group_of(plural) if group is None else group,
            "namespace": "" if all_namespaces else namespace or self.namespace,
        }
        kind = Kind(
            "authorization.k8s.io/v1",
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            namespaced=False,
        )
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.name,
            "spec": {"resourceAttributes": attributes},
        }
        return bool(
            (self._session.ask("create", kind, "", None, body=body).get("status") or {}).get(
                "allowed"
            )
        )

    @contextmanager
    def forward(self, service: str, port: int, namespace: str | None = None) -> Iterator[str]:
        """Forward a local port to a Service for the length of a block; yields the local address,
        `127.0.0.1:40123`.

        Each connection goes to a pod that is ready, and that the Service leads to, when it is
        opened.

        Raises:
            NotFound: There is no such Service, or it has no such port.
            NotAllowed: The user may not get services, list pods or forward ports.
            Unreachable: None of its pods is ready.

        """
        where = namespace or self.namespace
        found = self.get("Service", service, where)
        chosen(found, self.list("Pod", where, labels=selector(found)), port)
        may_forward(self, service, where)
        login = self._session.login
        with self._session.loop.hold(lambda: listening(login, where, service, port)) as address:
            yield address

    def _placed(self, manifest: Manifest) -> Manifest:
        """Return the manifest with a namespace; one that it names stays."""
        if not _kind(manifest).namespaced:
            return manifest
        meta = dict(manifest.get("metadata") or {})
        return {
            **manifest,
            "metadata": {**meta, "namespace": meta.get("namespace") or self.namespace},
        }


def _kind(manifest: Manifest) -> Kind:
    try:
        return kind_of(str(manifest.get("kind", "")))
    except ValueError as error:
        raise ValueError(f"{error}; its manifest cannot be written by this client") from None


def _written(*, dry_run: bool) -> dict[str, str]:
    return {
        "fieldManager": FIELD_MANAGER,
        "fieldValidation": "Strict",
        "dryRun": "All" if dry_run else "",
    }
