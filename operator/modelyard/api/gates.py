"""Promotion gates: checks that a version must pass before its stage switches to it."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.base import Digest, Duration, Latency, Number, S3Uri, Schema
from modelyard.api.pods import Container, Resources, Variable
from modelyard.api.rules import exactly_one, listed, metric_name, rule, rules

__all__ = [
    "GATES",
    "ApprovalsGate",
    "DatasetGate",
    "ExternalGate",
    "Gate",
    "IncumbentGate",
    "JobGate",
    "MetricGate",
    "Requests",
    "Samples",
    "SignatureGate",
    "SignedGate",
    "SmokeGate",
    "SoakGate",
    "Verdict",
]

GATES = 8
"""Greatest number of gates of a stage."""

StageName = Annotated[str, Field(max_length=30, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
MetricName = Annotated[
    str, Field(min_length=1, max_length=250, json_schema_extra=rules(*metric_name()))
]


class Verdict(StrEnum):
    """The verdict of a gate on a version."""

    PASS = "Pass"  # noqa: S105 - a verdict, no password
    FAIL = "Fail"
    """The version is rejected; the stable one keeps serving."""
    PENDING = "Pending"
    """There is no verdict yet; the message names what the gate waits for."""
    ERROR = "Error"
    """The gate could not be evaluated; it is retried automatically."""


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
            json_schema_extra=listed(),
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


class JobGate(Container):
    """A pod that tests the version; exit code 0 passes."""

    env: Annotated[
        tuple[Variable, ...],
        Field(
            max_length=32,
            description="Environment variables in addition to modelyard's own.",
            json_schema_extra=listed("name"),
        ),
    ] = ()
    resources: Annotated[Resources, Field(description="Resources of its pod.")] = Resources()
    timeout: Annotated[
        Duration,
        Field(
            description="Time limit of one attempt, counted from when its pod is scheduled. An"
            " attempt that takes longer fails."
        ),
    ] = "10m"
    retries: Annotated[
        int,
        Field(
            ge=0,
            le=5,
            description="How often a failed attempt is repeated. Pods that were evicted or"
            " preempted are replaced without using up a retry.",
        ),
    ] = 1
    candidate: Annotated[
        Literal["None", "Served"],
        Field(
            description="Served: a pod serves the version, and MODELYARD_CANDIDATE_URL is its"
            " address. None: only its files are available."
        ),
    ] = "None"


class Requests(Schema):
    """A file of requests: a key of a ConfigMap, or an object in S3. At most 1 MiB."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule(
                "has(self.uri) ? !has(self.configMap) && !has(self.key) : has(self.configMap) &&"
                " has(self.key)",
                "write where the requests are: either configMap and key, or uri,"
                " s3://<bucket>/<key>",
            ),
            rule(
                "!has(self.uri) || !self.uri.endsWith('/')",
                "requests.uri must name one file, and this is a folder: remove the slash at its"
                " end, or name a file in the folder",
            ),
        )
    }

    config_map: Annotated[
        str | None,
        Field(
            max_length=253,
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            description="Name of a ConfigMap, in this namespace.",
        ),
    ] = None
    key: Annotated[
        str | None, Field(max_length=253, pattern=r"^[-._a-zA-Z0-9]+$", description="Its key.")
    ] = None
    uri: Annotated[
        S3Uri | None,
        Field(
            description="An object in S3 that this namespace may read:"
            " s3://bucket/namespace/cases.json."
        ),
    ] = None
    digest: Annotated[
        Digest,
        Field(
            description="sha256:<hex> of the file's bytes. The gate fails if the file has another"
            " digest."
        ),
    ]


class SmokeGate(Schema):
    """Requests to a pod of the version: each must be answered, as expected and in time."""

    requests: Annotated[
        Requests | None,
        Field(
            description="A JSON list of {request: body in V1 or V2, expect: answer}; fields of an"
            " answer that are not in `expect` are not compared. The input example that was logged"
            " with the model is sent too. Absent: only the input example is sent."
        ),
    ] = None
    max_latency: Annotated[
        Latency | None,
        Field(
            description="Longest time that the fastest of five answers to each request may take,"
            " such as 50ms, measured by the gate's pod."
        ),
    ] = None
    tolerance: Annotated[
        Number,
        Field(
            description="How far a number may differ from the expected one.",
            json_schema_extra=rules(
                rule(
                    "!self.startsWith('-')", 'write a number that is not negative, such as "0.001"'
                )
            ),
        ),
    ] = "0.000001"


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


_KINDS = (
    "metric",
    "incumbent",
    "signature",
    "soak",
    "dataset",
    "job",
    "smoke",
    "signed",
    "approvals",
    "external",
)


class Gate(Schema):
    """One promotion gate: a name, and exactly one kind."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            exactly_one(
                _KINDS,
                f"a gate has exactly one of {', '.join(_KINDS[:-1])} and {_KINDS[-1]}",
            )
        )
    }

    name: Annotated[
        str,
        Field(
            max_length=30,
            pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            description="Name of the gate, as shown in status and events.",
        ),
    ]
    metric: Annotated[MetricGate | None, Field(description="A metric of the version's run.")] = None
    incumbent: Annotated[
        IncumbentGate | None,
        Field(description="A metric, compared with that of the effective version."),
    ] = None
    signature: Annotated[
        SignatureGate | None,
        Field(description="Inputs and outputs, compared with those of the effective version."),
    ] = None
    soak: Annotated[
        SoakGate | None,
        Field(description="Time that the version must be effective in another stage."),
    ] = None
    dataset: Annotated[
        DatasetGate | None, Field(description="The dataset that it was trained on.")
    ] = None
    job: Annotated[JobGate | None, Field(description="A pod that tests it, by its exit code.")] = (
        None
    )
    smoke: Annotated[
        SmokeGate | None, Field(description="Requests that a pod of it must answer.")
    ] = None
    signed: Annotated[
        SignedGate | None,
        Field(description="A signature over its files, verified with public keys."),
    ] = None
    approvals: Annotated[ApprovalsGate | None, Field(description="Approvals by people.")] = None
    external: Annotated[
        ExternalGate | None,
        Field(
            description="A verdict by another controller or a pipeline, as a ModelApproval that"
            " names this gate."
        ),
    ] = None

    @property
    def compared(self) -> IncumbentGate | SignatureGate | None:
        """The gate's settings, if it compares with a stage's effective version."""
        return self.incumbent or self.signature

    @property
    def kind(self) -> str:
        """The kind, as the name of its field in the spec."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def asks_candidate(self) -> bool:
        """Whether a pod must serve the version while the gate is evaluated."""
        return self.smoke is not None or (self.job is not None and self.job.candidate == "Served")
