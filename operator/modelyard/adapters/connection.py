"""A namespace's clients of MLflow and S3, from its Secret `modelyard-connection`.

The operator opens no clients for `modelyard-connection-pods`. It only checks whether that Secret
exists, and keeps its credentials out of texts. Clients are never shared between namespaces (I9),
and no credential is logged or shown by a repr.
"""

import asyncio
import hashlib
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from modelyard.adapters.bounds import Limits
from modelyard.adapters.connection_secret import Connection, parse_connection
from modelyard.adapters.instrument import CallTimer, OnCall
from modelyard.adapters.mlflow import Mlflow
from modelyard.adapters.offload import Pool
from modelyard.adapters.s3 import S3, Deadlines
from modelyard.adapters.s3_client import Clients
from modelyard.api.text import TextFilter, credentials
from modelyard.errors import Invalid
from modelyard.kube.names import CONNECTION_SECRET, PODS_SECRET
from modelyard.ports import Tenant

__all__ = ["ReadSecret", "Tenants", "Timing"]

ReadSecret = Callable[[str, str], Awaitable[Mapping[str, str] | None]]
"""Returns a Secret's decoded data by namespace and name; None if it does not exist."""

_S3_THREADS = 32
_DIGEST_THREADS = 8
_CREDENTIALS = 64
"""Maximum credentials of a namespace that are kept out of texts, including earlier Secrets'."""


@dataclass(frozen=True)
class Timing:
    """Seconds.

    Attributes:
        request: One request to MLflow.
        s3: Calls to S3.
        reread: After how long a Secret is read again.
        heal: After how long a Secret is read again that was invalid, whose credentials were
            refused, or that pods could not find.
        idle: After how long without a call a namespace's clients are closed.
        close: How long calls under way may take when the process stops.

    """

    request: float = 10.0
    s3: Deadlines = field(default_factory=Deadlines)
    reread: float = 60.0
    heal: float = 2.0
    idle: float = 3600.0
    close: float = 5.0


