"""The analysis of a canary: by which counts a candidate is judged against the stable version, and
what follows.

The test is `registered_model.sequential`; what the promise is and what it rests on is in
docs/concepts/analysis.md.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from modelyard.api.base import Duration, Latency, Number, Schema, parse_duration
from modelyard.api.rules import exactly_one, listed, rule, rules

__all__ = ["METRICS", "Analysis", "AnalysisVerdict", "ErrorRate", "LatencyQuantile", "Metric"]

METRICS = 4
"""How many metrics a stage lists; two more are judged where the list has no error rate and no
refusal rate.
"""
_ERRORS, _REFUSALS = "errors", "refusals"


class AnalysisVerdict(StrEnum):
    """What an analysis says of a candidate, the worst first: a step has the worst of its
    metrics.
    """

    FAIL = "Fail"
    """Shown to be worse than the limit; final."""
    NO_DATA = "NoData"
    """The hold is over, and there were too few requests."""
    INCONCLUSIVE = "Inconclusive"
    """The hold is over, and it is shown to be neither worse than the limit nor within it."""
    CONTINUE = "Continue"
    """The hold is not over."""
    PASS = "Pass"  # noqa: S105 - a verdict, no password
    """Shown to be within the limit."""


def _between(least: str, most: str, advice: str) -> dict[str, Any]:
    """Return the rule that a number in quotes lies between two others, both included."""
    return rules(rule(f"double(self) >= {least} && double(self) <= {most}", advice))


class ErrorRate(Schema):
    """How large a share of the candidate's requests may fail: `timesStable` of the stable
    version's share plus `moreThanStable`.
    """

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "has(self.atMost) != (has(self.moreThanStable) || has(self.timesStable))",
                "write moreThanStable, timesStable or both; or atMost alone, and a second metric"
                " where both kinds are wanted",
            )
        )
    }

    more_than_stable: Annotated[
        Number | None,
        Field(
            description='What is added to the stable version\'s share, such as "0.005" for half a percentage point. "0" finds a'
            " regression soonest; an equal candidate is then Inconclusive and never Pass.",
            json_schema_extra=_between("0.0", "0.5", 'write a share of 0 to 0.5, such as "0.005"'),
        ),
    ] = None
    times_stable: Annotated[
        Number | None,
        Field(
            description='What the stable version\'s share is multiplied by, such as "2"; 1 if only'
            " moreThanStable is there.",
            json_schema_extra=_between("1.0", "100.0", 'write a factor of 1 to 100, such as "2"'),
        ),
    ] = None
    at_most: Annotated[
        Number | None,
        Field(
            description='A limit of its own, such as "0.01", whatever the stable version does.',
            json_schema_extra=_between(
                "0.0001", "0.5", 'write a share of 0.0001 to 0.5, such as "0.01"'
            ),
        ),
    ] = None

    @property
    def times(self) -> float:
        """What the stable version's share is multiplied by; 0: it is not compared with."""
        if self.at_most is not None:
            return 0.0
        return float(self.times_stable) if self.times_stable is not None else 1.0

    @property
    def plus(self) -> float:
        """The share that is added to it."""
        return float(self.at_most or self.more_than_stable or 0)


