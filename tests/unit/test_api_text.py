"""Cleaning of untrusted texts: credentials in all forms, and invisible characters."""

from __future__ import annotations

import base64
import json
from html import escape
from urllib.parse import quote, quote_plus

import pytest

from modelyard.adapters.connection_secret import OPTIONAL, REQUIRED
from modelyard.api.base import GROUP
from modelyard.api.text import HIDDEN, OUR_NAMES, TextFilter, credentials, escaped, printable
from modelyard.kube.names import CONNECTION_SECRET, PODS_SECRET

SECRET = 's3cr/t+k"ey=<ü> 1'
WORDS = TextFilter((SECRET,))


# --- what cannot be seen --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain text, 100 %", "plain text, 100 %"),
        ("Größe 日本 😀", "Größe 日本 😀"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("a\x1b]52;c;cm0gLXJm\x07b", "ab"),
        ("a\x1b]8;;http://evil\x1b\\b", "ab"),
        ("a\x9d52;c;cm0gLXJm\x9cb", "ab"),
        ("a\x1bPq\x1b\\b", "ab"),
        ("a\x1b]52;never ended", "a]52;never ended"),
        ("\x1b\x9b", ""),
        ("user\u202etxt.exe\u2066", "usertxt.exe"),
        ("pay\u200bload\u2060\ufeff\u00ad\u3164\u115f\u034f", "payload"),
        ("one\ntwo\r\nthree\tfour\x00\x08", "one two three four"),
        ("\ud800\ue000\U0010ffff", ""),
        ("a\u00a0b\u2028c", "a b c"),
    ],
)
def test_invisible_characters_are_dropped(text: str, kept: str):
    assert printable(text) == kept


def test_a_log_keeps_its_lines():
    assert printable("one\r\n\ttwo\x1b[1m\n\x00three", lines=True) == "one\n\ttwo\nthree"


def test_a_document_shows_hidden_characters_as_escapes():
    value = {"note": "a\u202eb\x9b31m\x1b[0m ü\n"}
    shown = escaped(json.dumps(value, indent=2, ensure_ascii=False))
    assert json.loads(shown) == value
    assert "\\u202eb\\u009b31m\\u001b[0m ü" in shown


# --- credentials ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET).lower(),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        escape(SECRET),
        "\u200b".join(SECRET),
        "\x1b[31m".join(SECRET),
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        SECRET[:5] + "\n" + SECRET[5:],
        SECRET[:5] + "\n    " + SECRET[5:9] + "\t" + SECRET[9:],
        SECRET[:5] + "\r" + SECRET[5:],
    ],
)
def test_a_credential_is_masked_however_it_is_written(shown: str):
    assert (
        WORDS(f"AWS_SECRET_ACCESS_KEY={shown}; retrying") == "AWS_SECRET_ACCESS_KEY=***; retrying"
    )


@pytest.mark.parametrize("before", ["", "a", "an", "ann", "anna:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_credential_within_base64_is_masked(before: str, encode):
    secret = "correct-horse-battery~~??>>"
    shown = encode(f"{before}{secret}".encode()).decode()
    masked = TextFilter((secret,))(f"Authorization: Basic {shown}")
    assert "***" in masked
    left = masked.removeprefix("Authorization: Basic ").partition("***")
    assert len(left[0]) <= len(before) * 4 / 3 + 2
    assert len(left[2]) <= 4


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('/t+k"ey=<ü> 1 was wrong', "*** was wrong"),
        ("the key is s3cr/t+", "the key is ***"),
        ("the key is s3c", "the key is s3c"),  # three characters reveal nothing
    ],
)
def test_a_credential_that_a_log_cuts_in_two_is_masked(text: str, kept: str):
    assert WORDS(text) == kept


