"""Several processes behind the same sockets: start them, tell them when all are loaded, end them
together.

What a worker does belongs to `server`.
"""

import asyncio
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Handed", "in_worker", "supervise", "tell"]

_WORKER = "MODELYARD_WORKER"


@dataclass(frozen=True)
class Handed:
    """What a worker gets from the first process."""

    listeners: tuple[socket.socket, ...]
    says: int
    """The pipe to say on that the model is loaded."""
    gate: int
    """The pipe that ends when all have said so."""


def in_worker() -> Handed | None:
    """Return what was handed to this worker; None in the first process."""
    if not (given := os.environ.get(_WORKER)):
        return None
    says, gate, *listeners = (int(number) for number in given.split(","))
    return Handed(tuple(socket.socket(fileno=listener) for listener in listeners), says, gate)


def tell(handed: Handed) -> Callable[[Callable[[], None]], None]:
    """Return what a worker does when its model is loaded: say so, and open its door when all
    others are loaded too.
    """

    def loaded(open_door: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def all_loaded() -> None:
            loop.remove_reader(handed.gate)
            open_door()

        loop.add_reader(handed.gate, all_loaded)
        os.write(handed.says, b".")

    return loaded


def supervise(count: int, listeners: Sequence[socket.socket], arguments: Sequence[str]) -> int:
    """Run workers until they are told to go, and return the exit code.

    A worker that ends by itself takes the others with it: the container starts anew, and says why.
    """
    workers: list[subprocess.Popen[bytes]] = []
    stopping = threading.Event()

    def stop(*_: object) -> None:
        stopping.set()
        for worker in workers:
            worker.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with tempfile.TemporaryDirectory(prefix="modelyard-metrics-") as folder:
        said, says = os.pipe()
        gate, door = os.pipe()
        handed = (says, gate, *(listener.fileno() for listener in listeners))
        environment = os.environ | {
            _WORKER: ",".join(map(str, handed)),
            "PROMETHEUS_MULTIPROC_DIR": folder,
        }
        command = [sys.executable, "-m", "modelyard_runtime.serve", *arguments]
        for _ in range(count):
            workers.append(subprocess.Popen(command, env=environment, pass_fds=handed))  # noqa: PERF401, S603 - stop() sees each at once
        for theirs in (says, gate):
            os.close(theirs)
        for listener in listeners:
            listener.close()
        return _watched(workers, said, door, stop, stopping)


def _watched(
    workers: Sequence["subprocess.Popen[bytes]"],
    said: int,
    door: int,
    stop: Callable[[], None],
    stopping: threading.Event,
) -> int:
    """Open the workers' doors when all are loaded, and return the code of the first that ends
    otherwise than it should.
    """
    events: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()

    def count_loaded() -> None:
        while os.read(said, 1):
            events.put(None)

    def wait_for(worker: "subprocess.Popen[bytes]") -> None:
        worker.wait()
        events.put(worker)

    threading.Thread(target=count_loaded, daemon=True).start()
    for worker in workers:
        threading.Thread(target=wait_for, args=(worker,), daemon=True).start()
    loaded = ended = code = 0
    while ended < len(workers):
        event = events.get()
        if event is None:
            loaded += 1
            if loaded == len(workers):
                os.close(door)
            continue
        ended += 1
        own = event.returncode if event.returncode >= 0 else 128 - event.returncode
        if not stopping.is_set():
            code = code or own or 1
            print(
                f"worker {event.pid} ended with {own}; the others follow",
                file=sys.stderr,
                flush=True,
            )
            stop()
        code = code or own
    return code
