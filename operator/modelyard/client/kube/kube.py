"""`Kube`: a synchronous Kubernetes client with the user's own kubeconfig and rights.

    kube = Kube(namespace="risk")
    kube.get("TrainingRun", "fraud-3")["status"]

Objects are manifests: dictionaries, as `kubectl get -o json` prints them. Every method can raise
Unreachable and NotAllowed.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from modelyard.client.kube.forward import chosen, listening, may_forward, selector
from modelyard.client.kube.kinds import Kind, group_of, kind_of
from modelyard.client.kube.reading import Manifest
from modelyard.client.kube.session import path
from modelyard.client.kube.writing import FIELD_MANAGER, Writing

__all__ = ["FIELD_MANAGER", "Kube", "Manifest"]


class Kube(Writing):
    """One API server, as one user. It connects on the first call. Any thread may use it.

    Args:
        namespace: The namespace of calls that name none; the context's namespace if absent.
        context: The kubeconfig's context; the current one if absent.
        kubeconfig: Path of the kubeconfig. Absent: $KUBECONFIG, else ~/.kube/config, else the
            pod's service account.
        acting: The user to impersonate. What it leaves empty is taken from the kubeconfig's user
            (`as`, `as-groups`, `as-uid`, `as-user-extra`).

    """

    def close(self) -> None:
        """Close the connections. A later call opens new ones; a process may end without `close`."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def secret(self, name: str, namespace: str | None = None) -> dict[str, str]:
        """Return a Secret's values, decoded from base64 to text."""
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
        """Yield the lines of a container's log, oldest first.

        Args:
            pod: The pod.
            namespace: The client's own if absent.
            container: The container; the only one, or the default one, if absent.
            follow: Keep yielding new lines until the container ends.
            tail: Only the last `tail` lines.
            previous: The log of the container before its last restart.
            timestamps: Begin each line with its time (RFC 3339).

        Raises:
            NotFound: There is no such pod.
            Refused: The container has not started yet, or does not exist.

        """
        params = {
            "follow": str(follow).lower(),
            "previous": str(previous).lower(),
            "timestamps": str(timestamps).lower(),
        }
        params |= {"container": container} if container else {}
        params |= {"tailLines": str(tail)} if tail is not None else {}
        request = self._session.request("get", kind_of("Pod"), pod, namespace, subresource="log")
        return self._session.lines(request, f"{path(request, kind_of('Pod'))}/log", params)

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
        """Tell whether the user has a right, as `kubectl auth can-i` does.

        Args:
            verb: `create`, `promote`, ...
            resource: Plural, with the subresource: `registeredmodels/production`.
            name: One object; all if absent.
            namespace: The client's own if absent.
            group: The API group. Absent: that of the client's kind with this plural, else the core
                group.
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
        status = self._session.ask("create", kind, "", None, body=body).get("status") or {}
        return bool(status.get("allowed"))

    @contextmanager
    def forward(self, service: str, port: int, namespace: str | None = None) -> Iterator[str]:
        """Forward a local port to a Service for the length of a block.

        Each new connection goes to a pod that the Service selects and that is ready at that time.

        Yields:
            The local address, such as `127.0.0.1:40123`.

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
