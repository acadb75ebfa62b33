"""Limits under which the adapters connect to servers on this machine, as tests and a developer's
operator set them.
"""

from __future__ import annotations

from typing import Any

from modelyard.adapters.bounds import Bounds, Limits
from modelyard.api.addresses import Addresses

__all__ = ["HERE", "limits"]

HERE = ("127.0.0.1", "::1")


def limits(*, allow: tuple[str, ...] = HERE, deny: tuple[str, ...] = (), **bounds: Any) -> Limits:
    """Return limits with loopback allowed, and some bounds of one's own."""
    return Limits(addresses=Addresses(allow=allow, deny=deny), bounds=Bounds(**bounds))
