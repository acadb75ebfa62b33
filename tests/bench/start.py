"""Starting: how long a word of the command line takes, from the fork to the end of the process,
installed as a user installs it.

The wheel of this checkout in an environment of its own; etcd and kube-apiserver as processes, on
which there are models and runs as the operator writes them. Besides: `kubectl get`, for what a
round to the API server costs, and Python with nothing to do.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Samples
from tests.cli.objects import model_body, run_body
from tests.client.side import Side
from tests.cluster.apiserver import ApiServer
from tests.cluster.console import Console, Failed
from tests.cluster.settings import Settings
from tests.harness import Manifest, serving

__all__ = ["BAR", "KUBECTL", "PYTHON", "WORDS", "measure"]

BAR = 0.3
"""Seconds; the start-up that users are promised."""
PYTHON, KUBECTL = "python -c pass", "kubectl get registeredmodels,trainingruns"
WORDS = (
    "--version",
    "--help",
    "train --help",
    "status",
    "status fraud-1",
    "history fraud-1",
    "runs list",
    "runs show run-1",
    "experiments list",
    "promote fraud-1 v1 --to production --dry-run",
)
MODELS, RUNS, TIMES = 5, 10, 7
VERSIONS = {"v1": {"runId": "1" * 32}, "v2": {"runId": "2" * 32}}


@dataclass(frozen=True)
class Command:
    """What is started, and what it is called."""

    title: str
    words: tuple[str, ...]


def measure(settings: Settings, rounds: int, console: Console) -> Samples:
    """Start every command in every round, so often in a row; a round's figure is their median.

    Raises:
        Failed: The package cannot be installed, or a command ended badly.

    """
    samples = Samples()
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name, serving() as cluster:
        folder = Path(name)
        console.say("start: installing the package as a user does")
        modelyard = installed(settings, folder)
        with inhabited(cluster.server) as namespace:
            environment = {
                "HOME": name,
                "PATH": os.environ["PATH"],
                "KUBECONFIG": str(cluster.server.kubeconfig),
                "NO_COLOR": "1",
            }
            every = tuple(commands(modelyard, settings.bin / "kubectl", namespace))
            for command in every:  # compiles, and fills the machine's cache of files
                timed(command, environment)
            for number in range(rounds):
                for command in every:
                    runs = [timed(command, environment) for _ in range(TIMES)]
                    sample = {
                        "wall": statistics.median(wall for wall, _ in runs),
                        "cpu": statistics.median(cpu for _, cpu in runs),
                    }
                    samples.add(command.title, sample)
                    console.say(
                        f"start {number + 1}/{rounds}: {command.title}: {sample['wall']:.3f} s"
                    )
    return samples


def commands(modelyard: Path, kubectl: Path, namespace: str) -> Iterator[Command]:
    """All that is started, with the namespace where one is asked for."""
    python = modelyard.with_name("python")
    yield Command(PYTHON, (str(python), "-c", "pass"))
    yield Command(KUBECTL, (str(kubectl), *KUBECTL.split()[1:], "-n", namespace))
    for words in WORDS:
        where = () if words.startswith("--") or words.endswith("--help") else ("-n", namespace)
        yield Command(f"modelyard {words}", (str(modelyard), *words.split(), *where))


def installed(settings: Settings, folder: Path) -> Path:
    """Build the wheel and install it with what it needs, from the package index; return the
    program.
    """
    uv = shutil.which("uv") or settings.cache / "uv" / "bin" / "uv"
    place = folder / "venv"
    done(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=settings.root)
    (wheel,) = folder.glob("modelyard-*.whl")
    done(uv, "venv", "--quiet", "--python", sys.executable, place)
    done(
        uv,
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        place / "bin" / "python",
        wheel,
    )
    return place / "bin" / "modelyard"


def done(*words: object, cwd: Path | None = None) -> None:
    ended = subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Failed(f"{' '.join(map(str, words[:3]))} failed: {ended.stderr.strip()[-400:]}")


def timed(command: Command, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of one start, by the clock and of CPU."""
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        streams = [(os.POSIX_SPAWN_DUP2, nothing, number) for number in range(3)]
        begun = time.monotonic()
        process = os.posix_spawn(command.words[0], command.words, environment, file_actions=streams)
        _, code, used = os.wait4(process, 0)
        took = time.monotonic() - begun
    finally:
        os.close(nothing)
    if code:
        raise Failed(f"{command.title} ended with {os.waitstatus_to_exitcode(code)}")
    return took, used.ru_utime + used.ru_stime


@contextmanager
def inhabited(server: ApiServer) -> Iterator[str]:
    """A namespace with models and runs, as an operator leaves them; yields its name."""
    with closing(Side(server, "bench")) as side:
        side.create("v1", "Namespace", side.namespace)
        for number in range(MODELS):
            body = model_body()
            body["spec"]["versions"] = VERSIONS
            written(side, f"fraud-{number}", body)
        for number in range(RUNS):
            written(side, f"run-{number}", run_body())
        yield side.namespace


def written(side: Side, name: str, body: Manifest) -> None:
    """Create an object, and write its status; the API server wants what a drawing does without."""
    side.ours(body["kind"], name, body["spec"])
    conditions = [
        {"message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"} | each
        for each in body["status"]["conditions"]
    ]
    side.patch(
        body["kind"], name, {"status": body["status"] | {"conditions": conditions}}, "/status"
    )
