"""Compare users' screens word for word with committed files: 80 columns, no colour.

`pytest tests/cli --update-screens` writes the files again; review the difference before you commit.
"""

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from tests import goldens
from tests.cli.served import served_model
from tests.client.conftest import policies, side
from tests.client.side import Side
from tests.harness import Manifest
from tests.runtime.conftest import models, served

__all__ = ["FILES", "Person", "Seen", "drawn", "models", "policies", "served", "side"]

FILES = Path(__file__).parent / "golden"
WIDTH = 80

Seen = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cli/" in item.path.as_posix() and "side" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.api)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-screens", action="store_true", help="write the screens again")


def drawn(drawing: RenderableType, width: int = WIDTH, *, table: bool = False) -> str:
    """Return the screen of a terminal of that width, without colour."""
    out = io.StringIO()
    Console(file=out, width=width, no_color=True, highlight=False, markup=False).print(
        drawing, soft_wrap=table, crop=False
    )
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Seen:
    """Compare a screen with the file of that name, or write the file."""

    def compare(
        name: str, drawing: RenderableType, *, table: bool = False, width: int = WIDTH
    ) -> None:
        text = drawn(drawing, width, table=table)
        anew = bool(request.config.getoption("--update-screens", default=False))
        goldens.compare(FILES / f"{name}.txt", text, "pytest tests/cli --update-screens", anew=anew)
        if not table:
            assert max(len(line) for line in text.splitlines() if "://" not in line) <= width, (
                "only addresses are not broken"
            )

    return compare


# Texts that differ per cluster and time, with their placeholder in the file. Columns are as wide as
# their contents, so runs of spaces become two.
CHANGING = (
    (r"\x1b\[[0-9;]*m", "A COLOUR"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", "TIME"),
    (r"TIME +TIME  +differs", "TIME  TIME"),  # unless they happened in the same minute
    (r"#/experiments/\d+", "#/experiments/NUMBER"),
    (r"(?<=/runs/)[0-9a-f]+\n[0-9a-f]+", "RUN-ID"),
    (r"\b[0-9a-f]{32}\b", "RUN-ID"),
    (r"\b(sha256:)?(?=[a-f]*\d)[0-9a-f]{12,64}\b", "DIGEST"),
    (r"https?://[\d.]+:\d+", "ADDRESS"),
    (r"\b\d+(\.\d+)? [kM]?B\b", "SIZE"),
    (r"(?<![\w.])\d+[smhd](\d+[smhd])?\b", "AGE"),
    (r"\b0\.\d{5,}\b", "METRIC"),  # the last digit depends on the processor
    (r"(?<=\S)  +", "  "),
)


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Compare a command's output on a real cluster with the file of that name, or write the
    file.
    """

    def compare(name: str, text: str, **names: str) -> None:
        for word, value in names.items():
            text = text.replace(value, word.upper())
        for pattern, word in CHANGING:
            text = re.sub(pattern, word, text)
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
        anew = bool(request.config.getoption("--update-screens", default=False))
        goldens.compare(
            FILES / "cluster" / f"{name}.txt",
            text,
            "pytest tests/cli/test_on_cluster.py --update-screens",
            anew=anew,
        )

    return compare


@dataclass(frozen=True)
class Person:
    """A user whose commands run through the installed program, without a terminal."""

    kubeconfig: Path
    namespace: str
    seconds: float = 240
    """Time limit of a command."""

    def _command(self, *words: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "modelyard",
            *words,
            *(["-n", self.namespace] if self.namespace else []),
        ]

    @property
    def _environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "NO_COLOR": "1", "COLUMNS": "80"}

    def says(self, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command and wait for its end."""
        done = subprocess.run(
            self._command(*words),
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=self.seconds,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def sees(self, *words: str) -> str:
        """Run a command that must succeed; return its output."""
        done = self.says(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def begins(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command without waiting for it."""
        return subprocess.Popen(
            self._command(*words),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def interrupts(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
        """Send Ctrl-C; return the exit code and the output."""
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=240)
        assert "Traceback" not in err, err
        return process.returncode, out, err


@pytest.fixture
def person(side: Side) -> Person:
    """An administrator at a terminal."""
    return Person(side.server.kubeconfig, side.namespace)


@pytest.fixture
def fraud(side: Side) -> Manifest:
    """The model fraud, with v2 in production after v1."""
    return served_model(side)
