"""The composition root: build a running operator from the settings."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from modelyard import __version__, experiment, model_approval, registered_model, training_run
from modelyard.adapters import kubernetes_api, kubernetes_freeze
from modelyard.adapters.bounds import Bounds, Limits
from modelyard.adapters.cloud_events import DEPENDENCY, CloudEvents
from modelyard.adapters.connection import Tenants
from modelyard.adapters.instrument import CallTimer
from modelyard.adapters.kubernetes import Kubernetes
from modelyard.adapters.kubernetes_address import api_addresses
from modelyard.adapters.kubernetes_freeze import Freezes
from modelyard.adapters.kubernetes_known import answers
from modelyard.adapters.kubernetes_leases import Leases
from modelyard.adapters.kubernetes_policies import Policies
from modelyard.adapters.kubernetes_watch import WATCHED, Watch
from modelyard.adapters.pod_counters import PodCounters
from modelyard.adapters.pod_traffic import PodTraffic
from modelyard.api.addresses import Addresses
from modelyard.api.registered_model import RegisteredModel
from modelyard.api.text import TextFilter
from modelyard.cache import Cache
from modelyard.controller import AnyController
from modelyard.engine import kopf_app
from modelyard.engine.clock import SystemClock
from modelyard.engine.engine import Engine, Options
from modelyard.engine.lease import Election
from modelyard.engine.metrics import Metrics
from modelyard.engine.process import Parts, Process
from modelyard.engine.sink import Sink
from modelyard.kube.pods import Runtime
from modelyard.kube.policies import expected
from modelyard.ports import Cluster, Tenant
from modelyard.settings import Settings
from modelyard.traffic import Traffic

__all__ = ["controllers", "operate"]


def controllers(settings: Settings) -> tuple[AnyController, ...]:
    """Return the controllers of all kinds."""
    runtime = Runtime(
        settings.runtime_image, settings.image_pull_policy, __version__, settings.image_pull_secrets
    )
    return (
        experiment.controller(),
        training_run.controller(runtime),
        registered_model.controller(runtime),
        model_approval.controller(),
    )


@dataclass(frozen=True)
class _Ports:
    """The external systems that the kinds use."""

    cluster: Cluster
    tenants: Tenants
    traffic: Traffic

    async def tenant(self, namespace: str) -> Tenant:
        return await self.tenants.tenant(namespace)

    def text_filter(self, namespace: str) -> TextFilter:
        return self.tenants.text_filter(namespace)

    def reread_secrets(self, namespace: str) -> None:
        self.tenants.reread_secrets(namespace)


async def operate(settings: Settings, kinds: Iterable[AnyController] | None = None) -> None:
    """Run the operator until it receives a signal.

    Args:
        settings: The settings.
        kinds: The controllers to run; None: all.

    Raises:
        ModelyardError: No cluster is configured or reachable.
        OSError: A port is in use.

    """
    metrics = Metrics()
    api = kubernetes_api.Api(
        await kubernetes_api.configuration(), metrics.called, deadline=settings.kubernetes_deadline
    )
    served = tuple(controllers(settings) if kinds is None else kinds)
    cache = Cache(kind.plural for kind in served)
    freezes = Freezes()
    cluster = Kubernetes(
        api,
        cache,
        freezes=freezes,
        namespaces=settings.namespaces,
        page_size=settings.page_size,
        reporter=settings.lease_identity,
        resync=settings.resync,
    )
    tenants = Tenants(
        cluster.secret, metrics.called, limits=_limits(settings), denied=lambda: api_addresses(api)
    )
    events = _events(settings, metrics)
    pods = PodCounters(Addresses(settings.connections_allow, settings.connections_deny))
    try:
        ports = _Ports(cluster, tenants, PodTraffic(pods))
        parts = _parts(settings, api, served, cache, ports, cluster, metrics, freezes, events)
        await Process(parts).run(
            settings.listen_host, settings.listen_health, settings.listen_metrics
        )
    finally:
        await pods.close()
        if events is not None:
            await events.close()
        await tenants.close()
        await api.close()


def _limits(settings: Settings) -> Limits:
    addresses = Addresses(
        settings.connections_allow, settings.connections_deny, settings.connections_only
    )
    return Limits(addresses=addresses, bounds=Bounds(answer=settings.answer_bytes))


def _events(settings: Settings, metrics: Metrics) -> CloudEvents | None:
    if not settings.events_sink:
        return None
    return CloudEvents(
        settings.events_sink,
        CallTimer(DEPENDENCY, metrics.called),
        token_file=settings.events_token_file,
    )


def _sink(events: CloudEvents | None, metrics: Metrics) -> Sink | None:
    if events is None:
        return None
    sink = Sink(events.post, metrics.announced)
    metrics.announcing(lambda: sink.waiting)
    return sink


def _parts(  # noqa: PLR0917 - the root holds everything
    settings: Settings,
    api: kubernetes_api.Api,
    served: tuple[AnyController, ...],
    cache: Cache,
    ports: _Ports,
    cluster: Kubernetes,
    metrics: Metrics,
    freezes: Freezes,
    events: CloudEvents | None,
) -> Parts:
    clock, plurals = SystemClock(), tuple(kind.plural for kind in served)
    election = _election(settings, api, clock) if settings.leader_election else None
    if election is not None:
        api.fence = election.fence
    sink = _sink(events, metrics)
    engine = Engine(
        served,
        ports,
        cluster,
        cache=cache,
        clock=clock,
        options=Options(
            settings.workers, settings.resync, settings.resyncs_per_second, settings.pass_deadline
        ),
        metrics=metrics,
        announce=sink.put if sink is not None else lambda _: None,
        fence=api.fence,
    )

    def calendar_changed() -> None:
        metrics.calendar_read(isinstance(freezes.current, str))
        engine.trigger_waiting(RegisteredModel.PLURAL)

    freezes.changed = calendar_changed

    def kopf(stop: asyncio.Event, signals: Callable[[], None]) -> Awaitable[None]:
        return kopf_app.watch(
            cache,
            plurals,
            settings.namespaces,
            lambda: (api.host, api.session(answers(cache))),
            stop=stop,
            signals=signals,
            restarted=metrics.watch_restarted,
            silence=settings.watch_silence,
        )

    return Parts(
        engine=engine,
        watches=[
            *_watches(settings, api, cache, metrics),
            kubernetes_freeze.watch(
                api,
                freezes,
                settings.operator_namespace,
                metrics.watch_restarted,
                settings.watch_silence,
            ),
        ],
        unserved=lambda: cluster.unserved(plurals),
        kopf=kopf,
        election=election,
        policies=Policies(api, expected(settings.policies)).problems,
        metrics=metrics,
        sink=sink,
        audit=settings.audit,
        drain=settings.drain,
    )


def _watches(
    settings: Settings, api: kubernetes_api.Api, cache: Cache, metrics: Metrics
) -> list[Watch]:
    return [
        Watch(
            api,
            cache,
            kind,
            where,
            restarted=metrics.watch_restarted,
            silence=settings.watch_silence,
            page_size=settings.page_size,
        )
        for kind in WATCHED
        for where in (settings.namespaces or (None,))
    ]


def _election(settings: Settings, api: kubernetes_api.Api, clock: SystemClock) -> Election:
    return Election(
        Leases(api, settings.operator_namespace, settings.lease_name),
        settings.lease_identity,
        clock,
        duration=settings.lease_duration,
        deadline=settings.lease_deadline,
        period=settings.lease_period,
    )
