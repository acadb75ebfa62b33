"""Invalid freezes: rows of `test_bad_input`."""

from typing import Any

from tests.api.objects import Manifest, model

__all__ = ["FREEZES"]


def freeze(**more: Any) -> Manifest:
    """A model with one freeze; None removes a field."""
    window = {"schedule": "0 18 * * 5", "duration": "62h", "reason": "weekend"} | more
    return model(
        stages={"production": {}},
        freeze=[{key: value for key, value in window.items() if value is not None}],
    )


FREEZES = {
    "a freeze without hours": (freeze(schedule="0 18 * *"), "write five fields of cron"),
    "a freeze by a word": (freeze(schedule="@daily"), "write five fields of cron"),
    "a freeze of no time": (freeze(duration="0h"), "write a duration above zero, such as 62h"),
    "a freeze of ages": (freeze(duration="1000d"), "write at most 999d"),
    "a freeze nowhere": (
        freeze(timeZone="Europe/Atlantis"),
        "write a time zone of the IANA database, such as Europe/Berlin",
    ),
    "a freeze by an offset": (
        freeze(timeZone="+02:00"),
        "write a time zone of the IANA database, such as Europe/Berlin",
    ),
    "a freeze without a reason": (freeze(reason=None), "spec.freeze[0].reason: Required value"),
    "a freeze of a stage that is not there": (
        freeze(stages=["prod"]),
        "a freeze can only name stages of this model",
    ),
}
