"""Invalid analyses: rows of `test_bad_input`."""

from tests.api.objects import Manifest, model

__all__ = ["ANALYSES"]

STEPS = [{"weight": 10}, {"hold": "10m"}]


def analysis(**asked: object) -> Manifest:
    """Return a model whose stage has this analysis."""
    rollout = {"strategy": "Canary", "steps": STEPS, "analysis": asked}
    return model(stages={"production": {"rollout": rollout}})


def metric(name: str = "m", **kinds: object) -> Manifest:
    """Return a model whose stage judges one metric."""
    return analysis(metrics=[{"name": name, **kinds}])


def errors(**asked: object) -> Manifest:
    """Return a model whose stage has this limit of the error rate."""
    return metric(errorRate=asked)


def latency(**asked: object) -> Manifest:
    """Return a model whose stage has this limit of latency."""
    return metric(latency=asked)


_KIND = "a metric has exactly one of errorRate, refusalRate and latency"
_LIMIT = "write moreThanStable, timesStable or both; or atMost alone"
_RESERVED = "the names errors and refusals are reserved for an errorRate and a refusalRate"

ANALYSES = {
    **{
        f"an interval of {given}": (analysis(interval=given), "write 5s to 10m, such as 30s")
        for given in ("4s", "601s", "11m", "0m", "1h", "1d")
    },
    **{
        f"false alarms of {given}": (
            analysis(falseAlarms=given),
            "write a probability of 0.0001 to 0.2",
        )
        for given in ("0", "0.00001", "0.21", "1", "-0.01")
    },
    "no requests at least": (
        analysis(minRequests=0),
        "analysis.minRequests in body should be greater",
    ),
    "a failure limit below zero": (
        analysis(failureLimit=-1),
        "analysis.failureLimit in body should be greater",
    ),
    "a failure limit of eleven": (
        analysis(failureLimit=11),
        "analysis.failureLimit in body should be less",
    ),
    "no data is a pass": (analysis(noData="Pass"), "analysis.noData: Unsupported value"),
    "inconclusive is a pass": (
        analysis(inconclusive="Pass"),
        "analysis.inconclusive: Unsupported value",
    ),
    "five metrics": (
        analysis(metrics=[{"name": f"m{i}", "errorRate": {"atMost": "0.01"}} for i in range(5)]),
        "analysis.metrics: Too many",
    ),
    "two metrics of a name": (
        analysis(metrics=[{"name": "m", "errorRate": {"atMost": "0.01"}}] * 2),
        "Duplicate value",
    ),
    "a metric of no kind": (metric(), _KIND),
    "a metric of two kinds": (
        metric(errorRate={"atMost": "0.01"}, latency={"atMost": "1s"}),
        _KIND,
    ),
    "a latency called errors": (metric("errors", latency={"atMost": "1s"}), _RESERVED),
    "an error rate called refusals": (metric("refusals", errorRate={"atMost": "0.01"}), _RESERVED),
    "an error rate without a limit": (errors(), _LIMIT),
    "an error rate of both kinds": (errors(atMost="0.01", timesStable="2"), _LIMIT),
    "a refusal rate without a limit": (metric(refusalRate={}), _LIMIT),
    **{
        f"{given} more than stable": (errors(moreThanStable=given), "write a share of 0 to 0.5")
        for given in ("-0.001", "0.51", "5")
    },
    **{
        f"{given} times stable": (errors(timesStable=given), "write a factor of 1 to 100")
        for given in ("0", "0.99", "101", "-1")
    },
    **{
        f"at most {given}": (errors(atMost=given), "write a share of 0.0001 to 0.5")
        for given in ("0", "0.51", "1e300")
    },
    "a share in percent": (errors(atMost="1%"), "errorRate.atMost in body should match"),
    "a latency without a limit": (latency(), "write either ratioToStable or atMost"),
    "a latency of both kinds": (
        latency(ratioToStable="2", atMost="1s"),
        "write either ratioToStable or atMost",
    ),
    **{
        f"a quantile of {given}": (
            latency(quantile=given, atMost="1s"),
            "write a quantile of 0.5 to 0.999",
        )
        for given in ("0.49", "0.9999", "99")
    },
    "a ratio below one": (latency(ratioToStable="0.9"), "write a factor of 1 to 100"),
    **{
        f"a latency of {given}": (latency(atMost=given), "write 1ms to 60s, such as 50ms")
        for given in ("0ms", "0s", "61s", "60001ms", "100000ms")
    },
    "a latency in minutes": (latency(atMost="1m"), "latency.atMost in body should match"),
}
