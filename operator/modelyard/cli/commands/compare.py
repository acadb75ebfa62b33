"""`compare`: two versions side by side. What could not be read is printed with the reason."""

from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from modelyard.api.registered_model import RegisteredModel, VersionStatus
from modelyard.api.training_run import TrainingRun
from modelyard.cli.commands import mlflow_reader
from modelyard.cli.commands.session import Session, now, opened
from modelyard.cli.options import Format, Where, parts
from modelyard.cli.views import compare as views
from modelyard.cli.views.pictures import page, png
from modelyard.client.errors import ClientError, NotFound
from modelyard.client.text import short_digest, size

__all__ = ["Pictures", "compare", "facts"]


@dataclass(frozen=True)
class Pictures:
    """The pictures to draw: files, and whether with curves."""

    png: Path | None = None
    html: Path | None = None
    curves: bool = True


def compare(where: Where, first: str, second: str, pictures: Pictures) -> None:
    """Compare two versions."""
    session = opened(where)
    one, other = parts(first), parts(second.removeprefix("@"))
    if other.which is None:  # `compare fraud@v1 v2`
        other = parts(f"{one.model}@{other.model}")
    left, right = session.model(one.model), session.model(other.model)
    versions = [
        session.version_of(model, which)
        for model, which in ((left, one.which), (right, other.which))
    ]
    same = one.model == other.model
    missing: list[str] = []
    sides = [
        _side(
            session,
            model,
            version,
            version if same else f"{model.metadata.name}@{version}",
            missing,
            curves=pictures.curves,
        )
        for model, version in zip((left, right), versions, strict=True)
    ]
    title = left.key if same else f"{left.key}, {right.key}"
    comparison = views.Comparison(title, sides[0], sides[1], tuple(dict.fromkeys(missing)))
    _drawn(session, comparison, pictures)
    if where.output is Format.NAME:
        session.screen.names(versions)
    elif where.document:
        session.screen.document(views.document(comparison, now()))
    else:
        session.screen.show_table(views.compare(comparison, session.screen.width, wide=where.wide))


def _drawn(session: Session, comparison: views.Comparison, pictures: Pictures) -> None:
    """Write the requested pictures."""
    if pictures.png is not None:
        png(comparison, pictures.png)
        session.screen.message(Text(f"Written: {pictures.png}"))
    if pictures.html is not None:
        pictures.html.write_text(page(comparison), encoding="utf-8")
        session.screen.message(Text(f"Written: {pictures.html}"))


def _side(
    session: Session,
    model: RegisteredModel,
    version: str,
    name: str,
    missing: list[str],
    *,
    curves: bool,
) -> views.Side:
    """Collect one version's facts from its RegisteredModel, its TrainingRun and MLflow."""
    status = next(each for each in model.status.versions if each.name == version)
    run = _run(session, status)
    parameters = run.parameters if run else {}
    metrics = {metric.name: float(metric.value) for metric in run.status.metrics} if run else {}
    run_id = status.run_id or (run.status.mlflow.run_id if run and run.status.mlflow else None)
    histories: dict[str, list[tuple[float, float]]] = {}
    if curves and run_id:
        try:
            tracked = mlflow_reader.tracked(session, run_id)
            parameters, metrics, histories = (
                parameters | tracked.parameters,
                tracked.metrics | metrics,
                tracked.curves,
            )
        except ClientError as error:
            missing.append(f"No curves: {error}")
    return views.Side(name, facts(status, run), parameters, metrics, histories)


def _run(session: Session, version: VersionStatus) -> TrainingRun | None:
    if version.training_run is None:
        return None
    try:
        return session.client.runs.get(version.training_run).object
    except NotFound:  # a TrainingRun may be deleted while its version stays
        return None


def facts(version: VersionStatus, run: TrainingRun | None) -> dict[str, str]:
    """Return the facts that tell versions apart, by name. Pure."""
    found = {
        "from": version.training_run
        or (f"run {version.run_id}" if version.run_id else version.uri or "-"),
        "registered": f"{version.registered_time:%Y-%m-%d %H:%M}"
        if version.registered_time
        else "-",
        "flavour": version.flavor or "-",
        "size": size(version.bytes),
        "digest": short_digest(version.digest),
        "signature": version.signature or "none",
        "stages": ", ".join(version.stages) or "none",
    }
    if run is not None and run.spec.dataset is not None:
        data, read = run.spec.dataset, run.status.dataset
        found["data"] = f"{data.name}, {data.uri or 'synthetic'}"
        found["data digest"] = short_digest(read.digest if read else data.digest)
        found["rows"] = str(read.rows) if read else "-"
    return found
