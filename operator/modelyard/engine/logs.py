"""Configure logging: JSON lines, or text; both name the object that a line is about."""

import json
import logging
import sys
from datetime import UTC, datetime

from modelyard.api.text import printable

__all__ = ["configure"]


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if hasattr(record, "key"):
            line["key"] = record.key
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = printable(super().format(record), lines=True)
        return f"{text} [{record.key}]" if hasattr(record, "key") else text


def configure(style: str, level: str) -> None:
    """Send all logs of this level and above to standard error, as `json` or `text`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _Json() if style == "json" else _Text("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # The HTTP clients log each connection, and Kopf logs each event. When Kopf fails,
    # `modelyard.kopf` logs the reason in one line.
    for name in ("aiohttp", "botocore", "boto3", "urllib3", "kubernetes"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    logging.getLogger("kopf").setLevel(logging.CRITICAL if level != "DEBUG" else logging.INFO)
