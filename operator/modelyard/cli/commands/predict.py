"""`predict`: rows from a file or from standard input, asked of the model that serves a stage.
How it is reached is the client's matter.
"""

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from modelyard.api.csv_texts import column_names
from modelyard.api.registered_model import RegisteredModel
from modelyard.cli.commands.session import opened
from modelyard.cli.options import Where, parts
from modelyard.client.errors import NotFound
from modelyard.client.predict import Table

__all__ = ["Input", "predict", "rows"]

_FORMS = (
    "a list of rows, a list of records, columns, or a body with instances, inputs, dataframe_split"
    " or dataframe_records"
)


@dataclass(frozen=True)
class Input:
    """Where the rows come from: a file's path, JSON itself, or nothing or - for standard input."""

    source: str = ""
    csv: bool = False


def predict(where: Where, text: str, given: Input, timeout: float) -> None:
    """Ask, and print one prediction a line, or a document for programs."""
    target, data = parts(text), _read(given)
    session = opened(where)
    model = session.model(target.model)
    stage = session.stage_of(model, _holding(model, target.which))
    answer = session.client.models.predict(target.model, data, stage, seconds=timeout)
    predictions = (
        [dict(zip(answer, row, strict=True)) for row in zip(*answer.values(), strict=True)]
        if isinstance(answer, dict)
        else answer
    )
    if where.document:
        version = model.status.stages[stage].version if stage in model.status.stages else None
        session.screen.document(
            {"model": target.model, "stage": stage, "version": version, "predictions": predictions}
        )
        return
    for each in predictions:
        session.screen.show_table(Text(json.dumps(each, ensure_ascii=False)))


def _holding(model: RegisteredModel, which: str | None) -> str | None:
    """Return the stage that is meant: what was named, or the stage that the named version holds.

    Raises:
        NotFound: The version holds none, so nothing serves it.

    """
    if which in model.spec.stages or all(
        version.name != which for version in model.status.versions
    ):
        return which
    holding = [name for name, status in model.status.stages.items() if status.version == which]
    held = [name for name in holding if model.status.stages[name].url]
    # One without pods is no answer, and the client says why.
    held += [
        name
        for name in holding
        if name in model.spec.stages and model.spec.stages[name].serving.replicas == 0
    ]
    if not held:
        raise NotFound(
            f"{which} of {model.key} holds no stage that serves it: promote it, or ask one of"
            f" {', '.join(model.spec.stages)}."
        )
    return held[0]


def _read(given: Input) -> Any:
    """Return the rows.

    Raises:
        typer.BadParameter: They cannot be read.

    """
    if given.source.startswith(("[", "{")):
        return rows(given.source)
    named = given.source not in {"", "-"}
    try:
        # As bytes: a text file's reader would turn a line break within quotes into another one.
        text = (Path(given.source).read_bytes() if named else sys.stdin.buffer.read()).decode()
    except (OSError, UnicodeDecodeError) as error:
        subject = given.source if named else "Standard input"
        raise typer.BadParameter(f"{subject} cannot be read: {error}") from None
    return rows(text, as_csv=given.csv or given.source.lower().endswith(".csv"))


def rows(text: str, *, as_csv: bool = False) -> Any:
    """Read rows from JSON or CSV: a list of rows, columns by name, or the texts of a CSV file.
    Pure.

    Raises:
        typer.BadParameter: It is neither.

    """
    text = text.removeprefix("\ufeff")  # with this mark Excel begins what it saves as CSV in UTF-8
    if as_csv:
        return _csv(text)
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"The input is not JSON ({error}); CSV is said by --csv or by a file that ends in .csv."
        ) from None
    if isinstance(value, dict):
        for form in ("instances", "inputs", "dataframe_records"):
            if form in value:
                value = value[form]
                break
        else:
            if isinstance(split := value.get("dataframe_split"), dict):
                return _split(split)
    if isinstance(value, dict):
        return {
            name: column if isinstance(column, list) else [column] for name, column in value.items()
        }
    if not isinstance(value, list) or not value:
        raise typer.BadParameter(f"The input is no rows: give {_FORMS}.")
    if all(isinstance(row, dict) for row in value):
        if {"name", "shape", "datatype"} <= set(value[0]):
            raise typer.BadParameter(f"The input is a body of the V2 protocol; give {_FORMS}.")
        names = list(dict.fromkeys(name for row in value for name in row))
        return {name: [row.get(name) for row in value] for name in names}
    return value if all(isinstance(row, list) for row in value) else [value]


def _split(split: dict[str, Any]) -> Any:
    """Return the rows of a dataframe_split: columns by name, or a list of rows where it names
    none.
    """
    data, names = split.get("data"), split.get("columns")
    if not isinstance(data, list) or not data or not all(isinstance(row, list) for row in data):
        raise typer.BadParameter(
            "dataframe_split holds no rows: give data, a list of lists, and columns, their names."
        )
    if names is None:
        return data
    if not isinstance(names, list) or any(len(row) != len(names) for row in data):
        raise typer.BadParameter(
            "dataframe_split must have a list of columns, and as many values in every row of data."
        )
    if len(set(map(str, names))) < len(names):
        raise typer.BadParameter(
            "dataframe_split names a column twice; give each column a name of its own."
        )
    return {str(name): [row[at] for row in data] for at, name in enumerate(names)}


def _csv(text: str) -> Table:
    """Return a CSV file's texts; what they mean is for the model's signature to say."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        found = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise typer.BadParameter(f"Line {reader.line_num} of the CSV: {error}.") from None
    if len(found) < 2:
        raise typer.BadParameter(
            "The CSV has no rows: it begins with a head, one name for each column."
        )
    (_, head), *body = found
    if odd := next(((line, row) for line, row in body if len(row) != len(head)), None):
        line, row = odd
        raise typer.BadParameter(
            f"The row that ends in line {line} of the CSV has {len(row)} fields, its head"
            f" {len(head)}."
        )
    return Table(tuple(column_names(head)), tuple(tuple(row) for _, row in body), written=True)
