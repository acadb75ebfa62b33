"""Several worker processes on the same sockets: they become ready together and end together."""

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

__all__ = ["Inherited", "in_worker", "supervise", "wait_for_all"]

_WORKER = "MODELYARD_WORKER"


@dataclass(frozen=True)
class Inherited:
    """File descriptors that a worker inherits from the parent process."""

    listeners: tuple[socket.socket, ...]
    loaded: int
    """A pipe: the worker writes a byte to it when its model is loaded."""
    barrier: int
    """A pipe that reaches its end when the models of all workers are loaded."""


def in_worker() -> Inherited | None:
    """Return what this worker inherited; None in the parent process."""
    if not (given := os.environ.get(_WORKER)):
        return None
    loaded, barrier, *listeners = (int(number) for number in given.split(","))
    sockets = tuple(socket.socket(fileno=listener) for listener in listeners)
    return Inherited(sockets, loaded, barrier)


def wait_for_all(inherited: Inherited) -> Callable[[Callable[[], None]], None]:
    """Return what a worker calls when its model is loaded.

    It reports this to the parent process, and calls its argument when all workers have done so.
    """

    def loaded(become_ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def all_loaded() -> None:
            loop.remove_reader(inherited.barrier)
            become_ready()

        loop.add_reader(inherited.barrier, all_loaded)
        os.write(inherited.loaded, b".")

    return loaded


def supervise(count: int, listeners: Sequence[socket.socket], arguments: Sequence[str]) -> int:
    """Run workers until SIGTERM, and return the exit code.

    If a worker ends for another reason, the others are stopped too: the kubelet then restarts the
    container and shows why.
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
        loaded, report_loaded = os.pipe()
        barrier, lift_barrier = os.pipe()
        passed = (report_loaded, barrier, *(listener.fileno() for listener in listeners))
        environment = os.environ | {
            _WORKER: ",".join(map(str, passed)),
            "PROMETHEUS_MULTIPROC_DIR": folder,
        }
        command = [sys.executable, "-m", "modelyard_runtime.serve", *arguments]
        for _ in range(count):
            workers.append(subprocess.Popen(command, env=environment, pass_fds=passed))  # noqa: PERF401, S603 - stop() must see each at once
        for theirs in (report_loaded, barrier):
            os.close(theirs)
        for listener in listeners:
            listener.close()
        return _watched(workers, loaded, lift_barrier, stop, stopping)


def _watched(
    workers: Sequence["subprocess.Popen[bytes]"],
    loaded_pipe: int,
    barrier: int,
    stop: Callable[[], None],
    stopping: threading.Event,
) -> int:
    """Lift the barrier when all workers are loaded; return the exit code of the first to fail."""
    events: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()

    def count_loaded() -> None:
        while os.read(loaded_pipe, 1):
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
                os.close(barrier)
            continue
        ended += 1
        own = event.returncode if event.returncode >= 0 else 128 - event.returncode
        if not stopping.is_set():
            code = code or own or 1
            print(
                f"worker {event.pid} ended with exit code {own}; stopping the others",
                file=sys.stderr,
                flush=True,
            )
            stop()
        code = code or own
    return code
