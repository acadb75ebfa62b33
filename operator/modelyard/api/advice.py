"""Messages for texts that do not match a pattern.

They say what to write instead; the API server alone would show the regular expression.

The models assign the patterns to fields.
"""

from modelyard.api.rules import rule

__all__ = ["advised"]

_S3 = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^%?#]+$"
_ADVICE = {
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "write lower case letters, digits and dashes, with a"
    " letter or digit at both ends, such as fraud-3",
    r"^[0-9]+(s|m|h|d)$": "write a whole number and s, m, h or d, such as 90d",
    r"^[0-9]+(ms|s)$": "write a whole number and ms or s, such as 50ms",
    r"^[1-9][0-9]{0,3}(s|m)$": "write a whole number and s or m, such as 30s",
    r"^[1-9][0-9]*(k|M|G|Ki|Mi|Gi)?$": "write a number of bytes, such as 8Mi",
    r"^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]{1,3})?$": 'write a number in quotes, such as "0.92"',
    r"^[a-zA-Z0-9_-]+$": "write MLflow's run id: letters, digits, dashes and underscores",
    r"^[A-Za-z0-9_-]+$": "write letters, digits, dashes and underscores, such as x-user",
    r"^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$": "write the model's name or"
    " its path below the run, such as model",
    _S3: "write s3://<bucket>/<key>, without %, ? or #",
    r"^sha256:[0-9a-f]{64}$": "write sha256: and the 64 lower case hex digits that sha256sum"
    " prints",
    r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$": "write letters, digits, dots, dashes and"
    " underscores, such as cards-2026.01",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "write letters, digits and underscores, not beginning with a"
    " digit, such as TEST_SUITE",
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$": "write lower case letters, digits, dashes and dots, such"
    " as cases-2026.01",
    r"^[-._a-zA-Z0-9]+$": "write letters, digits, dots, dashes and underscores, such as cases.json",
    r"^[-._a-zA-Z0-9]+[.]py$": "name a key of the ConfigMap that ends in .py, such as train.py",
    r"^[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$": "write a quantity as in"
    ' pods, such as 500m, "1.5"'
    " or 2Gi",
}
# Further rules of `api.artifacts.parse_uri`, which the operator would enforce later.
_MORE = {
    _S3: (
        rule(r"!self.matches(r'/[.][.]?(/|$)')", "write the key without . and .. between slashes"),
        rule(
            r"!self.matches(r'^s3://.*//')",
            "write the key without empty segments (//)",
        ),
        rule(
            r"!self.matches(r'[\\\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}]')",
            "write the key without backslashes, control characters and spaces other than the"
            " ordinary one",
        ),
        rule(
            r"!self.matches(r'^s3://([^/]*[.][.]|[0-9]{1,3}([.][0-9]{1,3}){3}/)')",
            "write a bucket's name: not an IP address, and without two dots in a row",
        ),
    )
}


def advised(pattern: str, *, mixed: bool = False) -> list[dict[str, str]]:
    """Return the rules that accompany a pattern.

    Args:
        pattern: The pattern, in RE2's syntax.
        mixed: The field is a number or a string; only strings are checked.

    Raises:
        KeyError: There is no message for this pattern yet.

    """
    matches = f"self.matches(r'{pattern}')"
    return [
        rule(f"type(self) != string || {matches}" if mixed else matches, _ADVICE[pattern]),
        *_MORE.get(pattern, ()),
    ]
