"""Does a live object already say what we would apply? Pure. Defaults that the API server adds do not count as a difference."""

import re
from decimal import ROUND_UP, Decimal, DecimalException
from typing import Any

__all__ = ["matches"]

_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY = re.compile(r"([0-9]+(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)")
_QUANTITIES = {"requests", "limits"}
_FINEST, _GREATEST = Decimal("1e-9"), Decimal(2**63 - 1)


def matches(desired: Any, live: Any, field: str = "") -> bool:
    """Tell whether everything that `desired` says stands in `live` too.

    Maps may have more keys in `live`; lists have the same length, and their items pair by `name` where all have one (the API
    server may reorder those), else by place. Resource quantities compare by value: `1000m` is `1`. What is empty may be absent; a
    False or a 0 may not, for its absence may mean another default.
    """
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return desired == {} and live is None
        return all(matches(value, live.get(key), field if field in _QUANTITIES else key) for key, value in desired.items())
    if isinstance(desired, list):
        if not isinstance(live, list):
            return desired == [] and live is None
        return len(desired) == len(live) and all(matches(one, other) for one, other in _pairs(desired, live))
    if field in _QUANTITIES and (quantity := _quantity(desired)) is not None:
        return quantity == _quantity(live)
    return bool(desired == live) or (desired == "" and live is None)


def _pairs(desired: list[Any], live: list[Any]) -> list[tuple[Any, Any]]:
    if not all(isinstance(item, dict) and "name" in item for item in (*desired, *live)):
        return list(zip(desired, live, strict=True))
    by_name = {item["name"]: item for item in live}
    return [(item, by_name.get(item["name"])) for item in desired]


def _quantity(value: Any) -> Decimal | None:
    """As the API server keeps it: rounded up to billionths, and no more than 63 bits."""
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        return None
    try:
        amount = Decimal(match[1]) * _SUFFIXES[match[2]]
    except DecimalException:  # 1e9999999
        return _GREATEST
    return _GREATEST if amount >= _GREATEST else amount.quantize(_FINEST, ROUND_UP)
