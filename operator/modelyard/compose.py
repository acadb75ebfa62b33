"""The composition root: from settings to a running operator. Nothing is decided here."""

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from modelyard import __version__, experiment, registered_model, training_run
from modelyard.adapters import kubernetes_api
from modelyard.adapters.connection import Tenants
from modelyard.adapters.kubernetes import Kubernetes, Leases
from modelyard.adapters.kubernetes_watch import WATCHED, Watch
from modelyard.cache import Cache
from modelyard.controller import Controller
from modelyard.engine import kopf_app
from modelyard.engine.clock import SystemClock
from modelyard.engine.engine import Engine, Options
from modelyard.engine.health import Health
from modelyard.engine.lease import Election
from modelyard.engine.metrics import Metrics
from modelyard.errors import ModelyardError
from modelyard.kube.pods import Runtime
from modelyard.ports import Cluster, Tenant
from modelyard.settings import Settings

__all__ = ["controllers", "operate"]

logger = logging.getLogger("modelyard")

_AUDIT_AGAIN = 5.0


def controllers(settings: Settings) -> tuple[Controller, ...]:
    """Return the kinds that are served."""
    runtime = Runtime(settings.runtime_image, settings.image_pull_policy, __version__)
    return (experiment.controller(), training_run.controller(runtime), registered_model.controller(runtime))


@dataclass(frozen=True)
class _Ports:
    """Everything outside of the operator that a kind may touch."""

    cluster: Cluster
    tenants: Tenants

    async def tenant(self, namespace: str) -> Tenant:
        return await self.tenants.tenant(namespace)


async def operate(settings: Settings, kinds: Iterable[Controller] | None = None) -> None:
    """Run the operator until a signal ends it.

    Args:
        settings: How.
        kinds: What is served; None for all that there is.

    Raises:
        ModelyardError: There is no cluster to be found.

    """
    metrics = Metrics()
    api = kubernetes_api.Api(await kubernetes_api.configuration(), metrics.called, deadline=settings.kubernetes_deadline)
    try:
        await _Operator(settings, api, tuple(controllers(settings) if kinds is None else kinds), metrics).run()
    finally:
        await api.close()


class _Operator:
    """One process: first in line for the lease, then at work, then gone."""

    def __init__(self, settings: Settings, api: kubernetes_api.Api, kinds: tuple[Controller, ...], metrics: Metrics) -> None:
        clock = SystemClock()
        self._settings, self._api, self._metrics = settings, api, metrics
        self._plurals = tuple(kind.plural for kind in kinds)
        self._cache = Cache(self._plurals)
        self._cluster = Kubernetes(
            api, self._cache, namespaces=settings.namespaces, page_size=settings.page_size, reporter=settings.lease_identity
        )
        self._tenants = Tenants(self._cluster.secret, metrics.called)
        self._election = Election(
            Leases(api, settings.operator_namespace, settings.lease_name),
            settings.lease_identity,
            clock,
            duration=settings.lease_duration,
            deadline=settings.lease_deadline,
            period=settings.lease_period,
        )
        self._engine = Engine(
            kinds,
            _Ports(self._cluster, self._tenants),
            self._cluster,
            cache=self._cache,
            clock=clock,
            options=Options(settings.workers, settings.resync, settings.resyncs_per_second, settings.pass_deadline),
            metrics=metrics,
            fence=self._fence,
        )
        api.fence = self._fence
        self._watches = [
            Watch(
                api,
                self._cache,
                kind,
                namespace,
                restarted=metrics.watch_restarted,
                silence=settings.watch_silence,
                page_size=settings.page_size,
            )
            for kind in WATCHED
            for namespace in (settings.namespaces or (None,))
        ]
        self._health = Health(self._alive, self._ready, metrics.registry)
        self._served = self._working = False
        self._stop = asyncio.Event()
        metrics.leader.set_function(lambda: float(self._leads))

    async def run(self) -> None:
        """Run until a signal comes."""
        settings = self._settings
        self._take_signals()
        await self._health.start(settings.listen_host, settings.listen_health, settings.listen_metrics)
        workers = self._engine.start()
        tasks: list[asyncio.Task[None]] = []
        try:
            if await self._until_stopped(self._stand_by()):
                return
            if settings.leader_election:
                tasks.append(asyncio.create_task(self._election.keep(_end), name="lease"))
            tasks += [asyncio.create_task(watch.run(), name="watch") for watch in self._watches]
            if await self._until_stopped(self._take_up()):
                return
            tasks.append(asyncio.create_task(self._audit(), name="audit"))
            # From here on the tasks that Kopf finds are left alone by it, and those that begin later end with it.
            await kopf_app.watch(
                self._cache,
                self._plurals,
                settings.namespaces,
                lambda: (self._api.host, self._api.session()),
                stop=self._stop,
                signals=self._take_signals,
                restarted=self._metrics.watch_restarted,
                silence=settings.watch_silence,
            )
        finally:
            logger.info("Stopping: what is under way may end within %g s", settings.drain)
            await self._engine.drain(workers, settings.drain)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if settings.leader_election:
                await self._election.release()
            await self._tenants.close()
            await self._health.stop()
            logger.info("Stopped")

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do something that a signal may cut short; tell whether one did."""
        task, stop = asyncio.ensure_future(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        for each in (task, stop):
            if not each.done():
                each.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
        if not task.cancelled():
            task.result()
        return self._stop.is_set()

    async def _stand_by(self) -> None:
        """Wait for the CRDs, loudly, and for the lease."""
        while True:
            try:
                missing = await self._cluster.unserved(self._plurals)
            except ModelyardError as error:
                logger.error("%s; trying again in 5 s", error)  # noqa: TRY400 - the trace says nothing more
            else:
                if not missing:
                    break
                logger.error("The API server does not serve %s: are the CRDs installed? Looking again in 5 s", ", ".join(missing))
            await asyncio.sleep(5)
        self._served = True
        if self._settings.leader_election:
            await self._election.acquire()

    async def _take_up(self) -> None:
        """Learn what there is, then begin to work."""
        for watch in self._watches:
            await watch.synced.wait()
        while True:
            try:
                await self._engine.audit()
                break
            except ModelyardError as error:
                logger.error("%s; trying again in 2 s", error)  # noqa: TRY400
                await asyncio.sleep(2)
        self._engine.open()
        self._working = True
        logger.info("At work on %s in %s", ", ".join(self._plurals), ", ".join(self._settings.namespaces) or "all namespaces")

    async def _audit(self) -> None:
        """Compare what is known with the API server's list, again and again."""
        pause = self._settings.audit
        while True:
            await asyncio.sleep(pause)
            try:
                await self._engine.audit()
                pause = self._settings.audit
            except ModelyardError as error:
                logger.warning("The list could not be compared: %s", error)
                pause = _AUDIT_AGAIN
            except Exception:
                logger.exception("This is a bug: the list could not be compared")

    def _fence(self) -> None:
        if self._settings.leader_election:
            self._election.fence()

    @property
    def _leads(self) -> bool:
        return self._working and (self._election.held or not self._settings.leader_election)

    def _alive(self) -> dict[str, bool]:
        return {"the queue moves": not self._engine.stuck}

    def _ready(self) -> dict[str, bool]:
        synced = not self._leads or all(watch.synced.is_set() for watch in self._watches)
        return {"the CRDs are served": self._served, "the watches are whole": synced}


def _end(reason: str) -> NoReturn:
    """End at once: nothing that is under way may write any more."""
    logger.critical("Ending at once: %s", reason)
    logging.shutdown()
    os._exit(1)
