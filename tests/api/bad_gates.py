"""Invalid promotion gates: rows of `test_bad_input`."""

from typing import Any

from tests.api.objects import (
    DIGEST,
    PUBLIC_KEY,
    Manifest,
    model,
)

__all__ = ["GATES"]

P384 = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE" + "A" * 128

KEYS = (
    "write the public key of an EC key on P-256, P-384 or P-521 in PEM, as `openssl pkey -in KEY"
    " -pubout` prints it"
)

METRIC = {"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}

WHERE = "write where the requests are: either configMap and key, or uri, s3://<bucket>/<key>"


def public(body: str, what: str = "PUBLIC") -> str:
    return f"-----BEGIN {what} KEY-----\n{body[:64]}\n{body[64:]}\n-----END {what} KEY-----\n"


def gate(**kind: Any) -> Manifest:
    """A model with one gate."""
    return model(stages={"production": {"gates": [{"name": "g", **kind}]}})


def smoke(**more: Any) -> Manifest:
    """A model with a gate `smoke`."""
    return gate(
        smoke={"requests": {"configMap": "c", "key": "k", "digest": "sha256:" + "0" * 64}, **more}
    )


def keys(*texts: str) -> Manifest:
    """A model with a gate `signed`."""
    return gate(signed={"keys": list(texts)})


def gated(*gates: Manifest) -> Manifest:
    """A model with staging, and these gates before production; `quality` is the default name."""
    named = [
        {key: value for key, value in ({"name": "quality"} | gate).items() if value is not None}
        for gate in gates
    ]
    return model(stages={"staging": {}, "production": {"gates": named}})


GATES = {
    **{
        f"gate {name}": (gated(*gates), words)
        for name, gates, words in (
            ("without a kind", [{}], "a gate has exactly one of metric, "),
            ("of two kinds", [METRIC | {"signature": {}}], "a gate has exactly one of metric, "),
            (
                "of a kind that is none",
                [{"acuracy": {}}],
                'unknown field "spec.stages.production.gates[0].acuracy"',
            ),
            (
                "without a name",
                [METRIC | {"name": None}],
                "spec.stages.production.gates[0].name: Required value",
            ),
            (
                "named in capitals",
                [METRIC | {"name": "Quality"}],
                "spec.stages.production.gates[0].name",
            ),
            ("named twice", [METRIC, METRIC], 'gates[1]: Duplicate value: {"name":"quality"}'),
            (
                "the ninth",
                [METRIC | {"name": f"g{at}"} for at in range(9)],
                "spec.stages.production.gates: Too many: 9",
            ),
            (
                "metric without bounds",
                [{"metric": {"name": "f1"}}],
                "write atLeast, atMost, or both",
            ),
            (
                "metric with a float",
                [{"metric": {"name": "f1", "atLeast": 0.9}}],
                "atLeast in body must be of type string",
            ),
            (
                "metric with a word",
                [{"metric": {"name": "f1", "atLeast": "high"}}],
                'write a number in quotes, such as "0.92"',
            ),
            (
                "metric beyond all doubles",
                [{"metric": {"name": "f1", "atLeast": "1e1000"}}],
                'write a number in quotes, such as "0.92"',
            ),
            (
                "metric that MLflow does not take",
                [{"metric": {"name": "a@b", "atLeast": "0"}}],
                "MLflow takes keys of 1 to 250",
            ),
            (
                "incumbent of another model",
                [{"incumbent": {"metric": "f1", "stage": "canary"}}],
                "a gate's stage must be a stage of this model",
            ),
            (
                "incumbent with a negative tolerance",
                [{"incumbent": {"metric": "f1", "tolerance": "-0.1"}}],
                "is not negative",
            ),
            (
                "incumbent with a wrong way",
                [{"incumbent": {"metric": "f1", "direction": "Up"}}],
                'supported values: "Maximize", "Minimize"',
            ),
            (
                "incumbent of no samples",
                [{"incumbent": {"metric": "f1", "samples": {"metric": "n", "atLeast": 0}}}],
                "greater than or equal to 1",
            ),
            (
                "signature of another model",
                [{"signature": {"stage": "canary"}}],
                "a gate's stage must be a stage of this model",
            ),
            (
                "soak of its own stage",
                [{"soak": {"stage": "production", "for": "1h"}}],
                "soak must name another stage than its own",
            ),
            (
                "soak of another model",
                [{"soak": {"stage": "canary", "for": "1h"}}],
                "a gate's stage must be a stage of this model",
            ),
            ("soak without a time", [{"soak": {"stage": "staging"}}], "soak.for: Required value"),
            (
                "soak of a while",
                [{"soak": {"stage": "staging", "for": "a while"}}],
                "write a whole number and s, m, h or d",
            ),
            ("dataset without anything", [{"dataset": {}}], "write digest, maxAge, or both"),
            (
                "dataset of another digest",
                [{"dataset": {"digest": "md5:1"}}],
                "write sha256: and the 64 lower case hex digits",
            ),
        )
    },
    "gate with two kinds": (gate(signature={}, job={"image": "i"}), "a gate has exactly one of "),
    "job that takes a variable of ours": (
        gate(job={"image": "i", "env": [{"name": "MODELYARD_CANDIDATE_URL"}]}),
        "names that begin with MODELYARD_ are reserved",
    ),
    "job that takes a name of no variable": (
        gate(job={"image": "i", "env": [{"name": "1"}]}),
        "write letters, digits and underscores",
    ),
    "job with one variable twice": (
        gate(job={"image": "i", "env": [{"name": "A"}, {"name": "A"}]}),
        "Duplicate value",
    ),
    "job without an image": (gate(job={"command": ["true"]}), "job.image: Required value"),
    "job with many retries": (
        gate(job={"image": "i", "retries": 6}),
        "job.retries in body should be less than or equal to 5",
    ),
    "candidate that is something else": (
        gate(job={"image": "i", "candidate": "Yes"}),
        'supported values: "None", "Served"',
    ),
    "latency without a unit": (
        smoke(maxLatency="50"),
        "write a whole number and ms or s, such as 50ms",
    ),
    "tolerance below nothing": (smoke(tolerance="-1"), "write a number that is not negative"),
    "requests without a digest": (
        gate(smoke={"requests": {"configMap": "c", "key": "k"}}),
        "requests.digest: Required value",
    ),
    "requests nowhere": (gate(smoke={"requests": {"digest": DIGEST}}), WHERE),
    "requests in two places": (
        gate(smoke={"requests": {"uri": "s3://data/risk/k", "configMap": "c", "digest": DIGEST}}),
        WHERE,
    ),
    "requests without a key": (
        gate(smoke={"requests": {"configMap": "c", "digest": DIGEST}}),
        WHERE,
    ),
    "requests in S3 without a digest": (
        gate(smoke={"requests": {"uri": "s3://data/k"}}),
        "requests.digest: Required value",
    ),
    "requests elsewhere": (
        gate(smoke={"requests": {"uri": "https://b/k", "digest": DIGEST}}),
        "write s3://<bucket>/<key>, without %",
    ),
    "requests that are a folder": (
        gate(smoke={"requests": {"uri": "s3://data/k/", "digest": DIGEST}}),
        "requests.uri must name one file",
    ),
    "no keys": (keys(), "signed.keys in body should have at least 1 items"),
    "five keys": (keys(*[PUBLIC_KEY] * 5), "signed.keys: Too many: 5: must have at most 4 items"),
    "a key that is long": (keys("x" * 513), "signed.keys[0]: Too long: may not be more than 512"),
    "a key that is a path": (keys("/keys/signing.pub"), KEYS),
    "a private key": (keys(public(P384, "PRIVATE")), KEYS),
    "a key of another kind": (
        keys(PUBLIC_KEY, public("MCowBQYDK2VwAyEArguo/GXiJCyRt+Zt/AUgEDZS85oYut9b6u1fNpE/3H0=")),
        KEYS,
    ),
    "a key that is cut": (keys(public(P384[:-1])), KEYS),
    "a certificate": (keys(PUBLIC_KEY.replace("PUBLIC KEY", "CERTIFICATE")), KEYS),
    "approvals of nobody": (
        gate(approvals={"atLeast": 0}),
        "approvals.atLeast in body should be greater",
    ),
    "approvals that expire at once": (
        gate(approvals={"expireAfter": "0d"}),
        "write a duration above zero, such as 7d",
    ),
    "registrar excluded otherwise": (
        gate(approvals={"excludeRegistrar": "Never"}),
        'supported values: "IfKnown", "Required"',
    ),
    "two kinds of gate": (gate(approvals={}, external={}), "a gate has exactly one of metric"),
}
