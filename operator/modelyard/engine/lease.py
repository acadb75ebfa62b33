"""One replica works: a `coordination.k8s.io` Lease, held before anything is written. What the
holder does does not belong here.

Three times, in seconds: the holder renews every `period`; it stops writing when it could not for
`deadline`; another may take over after `duration`. The deadline is the shorter one, and it counts
from before the request that renewed, on a clock that goes on while the process is stopped: so a
holder that was paused knows that it is late before it writes. A holder that is late and finds its
Lease untouched goes on: nobody else can have written meanwhile. One that finds another's name in it
has lost.
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
    """Where the Lease is."""

    async def read(self) -> Manifest | None:
        """Return the Lease; None when there is none."""
        ...

    async def write(self, old: Manifest | None, spec: Manifest) -> Manifest:
        """Create it, or replace the spec of what was read; `Conflict` when somebody else wrote
        it meanwhile.
        """
        ...


class Election:
    """One candidate."""

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
        """Stand for election; nothing is read yet.

        Args:
            store: Where the Lease is.
            identity: Who we are; a restarted process of the same name takes its own lease up again
                at once.
            clock: What time it is.
            duration: Seconds after which a lease that was not renewed may be taken.
            deadline: Seconds after which a holder that could not renew stops writing.
            period: Seconds between two attempts; a quarter of it for a holder that is late.

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
        self._seen: tuple[object, float] = (None, 0.0)

    @property
    def held(self) -> bool:
        """Whether we may write, now."""
        return self._clock.time() - self._renewed < self._deadline

    def fence(self) -> None:
        """Let a write through, or stop it.

        Raises:
            Unavailable: The lease is not ours, or not any more.

        """
        if not self.held:
            raise Unavailable(
                "Kubernetes", "write", "anything", "this process does not hold the lease"
            )

    async def acquire(self) -> None:
        """Wait until the lease is ours."""
        logger.info("Waiting for the lease as %s", self._identity)
        while True:
            if await self.attempt():
                break
            await asyncio.sleep(self._period * (0.5 + random.random() / 2))  # noqa: S311
        logger.info("Holding the lease as %s", self._identity)

    async def keep(self, lost: Callable[[str], None]) -> None:
        """Renew the lease for ever; tell `lost` when another one holds it."""
        late = False
        while True:
            # A holder that is late may write nothing until it has renewed, so it tries more often.
            await asyncio.sleep(self._period / 4 if late else self._period)
            if not await self.attempt() and (holder := self._holder()) != self._identity:
                lost(f"the lease is held by {holder or 'nobody'}")
                return
            if late == self.held:
                late = not self.held
                logger.warning(
                    "The lease could not be renewed in time: nothing is written"
                    if late
                    else "The lease is renewed: going on"
                )

    async def release(self) -> None:
        """Give the lease back, so that another need not wait; only if it is ours."""
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
                # A renewal that the stop cut short may have gone through: what we hold is an older
                # one then.
                await self._reread()
                if last or self._lease is None or self._holder() != self._identity:
                    logger.info("The lease could not be given back: %s", error)
                    return
            else:
                return

    async def attempt(self) -> bool:
        """Take or renew the lease, if that may be; tell whether it is ours now."""
        begin = self._clock.time()
        try:
            if self._lease is None or self._holder() != self._identity or not self.held:
                self._lease = await self._store.read()
            if self._lease is not None and not self._may_be_taken(self._lease["spec"], begin):
                return False
            self._lease = await self._store.write(self._lease, self._spec())
        except (Conflict, Ambiguous) as error:
            # Somebody was faster, or our own write went through unheard: what stands there decides,
            # next time.
            logger.info("The lease: %s", error)
            await self._reread()
            return False
        except ModelyardError as error:
            logger.log(logging.WARNING if self.held else logging.INFO, "The lease: %s", error)
            return False
        self._renewed = begin
        return True

    async def _reread(self) -> None:
        try:
            self._lease = await self._store.read()
        except ModelyardError as error:
            logger.warning("The lease: %s", error)

    def _may_be_taken(self, spec: Manifest, now: float) -> bool:
        """Tell whether it is ours or nobody's, or was not renewed for its duration by our own
        clock, whatever the other's clock says.
        """
        holder = spec.get("holderIdentity") or ""
        if holder in {"", self._identity}:
            return True
        what = (holder, spec.get("renewTime"))
        if self._seen[0] != what:
            self._seen = (what, now)
        return now - self._seen[1] >= float(spec.get("leaseDurationSeconds") or self._duration)

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
