"""Leader election by a `coordination.k8s.io` Lease. Only its holder writes.

There are three times, in seconds. The holder renews the Lease every `period`. It stops writing when
it could not renew for `deadline`. Another replica may acquire the Lease after `duration`, which is
longer. The deadline counts from before the renewing request, on a clock that keeps running while
the process is stopped. So a holder that was paused notices before it writes that it is late. A late
holder whose Lease is unchanged continues, because no other replica can have written meanwhile. A
holder that finds another identity in the Lease has lost it.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC
from typing import Protocol

from modelyard.engine.clock import Clock
from modelyard.errors import Ambiguous, Conflict, ModelyardError, Unavailable
from modelyard.plan import Manifest

__all__ = ["Election", "LeaseStore"]

logger = logging.getLogger("modelyard.lease")


class LeaseStore(Protocol):
    """Reads and writes the Lease."""

    async def read(self) -> Manifest | None:
        """Return the Lease; None if there is none."""
        ...

    async def write(self, old: Manifest | None, spec: Manifest) -> Manifest:
        """Create the Lease, or replace the spec of the one that was read.

        Raises:
            Conflict: Another client wrote it meanwhile.

        """
        ...


class Election:
    """One replica's part in the election."""

    def __init__(
        self,
        store: LeaseStore,
        identity: str,
        clock: Clock,
        *,
        duration: float = 15.0,
        deadline: float = 10.0,
        period: float = 2.0,
    ) -> None:
        """Create a candidate; nothing is read yet.

        Args:
            store: Reads and writes the Lease.
            identity: This replica's name. A restarted process with the same name acquires the Lease
                that it held at once.
            clock: The time.
            duration: Seconds after which a Lease that was not renewed may be acquired.
            deadline: Seconds after which a holder that could not renew stops writing.
            period: Seconds between two attempts; a late holder waits a quarter of it.

        """
        assert period < deadline < duration, (
            "a lease is renewed before its holder stops, and the holder stops before another begins"
        )
        self._store = store
        self._identity = identity
        self._clock = clock
        self._duration = duration
        self._deadline = deadline
        self._period = period
        self._lease: Manifest | None = None
        self._renewed = -deadline
        self._observed: tuple[object, float] = (None, 0.0)

    @property
    def held(self) -> bool:
        """Whether this process may write now."""
        return self._clock.time() - self._renewed < self._deadline

    def fence(self) -> None:
        """Check that this process may write.

        Raises:
            Unavailable: It does not hold the Lease.

        """
        if not self.held:
            raise Unavailable(
                "Kubernetes", "write", "anything", "this process does not hold the lease"
            )

    async def acquire(self) -> None:
        """Wait until this process holds the Lease."""
        logger.info("Waiting for the lease as %s", self._identity)
        while True:
            if await self.attempt():
                break
            await asyncio.sleep(self._period * (0.5 + random.random() / 2))  # noqa: S311
        logger.info("Holding the lease as %s", self._identity)

    async def keep(self, lost: Callable[[str], None]) -> None:
        """Renew the Lease until cancelled; call `lost` if another replica holds it."""
        late = False
        while True:
            # A late holder may not write until it has renewed, so it tries more often.
            await asyncio.sleep(self._period / 4 if late else self._period)
            if not await self.attempt() and (holder := self._holder()) != self._identity:
                lost(f"the lease is held by {holder or 'no process'}")
                return
            if late == self.held:
                late = not self.held
                logger.warning(
                    "The lease could not be renewed in time: writes are blocked"
                    if late
                    else "The lease is renewed: writes are allowed again"
                )

    async def release(self) -> None:
        """Give the Lease back if this process holds it, so that the next holder need not wait."""
        if not self.held or self._lease is None:
            return
        self._renewed = -self._deadline
        for last in (False, True):
            try:
                await self._store.write(
                    self._lease,
                    self._lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1},
                )
            except ModelyardError as error:
                # A renewal that was cancelled at the stop may have reached the API server; then
                # our copy of the Lease is outdated.
                await self._reread()
                if last or self._lease is None or self._holder() != self._identity:
                    logger.info("The lease could not be released: %s", error)
                    return
            else:
                return

    async def attempt(self) -> bool:
        """Acquire or renew the Lease if possible; return whether this process holds it now."""
        begin = self._clock.time()
        try:
            if self._lease is None or self._holder() != self._identity or not self.held:
                self._lease = await self._store.read()
            if self._lease is not None and not self._may_be_taken(self._lease["spec"], begin):
                return False
            self._lease = await self._store.write(self._lease, self._spec())
        except (Conflict, Ambiguous) as error:
            # Another replica was faster, or our own write succeeded without an answer. The stored
            # Lease decides at the next attempt.
            logger.info("The lease could not be written: %s", error)
            await self._reread()
            return False
        except ModelyardError as error:
            logger.log(
                logging.WARNING if self.held else logging.INFO,
                "The lease could not be read or written: %s",
                error,
            )
            return False
        self._renewed = begin
        return True

    async def _reread(self) -> None:
        try:
            self._lease = await self._store.read()
        except ModelyardError as error:
            logger.warning("The lease could not be read: %s", error)

    def _may_be_taken(self, spec: Manifest, now: float) -> bool:
        """Return whether the Lease is free, ours, or expired.

        Expired means not renewed for its duration by our clock; the holder's clock is ignored.
        """
        holder = spec.get("holderIdentity") or ""
        if holder in {"", self._identity}:
            return True
        what = (holder, spec.get("renewTime"))
        if self._observed[0] != what:
            self._observed = (what, now)
        return now - self._observed[1] >= float(spec.get("leaseDurationSeconds") or self._duration)

    def _holder(self) -> str:
        return str((self._lease or {"spec": {}})["spec"].get("holderIdentity") or "")

    def _spec(self) -> Manifest:
        old = (self._lease or {"spec": {}})["spec"]
        now = self._clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        again = old.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "acquireTime": old["acquireTime"] if again else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if again else 1),
        }
