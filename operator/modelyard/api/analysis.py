"""The analysis of a canary: metrics that compare a candidate with the stable version.

The statistical test is in `registered_model.sequential`; its guarantee and assumptions are in
docs/concepts/analysis.md.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from modelyard.api.base import Duration, Latency, Number, Schema, parse_duration
from modelyard.api.rules import exactly_one, list_type, rule, rules

__all__ = ["METRICS", "Analysis", "AnalysisVerdict", "ErrorRate", "LatencyQuantile", "Metric"]

METRICS = 4
"""Greatest number of metrics of a stage. Two more are added if the list has no error rate and no
refusal rate.
"""
_ERRORS, _REFUSALS = "errors", "refusals"


class AnalysisVerdict(StrEnum):
    """The verdict of an analysis, worst first. A step has the worst verdict of its metrics."""

    FAIL = "Fail"
    """The candidate is shown to be worse than the limit; final."""
    NO_DATA = "NoData"
    """The hold has ended with too few requests."""
    INCONCLUSIVE = "Inconclusive"
    """The hold has ended, and the candidate is shown neither to be worse than the limit nor to be
    within it.
    """
    CONTINUE = "Continue"
    """The hold has not ended."""
    PASS = "Pass"  # noqa: S105 - a verdict, no password
    """The candidate is shown to be within the limit."""


def _between(least: str, most: str, advice: str) -> dict[str, Any]:
    """Return the rule that a number in quotes lies between two bounds, both inclusive."""
    return rules(rule(f"double(self) >= {least} && double(self) <= {most}", advice))


class ErrorRate(Schema):
    """The share of the candidate's requests that may fail: the stable version's share times
    `timesStable`, plus `moreThanStable`.
    """

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "has(self.atMost) != (has(self.moreThanStable) || has(self.timesStable))",
                "write moreThanStable, timesStable or both; or atMost alone, and a second metric"
                " to have both kinds",
            )
        )
    }

    more_than_stable: Annotated[
        Number | None,
        Field(
            description='Added to the stable version\'s share, such as "0.005" for half a'
            ' percentage point. "0" finds a regression soonest, but a candidate that is as good'
            " as the stable version is then Inconclusive and never Pass.",
            json_schema_extra=_between("0.0", "0.5", 'write a share of 0 to 0.5, such as "0.005"'),
        ),
    ] = None
    times_stable: Annotated[
        Number | None,
        Field(
            description='Factor for the stable version\'s share, such as "2"; 1 if only'
            " moreThanStable is set.",
            json_schema_extra=_between("1.0", "100.0", 'write a factor of 1 to 100, such as "2"'),
        ),
    ] = None
    at_most: Annotated[
        Number | None,
        Field(
            description='An absolute limit, such as "0.01", independent of the stable version.',
            json_schema_extra=_between(
                "0.0001", "0.5", 'write a share of 0.0001 to 0.5, such as "0.01"'
            ),
        ),
    ] = None

    @property
    def times(self) -> float:
        """Factor for the stable version's share; 0 if the limit is absolute."""
        if self.at_most is not None:
            return 0.0
        return float(self.times_stable) if self.times_stable is not None else 1.0

    @property
    def plus(self) -> float:
        """The share that is added, or the absolute limit."""
        return float(self.at_most or self.more_than_stable or 0)


class LatencyQuantile(Schema):
    """How long the candidate's model servers may take to answer. Failed and refused requests have
    no latency.
    """

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "has(self.ratioToStable) != has(self.atMost)",
                "write either ratioToStable or atMost",
            )
        )
    }

    quantile: Annotated[
        Number,
        Field(
            description='The quantile of the answers\' latencies that is limited, such as "0.99".',
            json_schema_extra=_between(
                "0.5", "0.999", 'write a quantile of 0.5 to 0.999, such as "0.99"'
            ),
        ),
    ] = "0.99"
    ratio_to_stable: Annotated[
        Number | None,
        Field(
            description='Limit as a multiple of the stable version\'s latency, such as "1.5". It'
            " is rounded up by at most 9 %, to a power of the eighth root of 2: 1.5 acts as 1.54.",
            json_schema_extra=_between("1.0", "100.0", 'write a factor of 1 to 100, such as "1.5"'),
        ),
    ] = None
    at_most: Annotated[
        Latency | None,
        Field(
            description="An absolute limit, such as 50ms. It is rounded up by at most 9 %, as"
            " ratioToStable is.",
            json_schema_extra=rules(
                rule(
                    "self.matches('^0*([1-9][0-9]{0,3}|[1-5][0-9]{4}|60000)ms$|^0*([1-9]|[1-5][0-9]|60)s$')",
                    "write 1ms to 60s, such as 50ms",
                )
            ),
        ),
    ] = None

    @property
    def share(self) -> float:
        """The quantile, as a number."""
        return float(self.quantile)

    @property
    def ratio(self) -> float | None:
        """The limit as a multiple of the stable version's latency; None if it is absolute."""
        return float(self.ratio_to_stable) if self.ratio_to_stable is not None else None

    @property
    def seconds(self) -> float | None:
        """The absolute limit in seconds; None if it is relative."""
        if self.at_most is None:
            return None
        number = int(self.at_most.removesuffix("s").removesuffix("m"))
        return number / 1000 if self.at_most.endswith("ms") else float(number)


