"""Limits of the adapters for servers on this machine, as in tests and in a developer's operator."""

from __future__ import annotations

from typing import Any

from modelyard.adapters.bounds import Bounds, Limits
from modelyard.api.addresses import Addresses

__all__ = ["HERE", "limits"]

HERE = ("127.0.0.1", "::1")


def limits(*, allow: tuple[str, ...] = HERE, deny: tuple[str, ...] = (), **bounds: Any) -> Limits:
    """Return limits with loopback allowed, and these bounds changed."""
    return Limits(addresses=Addresses(allow=allow, deny=deny), bounds=Bounds(**bounds))
