"""Texts that mean a missing value in a CSV file, for trainer, model server and client."""

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
"""The texts that pandas' `read_csv`, with which the trainer reads, treats as missing."""
