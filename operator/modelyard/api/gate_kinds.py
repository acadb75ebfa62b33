"""The kinds of promotion gates, except those in `gate_pods`."""

from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.base import Digest, Duration, Number, Schema, StageName
from modelyard.api.rules import list_type, metric_name, rule, rules

__all__ = [
    "ApprovalsGate",
    "DatasetGate",
    "ExternalGate",
    "IncumbentGate",
    "MetricGate",
    "Samples",
    "SignatureGate",
    "SignedGate",
    "SoakGate",
]

MetricName = Annotated[
    str, Field(min_length=1, max_length=250, json_schema_extra=rules(*metric_name()))
]


class MetricGate(Schema):
    """A metric of the MLflow run that the version came from."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule("has(self.atLeast) || has(self.atMost)", "write atLeast, atMost, or both")
        )
    }

    name: Annotated[
        MetricName,
        Field(description="Name of the metric in MLflow. The gate waits until the run has it."),
    ]
    at_least: Annotated[
        Number | None, Field(description='Smallest value that passes, such as "0.90".')
    ] = None
    at_most: Annotated[
        Number | None, Field(description='Largest value that passes, such as "0.05".')
    ] = None


class Samples(Schema):
    """The number of samples on which a metric was computed."""

    metric: Annotated[
        MetricName,
        Field(description="Name of the metric with the number of samples, in the same run."),
    ]
    at_least: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000_000_000,
            description="Smallest number of samples for which the comparison counts.",
        ),
    ]


class IncumbentGate(Schema):
    """A metric of the version, compared with the same metric of a stage's effective version."""

    stage: Annotated[
        StageName | None,
        Field(
            description="The stage whose effective version is the incumbent. Absent: this stage."
        ),
    ] = None
    metric: Annotated[
        MetricName, Field(description="Name of the metric in MLflow, in the runs of both versions.")
    ]
    direction: Annotated[
        Literal["Maximize", "Minimize"] | None,
        Field(
            description="Maximize: a larger value is better. Minimize: a smaller one. Absent: the"
            " objective that the Experiments of both versions had when they were trained, if it"
            " uses this metric."
        ),
    ] = None
    tolerance: Annotated[
        Number,
        Field(
            description="How much worse than the incumbent a version may be and still pass.",
            json_schema_extra=rules(
                rule(
                    "!self.startsWith('-')", 'write a number that is not negative, such as "0.005"'
                )
            ),
        ),
    ] = "0"
    samples: Annotated[
        Samples | None,
        Field(
            description="The number of samples behind each of the two values; with fewer, the"
            " gate waits."
        ),
    ] = None


class SignatureGate(Schema):
    """The version accepts every input that the incumbent accepts, and returns the same columns."""

    stage: Annotated[
        StageName | None,
        Field(
            description="The stage whose effective version is the incumbent. Absent: this stage."
        ),
    ] = None


_CURVES = (
    r"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE[A-Za-z0-9+/]{86}==",
    r"MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE[A-Za-z0-9+/]{128}",
    r"MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQ[A-Za-z0-9+/]{176}=",
)
"""SubjectPublicKeyInfo of a key on P-256, P-384 and P-521 in base64: the fixed prefix, and the
length.
"""
_PUBLIC_KEY = (
    "self.replace(' ', '').replace('\\n', '').replace('\\r', '')"
    f".matches('^-----BEGINPUBLICKEY-----({'|'.join(_CURVES)})-----ENDPUBLICKEY-----$')"
)
_PUBLIC_KEY_ADVICE = (
    "write the public key of an EC key on P-256, P-384 or P-521 in PEM, as `openssl pkey -in KEY"
    " -pubout` prints it, and never the private one: -----BEGIN PUBLIC KEY----- ... -----END"
    " PUBLIC KEY-----"
)


class SignedGate(Schema):
    """An OpenSSF model signature over the version's files: `model.sig` at the root of them covers
    all others.
    """

    keys: Annotated[
        tuple[
            Annotated[
                str,
                Field(
                    max_length=512, json_schema_extra=rules(rule(_PUBLIC_KEY, _PUBLIC_KEY_ADVICE))
                ),
            ],
            ...,
        ],
        Field(
            min_length=1,
            max_length=4,
            description="Public EC keys (P-256, P-384 or P-521) in PEM. One of them must have"
            " signed.",
            json_schema_extra=list_type(),
        ),
    ]


class SoakGate(Schema):
    """The version, with its current digest, has been effective in a stage for some time without a
    break.
    """

    stage: Annotated[StageName, Field(description="The stage.")]
    for_: Annotated[Duration, Field(alias="for", description="For how long, such as 24h.")]


class DatasetGate(Schema):
    """The dataset that the version's TrainingRun read."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule("has(self.digest) || has(self.maxAge)", "write digest, maxAge, or both")
        )
    }

    digest: Annotated[Digest | None, Field(description="sha256:<hex> of the dataset's bytes.")] = (
        None
    )
    max_age: Annotated[
        Duration | None,
        Field(
            description="Greatest age of the training that read it, counted from its start, such"
            " as 30d."
        ),
    ] = None


class ApprovalsGate(Schema):
    """Approvals by people: each one is a ModelApproval."""

    at_least: Annotated[
        int, Field(ge=1, le=8, description="How many people must approve; each counts once.")
    ] = 1
    expire_after: Annotated[
        Duration | None,
        Field(
            description="How long an approval counts after its creation, such as 7d. Absent:"
            " until the version becomes effective.",
            json_schema_extra=rules(
                rule("!self.matches('^0+[smhd]$')", "write a duration above zero, such as 7d")
            ),
        ),
    ] = None
    exclude_registrar: Annotated[
        Literal["IfKnown", "Required"],
        Field(
            description="An approval by the user who registered the version (registeredBy) does"
            " not count. IfKnown: only checked if the version names that user. Required: a"
            " version that does not name one fails the gate."
        ),
    ] = "IfKnown"


class ExternalGate(Schema):
    """A verdict by another controller or a pipeline, as a ModelApproval that names the gate."""