def test_base64_that_is_wrapped_after_76_characters_is_masked():
    secret = "correct-horse-battery-staple"
    for before in range(40, 60):
        shown = base64.encodebytes(b"a" * before + secret.encode() + b"z" * 40).decode()
        masked = TextFilter((secret,))(shown, lines=True)
        assert "***" in masked
        for part in map("".join, map(str.split, masked.split("***"))):
            # A fragment need not start at a group of four characters.
            shifted = (part[start:] for start in range(4))
            assert not any(
                b"horse" in base64.b64decode(each[: len(each) // 4 * 4]) for each in shifted
            )


def test_two_credentials_of_which_one_holds_the_other_over_two_lines():
    """A wrapped credential is masked from its first to its last character."""
    words = TextFilter(("password", "password-of-anna", "anna-and-more"))
    assert words("a pass\nword-of-an\nna-and-more b", lines=True) == "a *** b"
    assert words("a pass\nword and pass\nword-of-\nanna b", lines=True) == "a *** and *** b"


def test_two_credentials_of_which_one_holds_the_other():
    assert TextFilter(("password", "password-of-anna"))("password-of-anna, password") == "***, ***"


def test_without_the_credentials_the_text_is_hidden():
    assert TextFilter(unknown=True)("Traceback") == HIDDEN
    assert TextFilter(unknown=True)("") == ""


def test_the_name_of_a_key_identifies_a_credential():
    values = {
        "AWS_SECRET_ACCESS_KEY": "secret-key-1",
        "AWS_SESSION_TOKEN": "session-token",
        "MLFLOW_TRACKING_PASSWORD": "mlflow-password",
        "MLFLOW_TRACKING_TOKEN": "mlflow-token",
        "AWS_ACCESS_KEY_ID": "access-key-1",
        "HF_TOKEN": "hf_token_of_the_team",
        "PROXY": "http://anna:within-a-url@proxy",
        "PGPASSWORD": "postgres-password",
        "apiKey": "camel-key",
        "clientSecret": "camel-secret",
        "APIKEY": "upper-key",
        "DATABASE": "postgres://anna:within%2Furl@host/db",
        "TOKENIZER": "bert-base-uncased",
        "SHORT_PASSWORD": "seven77",
        "OTHER_KEY": "risk-team",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "MLFLOW_TRACKING_USERNAME": "anna-the-user",
        "MODELYARD_BUCKET": "mlflow-artifacts",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "KEYBOARD": "qwertzuiop",
    }
    assert set(credentials(values, {"risk-team"})) == {
        "secret-key-1",
        "session-token",
        "mlflow-password",
        "mlflow-token",
        "access-key-1",
        "hf_token_of_the_team",
        "within-a-url",
        "postgres-password",
        "camel-key",
        "camel-secret",
        "upper-key",
        "within%2Furl",
        "within/url",
    }


def test_a_long_credential_is_masked_and_the_work_is_bounded():
    token = "".join(f"{index:05}" for index in range(3000))
    words = TextFilter(credentials({"TOKEN": token}))
    assert set(words(f"<{token}>")) == set("<*>")
    assert len(credentials({f"TOKEN_{index}": f"{index}" * 9000 for index in range(1, 10)})) == 32


def test_a_repr_shows_no_credential():
    assert SECRET not in repr(WORDS)
    assert "s3cr" not in repr(WORDS)


# --- names of ours --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            'secret "modelyard-connection-pods" not found',
            'secret "modelyard-connection-pods" not found',
        ),
        ("modelyard-connection lacks a key", "modelyard-connection lacks a key"),
        ("in Secret risk/modelyard-connection", "in Secret risk/modelyard-connection"),
        (
            'trainingruns.modelyard.io "a": label modelyard.io/uid',
            'trainingruns.modelyard.io "a": label modelyard.io/uid',
        ),
        ('File "/app/modelyard_runtime/train.py"', 'File "/app/modelyard_runtime/train.py"'),
        ("user=modelyard, Secret modelyard-connection", "user=***, Secret modelyard-connection"),
        ("modelyard modelyard-connections", "*** ***-connections"),
        ("my-modelyard-connection", "my-***-connection"),
        ("key=model\nyard, modelyard-connection", "key=***, modelyard-connection"),
        ("\ue000 modelyard", " ***"),
        (base64.b64encode(b"modelyard").decode(), "***"),
    ],
)
def test_a_credential_that_is_part_of_one_of_our_names_does_not_mask_the_name(
    text: str, shown: str
):
    """A user whose access key is `modelyard` still reads which Secret is missing."""
    assert TextFilter(("modelyard",))(text, lines=True) == shown


def test_a_credential_that_contains_one_of_our_names_is_masked_completely():
    words = TextFilter(("modelyard", "s3 modelyard-connection key"))
    assert words("s3 modelyard-connection key, modelyard-connection") == "***, modelyard-connection"


def test_our_names_match_those_in_the_code():
    assert {CONNECTION_SECRET, PODS_SECRET, GROUP, *REQUIRED, *OPTIONAL} <= set(OUR_NAMES)
    assert all(
        not longer.startswith(name)
        for index, name in enumerate(OUR_NAMES)
        for longer in OUR_NAMES[index + 1 :]
    )
