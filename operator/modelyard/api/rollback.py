"""What a stage asks for after a switch: how long the version displaced last can come back at once."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from modelyard.api.base import Duration, Schema, parse_duration
from modelyard.api.rules import rule, rules

__all__ = ["Rollback"]


class Rollback(Schema):
    """How the version that was displaced last comes back."""

    window: Annotated[
        Duration | None,
        Field(
            description="How long after the switch the version displaced last keeps its pods, such as 1h. So long it comes back at once,"
            " without `from`, gates and freezes; after it, it is promoted like any other. Absent: it keeps no pods, and may always come"
            " back without `from`, gates and freezes.",
            json_schema_extra=rules(
                rule("!self.matches('^0+[smhd]$')", "write a duration above zero, such as 1h"),
                rule("self.matches('^([0-9]{1,6}[smh]|[0-9]{1,3}d)$')", "write at most 999d, or six digits and s, m or h, such as 1h"),
            ),
        ),
    ] = None

    @property
    def lasts(self) -> timedelta | None:
        """The window; None: there is none."""
        return parse_duration(self.window) if self.window is not None else None
