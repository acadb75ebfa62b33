"""A stage that takes the newest version by itself."""

from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.base import Schema

__all__ = ["AutoPromote"]


class AutoPromote(Schema):
    """Which versions a stage takes without a person who asks."""

    from_: Annotated[
        Literal["newest"],
        Field(
            alias="from",
            description="newest: the version that was registered last, of those that are newer"
            " than the effective one and not rejected.",
        ),
    ]
