"""Resource quantities as Kubernetes reads them: `500m`, `1.5`, `2Gi`. Pure."""

import re
from decimal import ROUND_UP, Decimal, DecimalException
from typing import Any

__all__ = ["quantity"]

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
_QUANTITY = re.compile(
    r"([0-9]+(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)"
)
_FINEST, _GREATEST = Decimal("1e-9"), Decimal(2**63 - 1)


def quantity(value: Any) -> Decimal | None:
    """Return a quantity as the API server stores it; None if it is not a quantity.

    The API server rounds up to billionths, and limits the value to 63 bits.
    """
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        return None
    try:
        amount = Decimal(match[1]) * _SUFFIXES[match[2]]
    except DecimalException:  # 1e9999999
        return _GREATEST
    return _GREATEST if amount >= _GREATEST else amount.quantize(_FINEST, ROUND_UP)
