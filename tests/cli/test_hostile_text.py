"""Whatever text an object contains, terminals, documents and notebooks only show it."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml
from rich.panel import Panel
from rich.text import Text

from modelyard.cli.app import main
from modelyard.cli.commands.live import StatusLine
from modelyard.cli.options import Format, Where
from modelyard.cli.screen import Screen
from modelyard.client import display
from modelyard.client.display import Badge
from modelyard.client.errors import ClientError, Failed, Refused
from modelyard.client.table import facts, rows_table, table

HOSTILE = "a\x1b]52;c;cm0gLXJm\x1b\\b\x9b31mc\u202ed\u200be\x1b[2J"
HIDDEN = "\x1b\x9b\u202e\u200b"


@contextmanager
def environment(**values: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def clean(text: str) -> bool:
    return not any(char in text for char in HIDDEN)


@pytest.mark.parametrize(
    "made",
    [
        str,
        Text,
        Panel,
        lambda text: table(["A", "B"], [[text, text]], 80),
        lambda text: facts([(text, text)]),
    ],
)
def test_a_screen_shows_no_hidden_character(capsys: pytest.CaptureFixture[str], made):
    screen = Screen(Where())
    drawing = made(HOSTILE)
    screen.show(drawing)
    screen.show_table(drawing)
    screen.message(drawing)
    Screen(Where(output=Format.JSON)).message(drawing)
    with StatusLine(screen) as status:
        status.print(drawing)
        status.show(Text(HOSTILE), HOSTILE)
    out, err = capsys.readouterr()
    assert "abcde" in out
    assert "abcde" in err
    assert clean(out + err)


def test_a_live_screen_has_only_our_own_control_sequences(capsys: pytest.CaptureFixture[str]):
    with environment(FORCE_COLOR="1", TERM="xterm"):
        screen = Screen(Where())
    screen.live = True
    with StatusLine(screen) as status:
        status.show(Text(HOSTILE, style="red"), "")
        status.print(Text(HOSTILE))
    out = capsys.readouterr().out
    assert "abcde" in out
    assert "\x1b[31mabcde\x1b[0m" in out, "our own colour stays"
    ours = re.compile(r"\x1b\[(31|0|2|\?25)?[mlhK]|\x1b\[1A")
    assert clean(ours.sub("", out))


@pytest.mark.parametrize("form", [Format.JSON, Format.YAML])
def test_a_document_has_hidden_characters_as_escapes(
    capsys: pytest.CaptureFixture[str], form: Format
):
    value = {
        "bidi": "a\u202eb",
        "status": {"message": f"{HOSTILE} ü\nmore", "parameters": {HOSTILE: "1"}},
    }
    Screen(Where(output=form)).document(value)
    out = capsys.readouterr().out
    assert clean(out)
    assert (json.loads if form is Format.JSON else yaml.safe_load)(out) == value


def test_an_error_shows_no_hidden_character():
    for error in (
        ClientError(HOSTILE),
        Failed(HOSTILE, HOSTILE, HOSTILE),
        Refused(HOSTILE, (HOSTILE,)),
    ):
        assert clean(str(error))
    assert clean(Failed("x", HOSTILE, HOSTILE).message)


def test_an_error_that_ends_a_command_shows_no_hidden_character(capsys: pytest.CaptureFixture[str]):
    with environment(KUBECONFIG=f"/nowhere/{HOSTILE}"):
        assert main(["status"]) != 0
    err = capsys.readouterr().err
    assert "Error" in err
    assert clean(err)


def test_a_notebook_shows_no_hidden_character():
    row = {HOSTILE: HOSTILE, "badge": Badge(HOSTILE, "bad"), "several": [Badge(HOSTILE)]}
    shown = [
        display.html_table([row], HOSTILE),
        display.html_table([], HOSTILE),
        display.card(HOSTILE, Badge(HOSTILE), HOSTILE, row),
    ]
    shown += [display._bar(HOSTILE, 0.5, HOSTILE), display.plain([HOSTILE]), display.plain(HOSTILE)]
    assert all("abcde" in each for each in shown)
    assert all(map(clean, shown))
    assert clean(str(rows_table([{"a": HOSTILE, "b": Badge(HOSTILE)}], "")))
