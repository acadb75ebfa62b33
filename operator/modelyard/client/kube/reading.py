"""Reading objects: get, list, watch."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any, ClassVar, TypeVar

from modelyard.client.errors import TimedOut
from modelyard.client.kube.identity import Impersonation
from modelyard.client.kube.kinds import Kind, kind_of
from modelyard.client.kube.session import Session, path
from modelyard.client.kube.watch import PATIENCE, Event, watched

__all__ = ["Manifest", "Reading"]

Manifest = dict[str, Any]
"""An object, as `kubectl get -o json` prints it."""
T = TypeVar("T")


class Reading:
    """The part of `Kube` that reads. See `Kube` for the arguments."""

    PAGE: ClassVar[int] = 500
    """Objects in one response to a list request."""
    PATIENCE: ClassVar[int] = PATIENCE
    """Consecutive failures after which a watch ends with Unreachable; 8 take half a minute."""

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

    @property
    def namespace(self) -> str:
        """The namespace of calls that name none."""
        return self._session.namespace

    @property
    def context(self) -> str:
        """The kubeconfig's context; empty in a pod."""
        return self._session.login.context

    @property
    def server(self) -> str:
        """The API server's address."""
        return self._session.login.server

    def get(self, kind: str | Kind, name: str, namespace: str | None = None) -> Manifest:
        """Return an object.

        Raises:
            NotFound: It does not exist, or the cluster does not have its kind.

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
        """Return all objects of a kind, each with `kind` and `apiVersion`.

        Args:
            kind: `TrainingRun`, or a `Kind`.
            namespace: The client's own if absent.
            all_namespaces: In every namespace, which the user must be allowed to list.
            labels: A label selector, as kubectl's `-l`.
            fields: A field selector, as kubectl's `--field-selector`.

        """
        more = {"labelSelector": labels, "fieldSelector": fields, "limit": str(self.PAGE)}
        found: list[Manifest] = []
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
        """Yield an `Added` event for each object that exists, then an event for each change.

        The watch resumes after a broken connection. If the API server no longer has the events in
        between (410), it lists again and yields the differences as events.

        Args:
            kind: `TrainingRun`, or a `Kind`.
            name: One object; all if absent.
            namespace: The client's own if absent.
            all_namespaces: In every namespace.
            labels: A label selector, as kubectl's `-l`.
            seconds: When to stop, without an error; absent: never.

        Raises:
            Unreachable: The API server did not answer for half a minute.

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
        """Yield the state of one object, then each new state; None when it does not exist.

        Ends without an error after `seconds`.

        Raises:
            Unreachable: The API server did not answer for half a minute.

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
        request = self._session.request("watch", what, name, namespace, everywhere=all_namespaces)
        login = self._session.login
        params = {"labelSelector": labels, "fieldSelector": f"metadata.name={name}" if name else ""}
        where = path(request, what, collection=True)
        return self._session.loop.stream(
            lambda: watched(login, where, params, request, what, patience=self.PATIENCE), seconds
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
        """Follow one object until `look` returns a value other than None, and return that.

        Args:
            kind: Its kind.
            name: Its name.
            look: Called with each state, and with None when the object does not exist. Returns
                None to keep waiting.
            what: What is waited for, for the error: "TrainingRun risk/fraud-3 to end".
            seconds: How long to wait.
            namespace: The client's own if absent.

        Raises:
            TimedOut: `look` returned None for every state.

        """
        with closing(self.states(kind, name, namespace, seconds=seconds)) as states:
            for body in states:
                if (found := look(body)) is not None:
                    return found
        raise TimedOut(f"Timed out after {seconds:.0f} s waiting for {what}.", seconds)
