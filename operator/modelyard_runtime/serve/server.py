"""Sockets and signals: a server that listens before its model is loaded, and goes without losing a
request.

Answering requests belongs to `app`.
"""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from modelyard_runtime.outcome import Failure, one_line
from modelyard_runtime.serve.app import App
from modelyard_runtime.serve.artifact import load_failed
from modelyard_runtime.serve.deadlines import BoundedProtocol
from modelyard_runtime.serve.predictor import Predictor
from modelyard_runtime.serve.quick import QuickProtocol
from modelyard_runtime.serve.rule import RuleFile

__all__ = ["Drain", "Server", "bind"]

_BACKLOG = 2048
# seconds; longer than the pools of the common clients, so that they are the ones to close an idle
# connection
_KEEP_ALIVE = 120


@dataclass(frozen=True)
class Drain:
    """How long a server that was told to go stays, in seconds."""

    least: float = 5.0
    """It serves on for so long: until then the cluster may still send requests here."""
    quiet: float = 1.0
    """After that it goes as soon as no request came for so long ..."""
    most: float = 12.0
    """... or after so long in any case."""
    end: float = 24.0
    """Requests that are in flight then are cut off."""


def bind(port: int) -> socket.socket:
    """Return a listening socket on every address, IPv6 and IPv4 where the pod has both."""
    try:
        found = socket.create_server(
            ("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
        )
    except (OSError, ValueError):
        found = socket.create_server(("", port), backlog=_BACKLOG)
    found.set_inheritable(True)
    return found


class Server(uvicorn.Server):
    """uvicorn's server, with a start and an end of our own."""

    def __init__(
        self,
        app: App,
        headers: list[tuple[str, str]],
        drain: Drain,
        rule: Path,
        *,
        quick: bool = True,
    ) -> None:
        """Configure uvicorn.

        Args:
            app: The application.
            headers: They go with every answer, uvicorn's own included.
            drain: How it ends.
            rule: The file with the rule by which requests are split, see `rule`.
            quick: Small requests go the way of `quick`.

        """
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http=QuickProtocol if quick else BoundedProtocol,
                proxy_headers=False,
                ws="none",
                lifespan="off",
                interface="asgi3",
                access_log=False,
                log_level="warning",
                server_header=False,
                headers=headers,
                timeout_keep_alive=_KEEP_ALIVE,
            )
        )
        self._app = app
        self._drain = drain
        self._rule = RuleFile(rule, app.splitter.apply)
        self._failure: Failure | None = None
        self._leaving: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone: uvicorn would stop at once, and die of the signal in the end."""
        yield

    def run_with(
        self,
        listeners: Sequence[socket.socket],
        load: Callable[[], Predictor],
        loaded: Callable[[Callable[[], None]], None],
    ) -> None:
        """Listen, load the model beside, serve until SIGTERM, drain.

        Args:
            listeners: The sockets.
            load: Returns the model; it runs in a thread, so that the process is live while it
                loads.
            loaded: Called in the loop when the model is there, with a function that opens the door:
                that makes it ready.

        Raises:
            Failure: The model cannot be loaded.

        """

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._leave)
            threading.Thread(target=self._load, args=(loop, load, loaded), daemon=True).start()
            async with self._following():
                await self.serve(list(listeners))

        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(main())
        if self._failure:
            raise self._failure

    @asynccontextmanager
    async def _following(self) -> AsyncIterator[None]:
        """Split by the rule in the file, from before the first request on; where its folder is
        not there, nothing is done.
        """
        if not self._rule.mounted:
            yield
            return
        await self._rule.look()
        following = asyncio.create_task(self._rule.follow())
        try:
            yield
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await self._app.splitter.close()

    def _load(
        self,
        loop: asyncio.AbstractEventLoop,
        load: Callable[[], Predictor],
        loaded: Callable[[Callable[[], None]], None],
    ) -> None:
        """Load in this thread, tell the loop."""
        try:
            model = load()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the process must end with it
            found = error if isinstance(error, Failure) else load_failed(one_line(error))
            loop.call_soon_threadsafe(self._fail, found)
        else:
            loop.call_soon_threadsafe(self._take, model, loaded)

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self.should_exit = True

    def _take(self, model: Predictor, loaded: Callable[[Callable[[], None]], None]) -> None:
        self._app.metrics.loaded(model.platform)
        self._app.model = model
        loaded(self._open)

    def _open(self) -> None:
        self._app.open = True
        print("ready", flush=True)

    def _leave(self) -> None:
        """Begin to drain; once."""
        if self._leaving is None:
            self._leaving = asyncio.get_running_loop().create_task(self._drained())

    async def _drained(self) -> None:
        """Serve on until the cluster has stopped sending, then let uvicorn finish what is in
        flight.
        """
        start, was_ready = time.monotonic(), self._app.ready
        self._app.draining = True
        print("draining: not ready any more, serving on", flush=True)
        if was_ready:  # otherwise nobody was ever sent here
            await asyncio.sleep(self._drain.least)
            # There is no event to wait for: the end of requests is their absence.
            while self._is_asked(start):  # noqa: ASYNC110
                await asyncio.sleep(self._drain.quiet / 10)
        self.config.timeout_graceful_shutdown = max(
            1, int(self._drain.end - (time.monotonic() - start))
        )
        self.should_exit = True

    def _is_asked(self, start: float) -> bool:
        now = time.monotonic()
        is_quiet = now - self._app.last_request >= self._drain.quiet
        return not is_quiet and now - start < self._drain.most
