"""Column names and booleans of a CSV file, for the trainer, the model server and the client.

The same as in pandas' `read_csv`, with which the trainer reads: a model must be able to predict
from the file it was trained on. Standard library only. Missing values are in `missing`.
"""

from collections import Counter
from collections.abc import Sequence

__all__ = ["booleans", "column_names"]

_BOOLEANS = {"true": True, "false": False}


def column_names(head: Sequence[str]) -> list[str]:
    """Return the columns' names.

    An empty first one becomes `Unnamed: 0`, a repeated one `a`, `a.1`, `a.2`.
    """
    names = [name or f"Unnamed: {place}" for place, name in enumerate(head)]
    if len(there := set(names)) == len(names):
        return names
    times, used = Counter[str](), set[str]()
    for place in sorted(
        range(len(head)), key=lambda place: not head[place]
    ):  # given names take precedence
        given = name = names[place]
        while name in used or (times[given] and name in there):
            times[given] += 1
            name = f"{given}.{times[given]}"
        used.add(name)
        names[place] = name
    return names


def booleans(texts: Sequence[str | None]) -> list[bool | None] | None:
    """Return the values of a column of booleans, or None if it is not one.

    A numeric model gets them as 1 and 0, as in training. The result for a column without any value
    is None.

    Args:
        texts: The column's texts, stripped; None for a missing value.

    """
    found: list[bool | None] = []
    for text in texts:
        value = None if text is None else _BOOLEANS.get(text.lower())
        if value is None and text is not None:
            return None
        found.append(value)
    return None if all(value is None for value in found) else found
