"""What the site writes itself: the words of the command line and the classes of the client, from
the code; a notebook as a page.

The former change with every option that somebody adds, and stand in the code already, for `--help`
and for editors: no page is committed.
"""

import json
from collections.abc import Iterator
from typing import Any

import click

__all__ = ["client", "command_line", "notebook"]

# In nearly every word's --help; docs/cli.md tells of them once.
_EVERYWHERE = {"namespace", "context", "as_user", "as_group", "as_uid", "output", "help"}

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
    ("modelyard.client.plans", "Plan", "A plan"),
)
_ERRORS = (
    "ClientError",
    "NotFound",
    "Refused",
    "NotAllowed",
    "Unreachable",
    "Failed",
    "TimedOut",
    "Paused",
    "Missing",
)


def command_line() -> str:
    """Return all words with their options, as Markdown."""
    from modelyard.cli.app import app  # noqa: PLC0415 - its folder is put on the path by conf.py

    return "\n".join(_word(words, command) for words, command in _words(app, "modelyard"))


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
    lines = [
        f"## {words}",
        "",
        " ".join((command.help or "").split()),
        "",
        f"```text\n{usage}\n```",
        "",
    ]
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


def notebook(text: str) -> str:
    """Return a notebook as Markdown: its words, its code, and what the code showed when it was
    executed last.
    """
    return (
        "\n\n".join(piece for cell in json.loads(text)["cells"] for piece in _cell_pieces(cell))
        + "\n"
    )


def _cell_pieces(cell: Any) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        shown = {
            kind: "".join(value) for kind, value in data.items() if isinstance(value, str | list)
        }
        if "image/png" in shown:
            yield _raw(
                '<img alt="What the code above draws"'
                f' src="data:image/png;base64,{"".join(shown["image/png"].split())}">'
            )
        elif "text/html" in shown:
            yield _raw(shown["text/html"])
        elif words := shown.get("text/plain") or "".join(output.get("text", "")):
            yield f"```text\n{words.rstrip()}\n```"


def _raw(html: str) -> str:
    lines = "\n".join(line for line in html.splitlines() if line.strip())
    return f'```{{raw}} html\n<div class="shown">\n{lines}\n</div>\n```'
