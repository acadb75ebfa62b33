"""The promotion gates `job` and `smoke`, which test a version in a pod."""

from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.base import Digest, Duration, Latency, Number, S3Uri, Schema
from modelyard.api.pods import Container, Resources, Variable
from modelyard.api.rules import list_type, rule, rules

__all__ = ["JobGate", "Requests", "SmokeGate"]


class JobGate(Container):
    """A pod that tests the version; exit code 0 passes."""

    env: Annotated[
        tuple[Variable, ...],
        Field(
            max_length=32,
            description="Environment variables in addition to modelyard's own.",
            json_schema_extra=list_type("name"),
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
