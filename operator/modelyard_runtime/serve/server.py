"""Sockets and signals: listen while the model loads, drain on SIGTERM without losing a request."""

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
_KEEP_ALIVE = 120
"""Seconds; longer than the pools of common clients, so that clients close idle connections."""


@dataclass(frozen=True)
class Drain:
    """How a server drains after SIGTERM; all times are seconds since then, except `quiet`."""

    least: float = 5.0
    """Until then it is still serving, because the cluster may still route requests here."""
    quiet: float = 1.0
    """After `least`, it stops as soon as no request has arrived for this time."""
    most: float = 12.0
    """It stops accepting requests at the latest after this time."""
    end: float = 24.0
    """Requests that are still in flight after this time are aborted."""


def bind(port: int) -> socket.socket:
    """Return a socket that listens on every address, IPv6 and IPv4 if the pod has both."""
    try:
        found = socket.create_server(
            ("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
        )
    except (OSError, ValueError):
        found = socket.create_server(("", port), backlog=_BACKLOG)
    found.set_inheritable(True)
    return found


class Server(uvicorn.Server):
    """uvicorn's server, with its own start and end."""

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
            headers: Headers of every answer, also of uvicorn's own answers.
            drain: How it ends.
            rule: The file with a canary's rule, see `rule`.
            quick: Let `quick` answer small requests.

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
        self._draining: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture no signals: uvicorn would stop at once, and raise the signal again at the end."""
        yield

    def run_with(
        self,
        listeners: Sequence[socket.socket],
        load: Callable[[], Predictor],
        loaded: Callable[[Callable[[], None]], None],
    ) -> None:
        """Listen, load the model in a thread, serve until SIGTERM, drain.

        Args:
            listeners: The sockets.
            load: Returns the model. It runs in a thread, so that the process is live meanwhile.
            loaded: Called in the event loop when the model is loaded, with a function that makes
                the server ready.

        Raises:
            Failure: The model cannot be loaded.

        """

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._begin_to_drain)
            threading.Thread(target=self._load, args=(loop, load, loaded), daemon=True).start()
            async with self._following():
                await self.serve(list(listeners))

        with asyncio.Runner(loop_factory=self.config.get_loop_factory()) as runner:
            runner.run(main())
        if self._failure:
            raise self._failure

    @asynccontextmanager
    async def _following(self) -> AsyncIterator[None]:
        """Apply the rule in the file before the first request, then follow it, if it is mounted."""
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
        """Load the model in this thread, and pass it to the event loop."""
        try:
            model = load()
        except BaseException as error:  # noqa: BLE001 - the process must end with any error
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

    def _begin_to_drain(self) -> None:
        """Begin to drain, once."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drained())

    async def _drained(self) -> None:
        """Keep serving until the cluster routes no more requests here, then let uvicorn stop."""
        start, was_ready = time.monotonic(), self._app.ready
        self._app.draining = True
        print("draining: no longer ready, still serving", flush=True)
        if was_ready:  # otherwise no request was ever routed here
            await asyncio.sleep(self._drain.least)
            # No event marks the end of the requests, so this polls.
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