class LatencyQuantile(Schema):
    """How long the candidate's model servers may take; requests that failed or were refused have
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
            description='The share of the answers that are as fast or faster, such as "0.99".',
            json_schema_extra=_between(
                "0.5", "0.999", 'write a quantile of 0.5 to 0.999, such as "0.99"'
            ),
        ),
    ] = "0.99"
    ratio_to_stable: Annotated[
        Number | None,
        Field(
            description='How many times as long as the stable version, such as "1.5". It is rounded up by at most 9 %, to a power of'
            " the eighth root of 2: 1.5 acts as 1.54.",
            json_schema_extra=_between("1.0", "100.0", 'write a factor of 1 to 100, such as "1.5"'),
        ),
    ] = None
    at_most: Annotated[
        Latency | None,
        Field(
            description="A limit of its own, such as 50ms. It is rounded up by at most 9 %, as"
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
        """The share of the answers that are as fast or faster."""
        return float(self.quantile)

    @property
    def ratio(self) -> float | None:
        """How many times as long as the stable version; None: it is not compared with."""
        return float(self.ratio_to_stable) if self.ratio_to_stable is not None else None

    @property
    def seconds(self) -> float | None:
        """The limit of its own, in seconds; None: there is none."""
        if self.at_most is None:
            return None
        number = int(self.at_most.removesuffix("s").removesuffix("m"))
        return number / 1000 if self.at_most.endswith("ms") else float(number)


_KINDS = ("errorRate", "refusalRate", "latency")
_PRESET = ErrorRate(times_stable="1.5", more_than_stable="0.001")
"""What may fail, and what may be refused, where a stage says nothing of it."""


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
                f"only an errorRate is called {_ERRORS} and only a refusalRate {_REFUSALS}, for so"
                " are those that are judged by default: write another name",
            ),
        )
    }

    name: Annotated[
        str,
        Field(
            max_length=30,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            description="Its name, as status and events show it.",
        ),
    ]
    error_rate: Annotated[
        ErrorRate | None,
        Field(
            description="Requests that the model server failed: 500 and above, no connection, no"
            " answer in time."
        ),
    ] = None
    refusal_rate: Annotated[
        ErrorRate | None,
        Field(
            description="Requests that the model server refused: 400 to 499. Callers' own mistakes"
            " are in both versions' shares."
        ),
    ] = None
    latency: Annotated[
        LatencyQuantile | None,
        Field(description="How long answers take, as the model servers measure it."),
    ] = None

    @property
    def rate(self) -> ErrorRate | None:
        """The limit of a share, of errors or of refusals."""
        return self.error_rate or self.refusal_rate


class Analysis(Schema):
    """Judge the candidate by what it answers beside the stable version, in intervals, from its
    first request to the switch.
    """

    interval: Annotated[
        Duration,
        Field(
            description="How often it is judged, such as 30s. What it can find does not depend on"
            " it.",
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
            description="The probability with which a candidate that stays within all limits is stopped, at most: over the whole"
            ' rollout, however long it takes and however often it is judged. Such as "0.01".',
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
            description="Requests to the candidate in a step before it can pass. It can fail with"
            " fewer.",
        ),
    ] = 500
    no_data: Annotated[
        Literal["Hold", "Proceed", "Abort"],
        Field(
            description="What follows if a hold ends with fewer requests than minRequests. Hold: it"
            " lasts until they are there. Proceed: the next step begins. Abort: the version is"
            " rejected."
        ),
    ] = "Hold"
    inconclusive: Annotated[
        Literal["Proceed", "Hold", "Abort"],
        Field(
            description="What follows if a hold ends and the candidate is shown to be neither worse"
            " than the limit nor within it. Proceed: the next step begins, and the test"
            " continues with its traffic. Hold: the hold lasts until one of both is shown."
            " Abort: the version is rejected."
        ),
    ] = "Proceed"
    failure_limit: Annotated[
        int,
        Field(
            ge=0,
            le=10,
            description="How many bad intervals alone do not fail the candidate, however bad they"
            " are: with 1 it takes at least two.",
        ),
    ] = 1
    metrics: Annotated[
        tuple[Metric, ...],
        Field(
            max_length=METRICS,
            description="What is judged. If none of them is an errorRate, one named errors is judged besides, with timesStable"
            ' "1.5" and moreThanStable "0.001"; if none is a refusalRate, one named refusals, with the same limit.',
            json_schema_extra=listed("name"),
        ),
    ] = ()

    @property
    def every(self) -> timedelta:
        """How much time one interval takes."""
        return parse_duration(self.interval)

    @property
    def judged(self) -> tuple[Metric, ...]:
        """All metrics that are judged: those of the spec, and those that every analysis has."""
        always = []
        if all(metric.error_rate is None for metric in self.metrics):
            always.append(Metric(name=_ERRORS, error_rate=_PRESET))
        if all(metric.refusal_rate is None for metric in self.metrics):
            always.append(Metric(name=_REFUSALS, refusal_rate=_PRESET))
        return (*always, *self.metrics)

    @property
    def alpha(self) -> float:
        """The probability of a false alarm of each metric: `falseAlarms`, divided among them."""
        return float(self.false_alarms) / len(self.judged)
