"""Medians, percentiles, ratios, and tables of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Sample", "Samples", "number", "percentile", "ratio", "table"]

Sample = Mapping[str, float]
"""What one run of one subject measured, by the figure's name."""


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed; NaN for
    none.
    """
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else math.nan


@dataclass
class Samples:
    """All runs, by subject in the order of their first run."""

    by_subject: dict[str, list[Sample]] = field(default_factory=dict)

    def add(self, subject: str, sample: Sample) -> None:
        self.by_subject.setdefault(subject, []).append(sample)

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(self.by_subject)

    @property
    def rounds(self) -> int:
        """How many runs each subject has, at least."""
        return min((len(runs) for runs in self.by_subject.values()), default=0)

    def values(self, subject: str, figure: str) -> list[float]:
        return [run[figure] for run in self.by_subject.get(subject, []) if figure in run]

    def median(self, subject: str, figure: str) -> float:
        """The median of a figure over a subject's runs; NaN when it was never measured."""
        found = self.values(subject, figure)
        return statistics.median(found) if found else math.nan

    def ratios(self, subject: str, base: str, figure: str) -> list[float]:
        """The figure as a multiple of another subject's in the same round, round by round."""
        pairs = zip(self.values(subject, figure), self.values(base, figure), strict=False)
        return [one / other for one, other in pairs if other]

    def ratio(self, subject: str, base: str, figure: str) -> float:
        """The median of the ratios; NaN when there is none."""
        found = self.ratios(subject, base, figure)
        return statistics.median(found) if found else math.nan


def number(value: float) -> str:
    """Three figures, and never an exponent; a dash for what was not measured."""
    if math.isnan(value):
        return "-"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 3)}f}"


def ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
