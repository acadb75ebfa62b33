"""What the head of a CSV file and its true and false mean, for the trainer, the model server and
the client alike.

As pandas' `read_csv` has it, by which the trainer reads: a file that a model was trained on must be
one that it predicts from. Standard library only. What stands for a missing value is `missing`.
"""

from collections import Counter
from collections.abc import Sequence

__all__ = ["booleans", "column_names"]

_BOOLEANS = {"true": True, "false": False}


def column_names(head: Sequence[str]) -> list[str]:
    """Return the columns' names: `Unnamed: 0` for the first if it has none, `a`, `a.1`, `a.2`
    for one that is there three times.
    """
    names = [name or f"Unnamed: {place}" for place, name in enumerate(head)]
    if len(there := set(names)) == len(names):
        return names
    times, used = Counter[str](), set[str]()
    for place in sorted(
        range(len(head)), key=lambda place: not head[place]
    ):  # a name that was given comes first
        given = name = names[place]
        while name in used or (times[given] and name in there):
            times[given] += 1
            name = f"{given}.{times[given]}"
        used.add(name)
        names[place] = name
    return names


def booleans(texts: Sequence[str | None]) -> list[bool | None] | None:
    """Return the values of a column of booleans; None if it holds anything else.

    They are 1 and 0 to a model of numbers, and so the trainer has them. Of a column without a value
    nothing is known.

    Args:
        texts: Its texts, without spaces around them; None is a missing value.

    """
    found: list[bool | None] = []
    for text in texts:
        value = None if text is None else _BOOLEANS.get(text.lower())
        if value is None and text is not None:
            return None
        found.append(value)
    return None if all(value is None for value in found) else found
