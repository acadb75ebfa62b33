"""Automatic promotion of the newest version."""

from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.base import Schema

__all__ = ["AutoPromote"]


class AutoPromote(Schema):
    """Which versions are promoted to a stage without a user's request."""

    from_: Annotated[
        Literal["newest"],
        Field(
            alias="from",
            description="newest: the version that was registered last, among those that are newer"
            " than the effective one and not rejected.",
        ),
    ]