@dataclass
class _Entry:
    """The state of one namespace."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    read: float = 0.0
    used: float = 0.0
    refused: bool = False
    digest: str = ""
    wrong: Invalid | None = None
    tenant: Tenant | None = None
    text_filter: TextFilter = field(default_factory=lambda: TextFilter(unknown=True))
    close: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)


class Tenants:
    """Opens and closes the namespaces' clients, in one event loop."""

    def __init__(
        self,
        secret: ReadSecret,
        on_call: OnCall,
        *,
        timing: Timing | None = None,
        limits: Limits | None = None,
        denied: Callable[[], Awaitable[tuple[str, ...]]] | None = None,
        ca_bundle: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create it without reading anything.

        Args:
            secret: Reads a Secret by name.
            on_call: Called after every call to MLflow and S3.
            timing: Time limits.
            limits: Permitted addresses, and limits on answers.
            denied: Returns further denied addresses; called once, before the first connection.
            ca_bundle: A file of certificate authorities to trust for MLflow and S3; None: OpenSSL's
                defaults, which respect `SSL_CERT_FILE`.
            clock: Monotonic seconds.

        """
        self._secret = secret
        self._on_call = on_call
        self._timing = timing or Timing()
        self._clock = clock
        self._tls = ssl.create_default_context(cafile=ca_bundle) if ca_bundle else None
        self._limits = limits or Limits()
        self._denied = denied
        self._ca_bundle = ca_bundle
        self._clients = Clients(ca_bundle, limits=self._limits)
        self._pool, self._bulk = Pool("S3", _S3_THREADS), Pool("S3", _DIGEST_THREADS)
        self._entries: dict[str, _Entry] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def tenant(self, namespace: str) -> Tenant:
        """Return the namespace's clients, which stay the same until its Secret changes.

        The Secret is read at most once a minute.

        Raises:
            Invalid: There is no Secret, a key is missing, or a value is invalid; `operation` is
                `read connection`.
            Unavailable: Kubernetes did not answer.

        """
        entry = self._entries.setdefault(namespace, _Entry())
        entry.used = self._clock()
        # One reader per namespace: concurrent callers wait for its result.
        async with entry.lock:
            if self._is_stale(entry):
                await self._read(namespace, entry)
            if entry.tenant is None:
                wrong = entry.wrong
                assert wrong is not None, "a Secret was read: it opened a tenant, or was wrong"
                raise Invalid(wrong.dependency, wrong.operation, wrong.subject, wrong.detail)
            return entry.tenant

    def text_filter(self, namespace: str) -> TextFilter:
        """Return the filter that removes credentials from a namespace's texts.

        It uses the Secrets as `tenant` last read them, and reads nothing itself.
        """
        entry = self._entries.get(namespace)
        return entry.text_filter if entry is not None else TextFilter(unknown=True)

    def reread_secrets(self, namespace: str) -> None:
        """Make the next `tenant` read the Secrets again, unless it did within `Timing.heal`."""
        if (entry := self._entries.get(namespace)) is not None:
            entry.refused = True

    async def close(self) -> None:
        """Close all clients when their calls have ended, or after `Timing.close`."""
        entries, self._entries = list(self._entries.values()), {}
        for entry in entries:
            self._close(entry)
        closing = asyncio.gather(*self._closing)
        with suppress(TimeoutError):
            await asyncio.wait_for(closing, self._timing.close)

    def _is_stale(self, entry: _Entry) -> bool:
        if entry.tenant is None and entry.wrong is None:
            return True
        doubtful = entry.refused or entry.tenant is None
        return self._clock() - entry.read >= (
            self._timing.heal if doubtful else self._timing.reread
        )

    async def _deny(self) -> None:
        """Add the further denied addresses, before the first tenant is opened."""
        if self._denied is None:
            return
        addresses = self._limits.addresses
        addresses = replace(addresses, deny=(*addresses.deny, *await self._denied()))
        if self._denied is not None:
            self._denied, self._limits = None, replace(self._limits, addresses=addresses)
            self._clients = Clients(self._ca_bundle, limits=self._limits)

    async def _read(self, namespace: str, entry: _Entry) -> None:
        await self._deny()
        values = await self._secret(namespace, CONNECTION_SECRET)
        pods = await self._secret(namespace, PODS_SECRET) if values is not None else None
        pods_secret = CONNECTION_SECRET if pods is None else PODS_SECRET
        entry.text_filter = _words(namespace, values or {}, pods or {}, entry.text_filter)
        digest = hashlib.sha256(
            json.dumps([pods_secret, *sorted((values or {}).items())]).encode()
        ).hexdigest()
        if entry.tenant is None or digest != entry.digest:
            # The old Secret's clients must not outlive it, whether or not the new one is valid.
            self._close(entry)
            try:
                self._open(entry, parse_connection(namespace, values), pods_secret)
            except Invalid as wrong:
                entry.wrong = wrong
        entry.read, entry.digest, entry.refused = self._clock(), digest, False
        self._forget_idle()

    def _open(self, entry: _Entry, connection: Connection, pods_secret: str) -> None:
        def refused() -> None:
            entry.refused = True

        tracking = Mlflow(
            connection.tracking_url,
            connection.credentials,
            CallTimer("MLflow", self._on_call, refused),
            deadline=self._timing.request,
            tls=self._tls,
            limits=self._limits,
        )
        store = S3(
            connection.keys,
            connection.reach,
            CallTimer("S3", self._on_call, refused),
            clients=self._clients,
            pool=self._pool,
            bulk=self._bulk,
            deadlines=self._timing.s3,
        )

        async def close() -> None:
            await asyncio.gather(tracking.close(), store.close())

        entry.tenant = Tenant(
            tracking, store, connection.reach, connection.tracking_url, pods_secret
        )
        entry.close = close

    def _close(self, entry: _Entry) -> None:
        """Close an entry's clients in the background, as their calls may take long."""
        close, entry.close, entry.tenant, entry.wrong = entry.close, None, None, None
        if close is not None:
            task = asyncio.ensure_future(close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _forget_idle(self) -> None:
        now = self._clock()
        for namespace, entry in list(self._entries.items()):
            if now - entry.used > self._timing.idle and not entry.lock.locked():
                self._close(self._entries.pop(namespace))


def _words(
    namespace: str, values: Mapping[str, str], pods: Mapping[str, str], before: TextFilter
) -> TextFilter:
    """Return a namespace's text filter, with earlier credentials that pods may still use."""
    names = {
        namespace,
        values.get("MODELYARD_BUCKET", ""),
        values.get("MLFLOW_TRACKING_USERNAME", ""),
    }
    now = dict.fromkeys((*credentials(values, names), *credentials(pods, names)))
    return TextFilter(tuple(dict.fromkeys((*now, *before.values)))[:_CREDENTIALS])
