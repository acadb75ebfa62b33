"""Invalid rollbacks: rows of `test_bad_input`."""

from tests.api.objects import Manifest, model

__all__ = ["ROLLBACKS"]


def automatic(window: str | None = None, **asked: object) -> Manifest:
    """A model whose stage has this automatic rollback."""
    rollback = {"automatic": asked} | ({"window": window} if window is not None else {})
    return model(stages={"production": {"rollback": rollback}})


ROLLBACKS = {
    **{
        f"watched for {given}": (automatic(watchFor=given), "write 1m to 24h, such as 15m")
        for given in ("0m", "59s", "1d", "25h", "1000m", "80000s")
    },
    "watched without a unit": (automatic(watchFor="15"), "automatic.watchFor in body should match"),
    **{
        f"an error rate of {given}": (
            automatic(maxErrorRate=given),
            'write a share of 0.0001 to 0.5, such as "0.05"',
        )
        for given in ("0", "0.00001", "0.51", "5", "-0.1", "1e300")
    },
    "an error rate in percent": (
        automatic(maxErrorRate="5%"),
        "automatic.maxErrorRate in body should match",
    ),
    "no requests": (automatic(minRequests=0), "automatic.minRequests in body should be greater"),
    "a window that is shorter than the watch": (
        automatic("14m"),
        "write a window that is at least as long as automatic.watchFor",
    ),
    "a window that is shorter than a watch in seconds": (
        automatic("1h", watchFor="3601s"),
        "at least as long as automatic.watchFor",
    ),
}
