"""HTTP endpoints for liveness, readiness and metrics."""

import logging
from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

__all__ = ["Health"]

logger = logging.getLogger("modelyard.health")

Checks = Callable[[], Mapping[str, bool]]
"""Returns the checks by name, and whether each passes."""


class Health:
    """Serves /healthz and /readyz on one port, /metrics on another, or all on one."""

    def __init__(self, alive: Checks, ready: Checks, registry: CollectorRegistry) -> None:
        """Create the endpoints without serving them."""
        self._alive = alive
        self._ready = ready
        self._registry = registry
        self._runners: list[web.AppRunner] = []

    async def start(self, host: str, health: int, metrics: int) -> None:
        """Start to serve; port 0 takes a free one.

        Raises:
            OSError: A port is taken.

        """
        pages = {"/healthz": self._healthz, "/readyz": self._readyz}
        ports = (
            {health: pages, metrics: {"/metrics": self._metrics}}
            if metrics != health
            else {health: pages | {"/metrics": self._metrics}}
        )
        for port, routes in ports.items():
            app = web.Application()
            app.add_routes([web.get(path, handler) for path, handler in routes.items()])
            runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
            await runner.setup()
            self._runners.append(runner)
            await web.TCPSite(runner, host, port).start()
            logger.info("Serving %s at %s:%d", ", ".join(routes), *runner.addresses[0][:2])

    async def stop(self) -> None:
        """Stop serving."""
        for runner in self._runners:
            await runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return _answer(self._alive())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer(self._ready())

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


def _answer(checks: Mapping[str, bool]) -> web.Response:
    lines = [f"[{'+' if passes else '-'}] {name}" for name, passes in checks.items()]
    return web.Response(text="\n".join(lines) + "\n", status=200 if all(checks.values()) else 503)