_KINDS = ("errorRate", "refusalRate", "latency")
_PRESET = ErrorRate(times_stable="1.5", more_than_stable="0.001")
"""The limit of the error rate and of the refusal rate where a stage sets none."""


class Metric(Schema):
    """One metric: a name, and exactly one kind."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            exactly_one(
                _KINDS,
                f"a metric has exactly one of {', '.join(_KINDS[:-1])} and {_KINDS[-1]}",
            ),
            rule(
                f"(self.name != '{_ERRORS}' || has(self.errorRate)) && (self.name != '{_REFUSALS}'"
                " || has(self.refusalRate))",
                f"the names {_ERRORS} and {_REFUSALS} are reserved for an errorRate and a"
                " refusalRate, as those of the default metrics: write another name",
            ),
        )
    }

    name: Annotated[
        str,
        Field(
            max_length=30,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            description="Name of the metric, as shown in status and events.",
        ),
    ]
    error_rate: Annotated[
        ErrorRate | None,
        Field(
            description="Share of the requests that the model server failed: status 500 and"
            " above, no connection, no answer in time."
        ),
    ] = None
    refusal_rate: Annotated[
        ErrorRate | None,
        Field(
            description="Share of the requests that the model server refused: status 400 to 499."
            " Mistakes of callers count in both versions' shares."
        ),
    ] = None
    latency: Annotated[
        LatencyQuantile | None,
        Field(description="How long answers take, as the model servers measure it."),
    ] = None

    @property
    def rate(self) -> ErrorRate | None:
        """The limit of the error rate or of the refusal rate."""
        return self.error_rate or self.refusal_rate


class Analysis(Schema):
    """Compare the candidate's answers with the stable version's, in intervals, from its first
    request to the switch.
    """

    interval: Annotated[
        Duration,
        Field(
            description="How often the candidate is judged, such as 30s. It does not affect what"
            " the analysis can detect.",
            json_schema_extra=rules(
                rule(
                    "self.matches('^0*([5-9]|[1-9][0-9]|[1-5][0-9]{2}|600)s$|^0*([1-9]|10)m$')",
                    "write 5s to 10m, such as 30s",
                )
            ),
        ),
    ] = "30s"
    false_alarms: Annotated[
        Number,
        Field(
            description="Greatest probability that a candidate within all limits is rejected,"
            " over the whole rollout, however long it takes and however often it is judged, such"
            ' as "0.01".',
            json_schema_extra=_between(
                "0.0001", "0.2", 'write a probability of 0.0001 to 0.2, such as "0.01"'
            ),
        ),
    ] = "0.01"
    min_requests: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="Number of requests to the candidate in a step before it can pass. It can"
            " fail with fewer.",
        ),
    ] = 500
    no_data: Annotated[
        Literal["Hold", "Proceed", "Abort"],
        Field(
            description="What to do if a hold ends with fewer requests than minRequests. Hold:"
            " extend the hold until there are enough. Proceed: begin the next step. Abort: reject"
            " the version."
        ),
    ] = "Hold"
    inconclusive: Annotated[
        Literal["Proceed", "Hold", "Abort"],
        Field(
            description="What to do if a hold ends and the candidate is shown neither to be worse"
            " than the limit nor to be within it. Proceed: begin the next step, and continue the"
            " test with its traffic. Hold: extend the hold until one of them is shown. Abort:"
            " reject the version."
        ),
    ] = "Proceed"
    failure_limit: Annotated[
        int,
        Field(
            ge=0,
            le=10,
            description="How many bad intervals are tolerated, however bad: with 1, at least two"
            " bad intervals are needed to fail the candidate.",
        ),
    ] = 1
    metrics: Annotated[
        tuple[Metric, ...],
        Field(
            max_length=METRICS,
            description="Metrics to judge. If none is an errorRate, one named errors is added,"
            ' with timesStable "1.5" and moreThanStable "0.001"; if none is a refusalRate, one'
            " named refusals is added, with the same limit.",
            json_schema_extra=list_type("name"),
        ),
    ] = ()

    @property
    def every(self) -> timedelta:
        """Length of one interval."""
        return parse_duration(self.interval)

    @property
    def judged(self) -> tuple[Metric, ...]:
        """All metrics that are judged: those of the spec and the default ones."""
        always = []
        if all(metric.error_rate is None for metric in self.metrics):
            always.append(Metric(name=_ERRORS, error_rate=_PRESET))
        if all(metric.refusal_rate is None for metric in self.metrics):
            always.append(Metric(name=_REFUSALS, refusal_rate=_PRESET))
        return (*always, *self.metrics)

    @property
    def alpha(self) -> float:
        """Probability of a false alarm per metric: `falseAlarms` divided by their number."""
        return float(self.false_alarms) / len(self.judged)
