"""The source of a version, parsed from text. Pure."""

import re
from typing import Any

__all__ = ["source"]

_RUNS = re.compile(r"runs:/(?P<run>[A-Za-z0-9_-]+)(?:/(?P<path>.+))?")
_TRAINING_RUN = re.compile(r"trainingruns/(?P<name>[a-z0-9.-]+)")


def source(text: str) -> dict[str, Any]:
    """Return the source as `spec.versions` has it, from `trainingruns/`, `runs:/` or `s3://`.

    Raises:
        ValueError: The text has none of these forms.

    """
    if found := _TRAINING_RUN.fullmatch(text):
        return {"trainingRun": found["name"]}
    if found := _RUNS.fullmatch(text):
        return {"runId": found["run"], **({"path": found["path"]} if found["path"] else {})}
    if text.startswith("s3://"):
        return {"uri": text}
    raise ValueError(
        f"{text} is not a source: write trainingruns/<name>, runs:/<run id>[/<path>] or"
        " s3://<bucket>/<key>"
    )
