"""What an administrator may set: the only reader of the environment. What the settings mean is done
elsewhere.

Every field is an environment variable: `MODELYARD_` and the field's name in capitals. Lists are
JSON or separated by commas.
"""

import os
import socket
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from modelyard.api.addresses import Addresses
from modelyard.api.history import RUNTIME_IMAGE
from modelyard.kube.policies import expected

__all__ = ["Settings"]

Names = Annotated[tuple[str, ...], NoDecode]
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """The settings of one operator process."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="MODELYARD_", extra="forbid")

    # --- what is served ---------------------------------------------------------------------------
    namespaces: Names = Field(
        (), description="Namespaces that are served, separated by commas. Empty: all of them."
    )
    operator_namespace: str = Field(
        "modelyard-system", description="Namespace that the operator itself runs in."
    )
    runtime_image: str = Field(
        "modelyard/runtime:0.1.0", description="Image of training and serving pods."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="Pull policy of the runtime image."
    )
    image_pull_secrets: Names = Field(
        (),
        description="Names of the Secrets, in each tenant's namespace, by which training and"
        " serving pods pull.",
    )

    policies: str = Field(
        "",
        description="Admission policies that were installed, `name=<hash of the policy>/<hash of"
        " the binding>` with commas between.",
    )

    # --- the loop ---------------------------------------------------------------------------------
    workers: int = Field(20, ge=1, le=200, description="Objects that are reconciled at a time.")
    resync: Seconds = Field(
        300.0, description="Seconds after which an object is looked at though nothing happened."
    )
    resyncs_per_second: float = Field(
        1.0,
        gt=0,
        le=50,
        description="Resyncs a second of the objects of one kind that stay as they are; where"
        " there are many, each waits longer.",
    )
    audit: Seconds = Field(
        300.0,
        description="Seconds between two comparisons of the watches with the API server's own"
        " list, at least.",
    )
    pass_deadline: Seconds = Field(
        660.0,
        description="Seconds that one pass may take; the digest of a large model alone takes up to"
        " 600.",
    )
    drain: Seconds = Field(
        20.0, description="Seconds that work under way is given to end when the operator stops."
    )

    # --- one active replica -----------------------------------------------------------------------
    leader_election: bool = Field(
        True,
        description="Hold a Lease before working, so that one replica works and the others stand"
        " by.",
    )
    lease_name: str = Field("modelyard", description="Name of the Lease.")
    lease_identity: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        description="Who holds it: the pod.",
    )
    lease_duration: Seconds = Field(
        15.0,
        description="Seconds after which another replica may take a lease that was not renewed.",
    )
    lease_deadline: Seconds = Field(
        10.0, description="Seconds without a renewal after which the holder gives up and ends."
    )
    lease_period: Seconds = Field(2.0, description="Seconds between two renewals.")

    # --- being watched ----------------------------------------------------------------------------
    # Not `metrics_port`: Kubernetes gives pods MODELYARD_METRICS_PORT=tcp://... for a Service named
    # modelyard-metrics.
    listen_host: str = Field(
        "0.0.0.0",  # noqa: S104
        description="Address that health and metrics are served at.",
    )
    listen_health: int = Field(8080, ge=0, le=65535, description="Port of /healthz and /readyz.")
    listen_metrics: int = Field(
        9090, ge=0, le=65535, description="Port of /metrics; it may be the same."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="One JSON object a line, or lines for people."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level that is logged."
    )

    # --- Kubernetes -------------------------------------------------------------------------------
    kubernetes_deadline: Seconds = Field(
        10.0, description="Seconds that one request to the API server may take."
    )
    watch_silence: Seconds = Field(
        70.0,
        description="Seconds without a word after which a watch is begun anew; bookmarks come"
        " every 60.",
    )
    page_size: int = Field(500, ge=1, description="Objects in one page of a list.")

    # --- telling other systems --------------------------------------------------------------------
    events_sink: str = Field(
        "", description="URL that CloudEvents about promotions are sent to. Empty: none are sent."
    )
    events_token_file: str = Field(
        "", description="File with the bearer token that is sent with them. Empty: none is sent."
    )

    # --- MLflow and S3, which belong to tenants ---------------------------------------------------
    connections_allow: Names = Field(
        (),
        description="Hosts, addresses and networks that may be connected to though they are"
        " denied: loopback, link-local and metadata addresses, the API server, and"
        " connections_deny. The more specific entry wins.",
    )
    connections_deny: Names = Field(
        (), description="Hosts, addresses and networks that are denied besides."
    )
    connections_only: Names = Field((), description="If not empty, nothing else is connected to.")
    answer_bytes: int = Field(
        16 * 1024 * 1024,
        ge=65536,
        le=64 * 1024 * 1024,
        description="Largest answer of MLflow that is read.",
    )

    @field_validator(
        "namespaces",
        "image_pull_secrets",
        "connections_allow",
        "connections_deny",
        "connections_only",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            tuple(filter(None, (part.strip() for part in value.split(","))))
            if isinstance(value, str)
            else value
        )

    @field_validator("connections_allow", "connections_deny", "connections_only")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Addresses(value)
        return value

    @field_validator("runtime_image")
    @classmethod
    def _image(cls, value: str) -> str:
        if not 0 < len(value) <= RUNTIME_IMAGE:
            raise ValueError(
                f"an image of 1 to {RUNTIME_IMAGE} characters, this one has {len(value)}: every"
                " model's status names it many times, and has no room for more; give the image a"
                " shorter name"
            )
        return value

    @field_validator("events_sink")
    @classmethod
    def _sink(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (
            parts.scheme in {"http", "https"}
            and parts.hostname
            and "@" not in parts.netloc
            and not parts.fragment
        ):
            raise ValueError(
                "write an http or https URL, without a user: a token comes from events_token_file"
            )
        return value

    @field_validator("policies")
    @classmethod
    def _readable(cls, value: str) -> str:
        expected(value)
        return value
