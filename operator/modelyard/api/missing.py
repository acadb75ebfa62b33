"""The texts that stand for a missing value in a CSV file, for the trainer, the model server and
the client alike.
"""

__all__ = ["MISSING_TEXTS"]

MISSING_TEXTS = frozenset(
    {
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
    }
    | {"N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""What pandas' `read_csv` takes for one: the trainer reads with it."""
