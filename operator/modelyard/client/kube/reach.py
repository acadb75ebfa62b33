"""Make an address that pods use reachable from this machine: directly, or by a port-forward.

The addresses of MLflow and S3 come from the Secret `modelyard-connection`, a model's from the
status of its stage.
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
"""Timeout of a connection attempt."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
NEEDED = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_S3_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)
"""Keys that the Secret `modelyard-connection` must have."""


@dataclass(frozen=True)
class Named:
    """A Service in the host name of an address.

    Attributes:
        service: Name of the Service.
        namespace: Namespace of the Service.
        certain: Whether the name ends in `.svc`. `mlflow.risk` may also be an ordinary host.

    """

    service: str
    namespace: str
    certain: bool


def named(host: str) -> Named | None:
    """Return the Service of a host `name.namespace[.svc[.cluster.domain]]`; None for any other."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        labels = host.rstrip(".").split(".")
        if len(labels) == 2 and all(labels):
            return Named(labels[0], labels[1], certain=False)
        if len(labels) > 2 and labels[2] == "svc":
            return Named(labels[0], labels[1], certain=True)
    return None


def connects(host: str, port: int, seconds: float = _SECONDS) -> bool:
    """Tell whether a TCP connection to an address succeeds.

    Raises:
        Unreachable: It is a link-local address, where a cloud serves the credentials of this
            machine, and which another user may have written into the Secret. Nothing was sent.

    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if any(is_link_local(str(address[0])) for *_, address in found):
            raise Unreachable(
                f"{host}:{port} is a link-local address, and therefore no MLflow, S3 or model. No"
                " request was sent. Correct the address."
            )
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except (OSError, UnicodeError):
        return False


class Reach:
    """Addresses in the cluster, and the port-forwards to them, which stay open until `close`.

    Any thread may use it.
    """

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._stack = ExitStack()
        self._ways: dict[str, str] = {}
        self._lock = threading.Lock()

    def url(self, address: str) -> str:
        """Return the URL with which this machine reaches an address.

        Outside of the cluster, `name.namespace` is never resolved by DNS if the cluster has that
        Service: `mlflow.dev` may be a stranger's host, which would receive the password.

        Args:
            address: An http or https URL, as pods use it.

        Raises:
            Unreachable: Nothing listens there, and it is no Service; it is a Service with TLS,
                which a port-forward cannot reach; or it is a link-local address.
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
        if service is not None and not inside and (service.certain or self._exists(service)):
            if service.certain and connects(host, port):
                return address
            if parts.scheme == "https":
                raise Unreachable(
                    f"{address} is a Service with TLS, whose certificate is not valid for a"
                    " port-forward. Use an address outside of the cluster."
                )
            local = self._stack.enter_context(
                self._kube.forward(service.service, port, service.namespace)
            )
            return urlunsplit((parts.scheme, local, parts.path, parts.query, parts.fragment))
        if by_proxy(address) or connects(host, port):  # behind a proxy only the proxy can connect
            return address
        raise Unreachable(f"Nothing answers at {host}:{port}.")

    def _exists(self, service: Named) -> bool:
        try:
            self._kube.get("Service", service.service, service.namespace)
        except NotFound:
            return False
        return True

    def connection(self, namespace: str) -> dict[str, str]:
        """Return a namespace's connection to MLflow and S3, as environment variables.

        Addresses are those that pods use: pass them to `url`.

        Raises:
            NotAllowed: The user lacks the verb `get` on the Secret.
            Failed: Reason `ConnectionMissing`: the Secret does not exist, or lacks a key.

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
        """Close all port-forwards."""
        with self._lock:
            self._ways.clear()
            self._stack.close()
