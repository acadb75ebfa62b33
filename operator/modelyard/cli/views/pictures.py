"""A comparison as a self-contained HTML page, and as a PNG."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from modelyard.cli.views.compare import Comparison, Points
from modelyard.client.errors import Missing
from modelyard.client.text import number

__all__ = ["page", "png"]

_COLOURS = ("#1f77b4", "#d95f02")
_WIDTH, _HEIGHT, _EDGE = 560, 220, 44
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid #ddd }
tr.differs td { font-weight: 600 }
svg { max-width: 100%; height: auto }
text { font: 11px sans-serif; fill: #555 }
.missing { color: #a15c00 }
"""


def page(comparison: Comparison) -> str:
    """Return a self-contained HTML page."""
    left, right = comparison.left, comparison.right
    title = f"{comparison.model}: {left.name} and {right.name}"
    metrics = [
        {name: number(value) for name, value in side.metrics.items()} for side in (left, right)
    ]
    tables = [
        _table("Versions", left.name, right.name, dict(left.facts), dict(right.facts)),
        _table("Parameters", left.name, right.name, dict(left.parameters), dict(right.parameters)),
        _table("Metrics", left.name, right.name, metrics[0], metrics[1]),
    ]
    curves = [
        f"<h3>{escape(name)}</h3>{_svg(pair, (left.name, right.name))}"
        for name, pair in comparison.curves().items()
    ]
    missing = [f'<p class="missing">{escape(words)}</p>' for words in comparison.missing]
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            *tables,
            *(["<h2>Curves</h2>"] if curves else []),
            *curves,
            *missing,
        ]
    )
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _table(title: str, one: str, other: str, left: dict[str, str], right: dict[str, str]) -> str:
    names = [*left, *(name for name in right if name not in left)]
    if not names:
        return ""
    head = "".join(f"<th>{escape(each)}</th>" for each in ("", one, other))
    rows = "".join(_row(name, left.get(name), right.get(name)) for name in names)
    return f"<h2>{title}</h2><table><tr>{head}</tr>{rows}</table>"


def _row(name: str, one: str | None, other: str | None) -> str:
    cells = "".join(
        f"<td>{escape(each if each is not None else '-')}</td>" for each in (name, one, other)
    )
    kind = "same" if one == other else "differs"
    return f'<tr class="{kind}">{cells}</tr>'


def _svg(pair: tuple[Points, Points], names: tuple[str, str]) -> str:
    points = [point for series in pair for point in series]
    (first, last), (low, high) = (
        _span(step for step, _ in points),
        _span(value for _, value in points),
    )

    def place(step: float, value: float) -> str:
        x = _EDGE + (step - first) / ((last - first) or 1) * (_WIDTH - 2 * _EDGE)
        y = _HEIGHT - _EDGE / 2 - (value - low) / ((high - low) or 1) * (_HEIGHT - _EDGE)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for series, name, colour, at in zip(pair, names, _COLOURS, (0, 1), strict=True):
        where = " ".join(place(step, value) for step, value in series)
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{where}"/>')
        lines.append(
            f'<text x="{_WIDTH - _EDGE + 4}" y="{24 + 16 * at}"'
            f' style="fill:{colour}">{escape(name)}</text>'
        )
    marks = (
        f'<text x="2" y="20">{number(high)}</text><text x="2"'
        f' y="{_HEIGHT - _EDGE / 2}">{number(low)}</text><text x="{_EDGE}"'
        f' y="{_HEIGHT - 4}">{number(first)}</text><text x="{_WIDTH - _EDGE - 20}"'
        f' y="{_HEIGHT - 4}">{number(last)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
        f' role="img">{marks}{"".join(lines)}</svg>'
    )


def _span(values: Iterable[float]) -> tuple[float, float]:
    every = list(values)
    return min(every), max(every)


def png(comparison: Comparison, path: Path) -> None:
    """Draw the curves into a PNG file, or the metrics as bars if there are no curves.

    Raises:
        Missing: matplotlib is not installed.

    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - takes half a second
    except ImportError as error:
        raise Missing("matplotlib", "A PNG") from error
    curves, names = comparison.curves(), (comparison.left.name, comparison.right.name)
    figure = Figure(figsize=(8, 3 * max(1, len(curves))), layout="constrained")
    for at, (name, pair) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(len(curves), 1, at)
        for series, label, colour in zip(pair, names, _COLOURS, strict=True):
            axes.plot(
                [step for step, _ in series],
                [value for _, value in series],
                color=colour,
                label=label,
            )
        axes.set_title(name)
        axes.legend()
    if not curves:
        axes = figure.add_subplot()
        metrics = sorted({*comparison.left.metrics, *comparison.right.metrics})
        for side, colour, shift in zip(
            (comparison.left, comparison.right), _COLOURS, (-0.2, 0.2), strict=True
        ):
            axes.bar(
                [at + shift for at in range(len(metrics))],
                [side.metrics.get(metric, 0) for metric in metrics],
                0.4,
                color=colour,
                label=side.name,
            )
        axes.set_xticks(range(len(metrics)), metrics)
        axes.legend()
    figure.suptitle(f"{comparison.model}: {names[0]} and {names[1]}")
    figure.savefig(path, format="png", dpi=120)
