"""`predict`: send rows from a file or standard input to a stage, and print the predictions."""

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
    """Where the rows come from: a path, JSON itself, or empty or `-` for standard input."""

    source: str = ""
    csv: bool = False


def predict(where: Where, text: str, given: Input, timeout: float) -> None:
    """Print one prediction per line, or one document for programs."""
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
    """Return the named stage, or a stage in which the named version is served.

    Raises:
        NotFound: The version is served in no stage.

    """
    if which in model.spec.stages or all(
        version.name != which for version in model.status.versions
    ):
        return which
    holding = [name for name, status in model.status.stages.items() if status.version == which]
    held = [name for name in holding if model.status.stages[name].url]
    # A stage without pods cannot answer; the client says why.
    held += [
        name
        for name in holding
        if name in model.spec.stages and model.spec.stages[name].serving.replicas == 0
    ]
    if not held:
        raise NotFound(
            f"{which} of {model.key} is not served in any stage. Promote it, or use one of the"
            f" stages {', '.join(model.spec.stages)}."
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
        # As bytes: reading as text would change line breaks inside quotes.
        text = (Path(given.source).read_bytes() if named else sys.stdin.buffer.read()).decode()
    except (OSError, UnicodeDecodeError) as error:
        subject = given.source if named else "Standard input"
        raise typer.BadParameter(f"{subject} cannot be read: {error}") from None
    return rows(text, as_csv=given.csv or given.source.lower().endswith(".csv"))


def rows(text: str, *, as_csv: bool = False) -> Any:
    """Parse rows from JSON or CSV: a list of rows, columns by name, or the texts of a CSV. Pure.

    Raises:
        typer.BadParameter: The text is neither.

    """
    text = text.removeprefix("\ufeff")  # Excel writes this mark at the start of a UTF-8 CSV
    if as_csv:
        return _csv(text)
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"The input is not JSON ({error}). For CSV use --csv, or a file name that ends in .csv."
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
        raise typer.BadParameter(f"The input has no rows: give {_FORMS}.")
    if all(isinstance(row, dict) for row in value):
        if {"name", "shape", "datatype"} <= set(value[0]):
            raise typer.BadParameter(f"The input is a request of the V2 protocol; give {_FORMS}.")
        names = list(dict.fromkeys(name for row in value for name in row))
        return {name: [row.get(name) for row in value] for name in names}
    return value if all(isinstance(row, list) for row in value) else [value]


def _split(split: dict[str, Any]) -> Any:
    """Return the rows of a dataframe_split: columns by name, or a list of rows without names."""
    data, names = split.get("data"), split.get("columns")
    if not isinstance(data, list) or not data or not all(isinstance(row, list) for row in data):
        raise typer.BadParameter(
            "dataframe_split has no rows: give data, a list of lists, and columns, their names."
        )
    if names is None:
        return data
    if not isinstance(names, list) or any(len(row) != len(names) for row in data):
        raise typer.BadParameter(
            "dataframe_split must have a list of columns, and one value per column in each row."
        )
    if len(set(map(str, names))) < len(names):
        raise typer.BadParameter(
            "dataframe_split names a column twice; give each column its own name."
        )
    return {str(name): [row[at] for row in data] for at, name in enumerate(names)}


def _csv(text: str) -> Table:
    """Return a CSV file's texts; the model's signature decides their types."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        found = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise typer.BadParameter(f"Line {reader.line_num} of the CSV: {error}.") from None
    if len(found) < 2:
        raise typer.BadParameter(
            "The CSV has no rows: it needs a header line with column names, and rows below it."
        )
    (_, head), *body = found
    if odd := next(((line, row) for line, row in body if len(row) != len(head)), None):
        line, row = odd
        raise typer.BadParameter(
            f"The row that ends in line {line} of the CSV has {len(row)} fields, but the header has"
            f" {len(head)}."
        )
    return Table(tuple(column_names(head)), tuple(tuple(row) for _, row in body), written=True)
