"""What the site writes itself, from the code: the words of the command line and the classes of the client.

Both change with every option that somebody adds, and stand in the code already, for `--help` and for editors: no page is committed.
"""

from collections.abc import Iterator
from typing import Any

import click
import typer

__all__ = ["client", "command_line"]

# In nearly every word's --help; docs/cli.md tells of them once.
_EVERYWHERE = {"namespace", "context", "output", "help"}

_CLASSES = (
    ("modelyard.client.client", "Client", "Client"),
    ("modelyard.client.experiments", "Experiments", "client.experiments"),
    ("modelyard.client.runs", "Runs", "client.runs"),
    ("modelyard.client.models", "Models", "client.models"),
    ("modelyard.client.local", "LocalRun", "A run that trains here"),
    ("modelyard.client.experiments", "ExperimentHandle", "An experiment"),
    ("modelyard.client.runs", "RunHandle", "A run"),
    ("modelyard.client.versions", "ModelHandle", "A model"),
    ("modelyard.client.versions", "ModelVersion", "A version"),
)
_ERRORS = ("ClientError", "NotFound", "Refused", "NotAllowed", "Unreachable", "Failed", "TimedOut", "Missing")


def command_line() -> str:
    """Return all words with their options, as Markdown."""
    from modelyard.cli.app import app  # noqa: PLC0415 - its folder is put on the path by conf.py

    group = typer.main.get_command(app)
    return "\n".join(_word(words, command) for words, command in _words(group, "modelyard"))


def _words(group: Any, before: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        words = f"{before} {name}"
        if hasattr(command, "commands"):
            yield from _words(command, words)
        elif not command.hidden:
            yield words, command


def _word(words: str, command: Any) -> str:
    context = click.Context(command, info_name=words)
    usage = " ".join([words, *command.collect_usage_pieces(context)])
    lines = [f"## {words}", "", " ".join((command.help or "").split()), "", f"```text\n{usage}\n```", ""]
    rows = []
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and parameter.name not in _EVERYWHERE:
            name, what = (" ".join(part.split()) for part in record)
            rows.append(f"| `{_cell(name)}` | {_cell(what)} |")
    return "\n".join([*lines, *(["| | |", "|---|---|", *rows, ""] if rows else [])])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def client() -> str:
    """Return the classes that people meet, by their docstrings."""
    lines = []
    for module, name, title in _CLASSES:
        lines += [
            f"## {title}",
            "",
            "```{eval-rst}",
            f".. autoclass:: {module}.{name}",
            "   :members:",
            "   :inherited-members:",
            "```",
            "",
        ]
    lines += ["## Errors", "", "```{eval-rst}"]
    for name in _ERRORS:
        lines += [f".. autoexception:: modelyard.client.errors.{name}", ""]
    return "\n".join([*lines, "```", ""])
