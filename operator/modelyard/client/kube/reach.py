"""From an address that pods use to one that answers from here: as it is, or by a port-forward to
the Service that it names.

The Secret `modelyard-connection` says where MLflow and S3 are, a stage's status where its model
answers; all of it as pods see it. Asking whoever answers there does not belong here.
"""

import ipaddress
import os
import socket
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from modelyard.api.addresses import is_link_local
from modelyard.client.errors import Failed, NotFound, Unreachable
from modelyard.client.kube.kube import Kube
from modelyard.client.proxies import by_proxy
from modelyard.kube.names import CONNECTION_SECRET

__all__ = ["Named", "Reach", "connects", "named"]

_SECONDS = 3.0
_DEFAULT_PORTS = {"http": 80, "https": 443}
NEEDED = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_S3_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)


@dataclass(frozen=True)
class Named:
    """A Service, as an address names it. `surely`: `.svc` says that it is one; `mlflow.risk` may
    be a host of that name as well.
    """

    service: str
    namespace: str
    surely: bool


def named(host: str) -> Named | None:
    """Return the Service that a host's name stands for: `name.namespace[.svc[.cluster.domain]]`;
    None for any other.
    """
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        labels = host.rstrip(".").split(".")
        if len(labels) == 2 and all(labels):
            return Named(labels[0], labels[1], surely=False)
        if len(labels) > 2 and labels[2] == "svc":
            return Named(labels[0], labels[1], surely=True)
    return None


def connects(host: str, port: int, seconds: float = _SECONDS) -> bool:
    """Tell whether somebody listens there.

    Raises:
        Unreachable: It is a link-local address, where a cloud serves the credentials of this
            machine: a Secret that somebody else wrote may name it. Nothing was sent.

    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if any(is_link_local(str(address[0])) for *_, address in found):
            raise Unreachable(
                f"{host}:{port} is a link-local address, and so no MLflow, S3 or model: it is not"
                " asked. Correct the address."
            )
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except (OSError, UnicodeError):
        return False


class Reach:
    """Ways from here into a cluster; those that were opened stay open until `close`. Any thread
    may use it.
    """

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._stack = ExitStack()
        self._ways: dict[str, str] = {}
        self._lock = threading.Lock()

    def url(self, address: str) -> str:
        """Return an address that answers from here.

        Outside of the cluster a name of two words that is a Service of it is never looked up as a
        host: `mlflow.dev` may be somebody else's, and would be sent the password.

        Args:
            address: An http or https URL, as pods use it.

        Raises:
            Unreachable: Nobody answers there, and it names no Service; or it is a link-local
                address.
            NotAllowed: It is a Service, and the user may not forward ports.

        """
        with self._lock:
            if address not in self._ways:
                self._ways[address] = self._opened(address)
            return self._ways[address]

    def _opened(self, address: str) -> str:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)
        service, inside = named(host), "KUBERNETES_SERVICE_HOST" in os.environ
        if service is not None and not inside and (service.surely or self._there(service)):
            if service.surely and connects(host, port):
                return address
            if parts.scheme == "https":
                raise Unreachable(
                    f"{address} is a Service with TLS, whose certificate does not hold for a"
                    " port-forward: give it an address outside."
                )
            local = self._stack.enter_context(
                self._kube.forward(service.service, port, service.namespace)
            )
            return urlunsplit((parts.scheme, local, parts.path, parts.query, parts.fragment))
        if by_proxy(address) or connects(host, port):  # behind a proxy nobody answers from here
            return address
        raise Unreachable(f"Nobody answers at {host}:{port}.")

    def _there(self, service: Named) -> bool:
        try:
            self._kube.get("Service", service.service, service.namespace)
        except NotFound:
            return False
        return True

    def connection(self, namespace: str) -> dict[str, str]:
        """Return what a namespace's connection says, for a program on this machine: as environment
        variables.

        Raises:
            NotAllowed: The user may not read the Secret: verb `get` on `secrets`.
            Failed: ConnectionMissing: there is none, or it lacks something.
            Unreachable: MLflow or S3 does not answer.

        """
        subject = f"The connection of the namespace {namespace}"
        try:
            values = self._kube.secret(CONNECTION_SECRET, namespace)
        except NotFound as error:
            raise Failed(
                subject,
                "ConnectionMissing",
                f"there is no Secret {CONNECTION_SECRET}; docs/install.md in modelyard's repository"
                " says what it holds.",
            ) from error
        if missing := [key for key in NEEDED if not values.get(key)]:
            raise Failed(
                subject,
                "ConnectionMissing",
                f"the Secret {CONNECTION_SECRET} lacks {', '.join(missing)}.",
            )
        return values

    def close(self) -> None:
        """End all port-forwards."""
        with self._lock:
            self._ways.clear()
            self._stack.close()
