"""Purge what was soft-deleted in MLflow, with its artifacts.

    python -m modelyard_runtime.purge --older-than 30d [--run-ids a,b] [--all] [--dry-run]

Environment: MLFLOW_BACKEND_STORE_URI, MLFLOW_S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY; and MLFLOW_REGISTRY_STORE_URI if the model registry has its own database.
Exit code 1: something failed; everything else is purged.
"""

import argparse
import json
import os
import re
import time

from modelyard.api.pod_end import PodReason
from modelyard_runtime import s3
from modelyard_runtime.outcome import Failure, report, run_until_stopped
from modelyard_runtime.purge.work import DatabaseError, Options, purge

__all__ = ["main"]

_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def main() -> None:
    """Purge; the last line is a summary as JSON."""
    options = _options()
    uri = os.environ.get("MLFLOW_BACKEND_STORE_URI", "")
    if not uri:
        raise Failure(
            PodReason.INVALID_CONFIGURATION,
            "MLFLOW_BACKEND_STORE_URI is not set: the URI of MLflow's database",
        )
    # These imports take seconds: a usage error should not have to wait for them.
    from modelyard_runtime.purge.artifacts import Artifacts  # noqa: PLC0415
    from modelyard_runtime.purge.database import open_database  # noqa: PLC0415

    database = open_database(uri, os.environ.get("MLFLOW_REGISTRY_STORE_URI") or None)
    try:
        summary = purge(
            database, Artifacts(s3.client()), options, lambda line: print(line, flush=True)
        )
    except DatabaseError as error:
        raise Failure(PodReason.DATABASE_UNAVAILABLE, str(error)) from error
    print(json.dumps(summary.as_dict()), flush=True)
    report(summary.as_dict())
    if summary.failed:
        raise SystemExit(1)


def _options() -> Options:
    """Parse the command line; a usage error ends the program with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m modelyard_runtime.purge", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--older-than",
        type=_duration,
        help="purge what was soft-deleted at least this long ago: 90s, 30m, 12h, 30d",
    )
    parser.add_argument(
        "--run-ids",
        type=_ids,
        help="purge only these soft-deleted runs, whatever their age; separated by commas",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="also purge what has no tag modelyard.io/uid, so does not belong to modelyard",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be purged; change nothing"
    )
    given = parser.parse_args()
    if given.older_than is None and given.run_ids is None:
        parser.error("give --older-than or --run-ids")
    age = 0 if given.run_ids is not None else given.older_than
    return Options(
        int((time.time() - age) * 1000), given.run_ids, everybody=given.all, dry_run=given.dry_run
    )


def _duration(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 30d, 12h, 30m or 90s")
    return int(found[1]) * _SECONDS[found[2]]


def _ids(text: str) -> tuple[str, ...]:
    ids = tuple(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    if not ids:
        raise argparse.ArgumentTypeError("it names no run")
    return ids


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    run_until_stopped(main)
