"""What people see, compared word for word with a committed file: 80 columns, no colour.

pytest tests/cli --update-screens     writes the files anew; read the difference before it is committed
"""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

FILES = Path(__file__).parent / "golden"
WIDTH = 80

Seen = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-screens", action="store_true", help="write what is drawn anew")


def drawn(drawing: RenderableType, width: int = WIDTH, *, table: bool = False) -> str:
    """What a screen of that width would show, without colour."""
    out = io.StringIO()
    Console(file=out, width=width, no_color=True, highlight=False, markup=False).print(drawing, soft_wrap=table)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Seen:
    """Compare a drawing with the file of that name, or write it."""

    def compare(name: str, drawing: RenderableType, *, table: bool = False, width: int = WIDTH) -> None:
        path, text = FILES / f"{name}.txt", drawn(drawing, width, table=table)
        if request.config.getoption("--update-screens", default=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.is_file(), "write it: pytest tests/cli --update-screens"
        assert text == path.read_text(), "if that is meant: pytest tests/cli --update-screens"
        if not table:
            assert max(map(len, text.splitlines())) <= width

    return compare
