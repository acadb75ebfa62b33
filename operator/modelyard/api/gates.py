"""Gates of a stage: what a version must show before it takes the stage."""

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
"""How many gates a stage has."""

StageName = Annotated[str, Field(max_length=30, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
MetricName = Annotated[
    str, Field(min_length=1, max_length=250, json_schema_extra=rules(*metric_name()))
]


class Verdict(StrEnum):
    """What a gate says of a version."""

    PASS = "Pass"  # noqa: S105 - a verdict, no password
    FAIL = "Fail"
    """The version is rejected; the stable one keeps serving."""
    PENDING = "Pending"
    """It cannot be said yet; the message names what is waited for."""
    ERROR = "Error"
    """The question could not be asked; it is asked again by itself."""


class MetricGate(Schema):
    """A metric of the MLflow run that the version came from."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            rule("has(self.atLeast) || has(self.atMost)", "write atLeast, atMost, or both")
        )
    }

    name: Annotated[
        MetricName,
        Field(
            description="Name of the metric in MLflow. The gate waits while the run does not have"
            " it."
        ),
    ]
    at_least: Annotated[
        Number | None, Field(description='Least value that passes, such as "0.90".')
    ] = None
    at_most: Annotated[
        Number | None, Field(description='Greatest value that passes, such as "0.05".')
    ] = None


class Samples(Schema):
    """How many samples a metric was computed on."""

    metric: Annotated[
        MetricName, Field(description="Name of the metric that counts them, in the same run.")
    ]
    at_least: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000_000_000,
            description="Fewest samples that the comparison is believed with.",
        ),
    ]


class IncumbentGate(Schema):
    """A metric of the version, against the same metric of the version that holds a stage."""

    stage: Annotated[
        StageName | None,
        Field(description="Whose effective version is the incumbent; this stage's if absent."),
    ] = None
    metric: Annotated[
        MetricName, Field(description="Name of the metric in MLflow, in the runs of both versions.")
    ]
    direction: Annotated[
        Literal["Maximize", "Minimize"] | None,
        Field(
            description="Maximize: more is better. Minimize: less is. Absent: as both versions were"
            " trained, by the objective of their Experiments at that time, if it is of this"
            " metric."
        ),
    ] = None
    tolerance: Annotated[
        Number,
        Field(
            description="How much worse than the incumbent still passes.",
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
            description="How many samples both values must come from; with fewer the gate waits for"
            " them."
        ),
    ] = None


class SignatureGate(Schema):
    """What the incumbent's inputs accept, the version accepts, and it answers the same columns."""

    stage: Annotated[
        StageName | None,
        Field(description="Whose effective version is the incumbent; this stage's if absent."),
    ] = None


_CURVES = (
    r"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE[A-Za-z0-9+/]{86}==",
    r"MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE[A-Za-z0-9+/]{128}",
    r"MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQ[A-Za-z0-9+/]{176}=",
)
"""SubjectPublicKeyInfo of a key on P-256, P-384 and P-521, in base64: what is the same in all of
them, and how long it is.
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
    """An OpenSSF model signature over the version's files: `model.sig` at the root of them
    covers every other one.
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
    """The version, with its present digest, has held a stage for some time without a break."""

    stage: Annotated[StageName, Field(description="The stage.")]
    for_: Annotated[Duration, Field(alias="for", description="How long, such as 24h.")]


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
        Field(description="How long ago the training that read it began at most, such as 30d."),
    ] = None


class JobGate(Container):
    """A pod that tries the version: it passes by exit code 0."""

    env: Annotated[
        tuple[Variable, ...],
        Field(
            max_length=32,
            description="Environment variables beside those of modelyard.",
            json_schema_extra=listed("name"),
        ),
    ] = ()
    resources: Annotated[Resources, Field(description="Resources of its pod.")] = Resources()
    timeout: Annotated[
        Duration,
        Field(
            description="How long one try may take since its pod is on a node. A try that takes"
            " longer has failed."
        ),
    ] = "10m"
    retries: Annotated[
        int,
        Field(
            ge=0,
            le=5,
            description="How many more tries follow one that failed. A pod that was evicted or"
            " preempted costs none.",
        ),
    ] = 1
    candidate: Annotated[
        Literal["None", "Served"],
        Field(
            description="Served: a pod of the version runs, and MODELYARD_CANDIDATE_URL is its"
            " address. None: only its files are there."
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
                "requests.uri names one file, and this is a folder: leave out the slash at its end,"
                " or name the file in it",
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
            description="An object in S3, where this namespace may read:"
            " s3://bucket/namespace/cases.json."
        ),
    ] = None
    digest: Annotated[
        Digest,
        Field(description="sha256:<hex> of the file's bytes: the gate fails when they are others."),
    ]


class SmokeGate(Schema):
    """Requests to a pod of the version: each is answered, as expected and soon enough."""

    requests: Annotated[
        Requests | None,
        Field(
            description="A JSON list of {request: body in V1 or V2, expect: answer}; what an answer"
            " has beside `expect` is not compared. The input example that was logged with the"
            " model is sent besides, or alone if this is absent."
        ),
    ] = None
    max_latency: Annotated[
        Latency | None,
        Field(
            description="What the best of five answers to each request takes at most, such as 50ms,"
            " measured by the gate's pod."
        ),
    ] = None
    tolerance: Annotated[
        Number,
        Field(
            description="How far a number may lie from the expected one.",
            json_schema_extra=rules(
                rule(
                    "!self.startsWith('-')", 'write a number that is not negative, such as "0.001"'
                )
            ),
        ),
    ] = "0.000001"


class ApprovalsGate(Schema):
    """People who may approve for the stage, by a ModelApproval each."""

    at_least: Annotated[
        int, Field(ge=1, le=8, description="How many people, each counted once.")
    ] = 1
    expire_after: Annotated[
        Duration | None,
        Field(
            description="How long an approval counts after it was created, such as 7d. Absent:"
            " until the version takes the stage.",
            json_schema_extra=rules(
                rule("!self.matches('^0+[smhd]$')", "write a duration above zero, such as 7d")
            ),
        ),
    ] = None
    exclude_registrar: Annotated[
        Literal["IfKnown", "Required"],
        Field(
            description="The approval of who registered the version (its registeredBy) is not"
            " counted. IfKnown: if the version says who. Required: a version that does not say"
            " who fails the gate."
        ),
    ] = "IfKnown"


class ExternalGate(Schema):
    """Another controller or a pipeline judges, by a ModelApproval that names the gate."""


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
    """One gate: a name, and exactly one kind."""

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
            description="Its name, as status and events show it.",
        ),
    ]
    metric: Annotated[MetricGate | None, Field(description="A metric of the version's run.")] = None
    incumbent: Annotated[
        IncumbentGate | None,
        Field(description="A metric against that of the version that is there."),
    ] = None
    signature: Annotated[
        SignatureGate | None,
        Field(description="Inputs and outputs against those of the version that is there."),
    ] = None
    soak: Annotated[SoakGate | None, Field(description="Time in another stage.")] = None
    dataset: Annotated[DatasetGate | None, Field(description="What it was trained on.")] = None
    job: Annotated[JobGate | None, Field(description="A pod that tries it, by its exit code.")] = (
        None
    )
    smoke: Annotated[SmokeGate | None, Field(description="Requests that it must answer.")] = None
    signed: Annotated[
        SignedGate | None, Field(description="A signature over its files, by a key.")
    ] = None
    approvals: Annotated[ApprovalsGate | None, Field(description="People who approve.")] = None
    external: Annotated[
        ExternalGate | None,
        Field(
            description="Another controller or a pipeline, which says so in a ModelApproval that"
            " names this gate."
        ),
    ] = None

    @property
    def compared(self) -> IncumbentGate | SignatureGate | None:
        """What it asks, if it compares with the version that holds a stage."""
        return self.incumbent or self.signature

    @property
    def kind(self) -> str:
        """The kind, as the spec writes it."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def asks_candidate(self) -> bool:
        """Whether a pod of the version must run while the gate is asked."""
        return self.smoke is not None or (self.job is not None and self.job.candidate == "Served")
