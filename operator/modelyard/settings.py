"""The operator's settings, from the environment.

Each field is read from the environment variable `MODELYARD_<FIELD>`. Lists are separated by commas,
or JSON.
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
        (), description="Namespaces that the operator serves, separated by commas. Empty: all."
    )
    operator_namespace: str = Field(
        "modelyard-system", description="Namespace in which the operator runs."
    )
    runtime_image: str = Field(
        "modelyard/runtime:0.1.0", description="Image of training and serving pods."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="Pull policy of the runtime image."
    )
    image_pull_secrets: Names = Field(
        (),
        description="Names of the pull Secrets of training and serving pods, in each tenant's"
        " namespace.",
    )

    policies: str = Field(
        "",
        description="Installed admission policies, as `name=<hash of the policy>/<hash of the"
        " binding>`, separated by commas.",
    )

    # --- the loop ---------------------------------------------------------------------------------
    workers: int = Field(
        20, ge=1, le=200, description="Number of objects that are reconciled concurrently."
    )
    resync: Seconds = Field(
        300.0, description="Seconds after which an object is reconciled even if nothing changed."
    )
    resyncs_per_second: float = Field(
        1.0,
        gt=0,
        le=50,
        description="Greatest rate of resyncs of unchanged objects, per second and kind; with"
        " many objects, each one's interval becomes longer.",
    )
    audit: Seconds = Field(
        300.0,
        description="Shortest time in seconds between two comparisons of the watches with a full"
        " list from the API server.",
    )
    pass_deadline: Seconds = Field(
        660.0,
        description="Time limit in seconds for one reconcile; the digest of a large model alone"
        " takes up to 600.",
    )
    drain: Seconds = Field(
        20.0, description="Seconds that running reconciles have to finish when the operator stops."
    )

    # --- one active replica -----------------------------------------------------------------------
    leader_election: bool = Field(
        True,
        description="Acquire a Lease before working, so that one replica works and the others"
        " stand by.",
    )
    lease_name: str = Field("modelyard", description="Name of the Lease.")
    lease_identity: str = Field(
        default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}",
        description="Identity of the holder: the pod.",
    )
    lease_duration: Seconds = Field(
        15.0,
        description="Seconds after which another replica may acquire a Lease that was not renewed.",
    )
    lease_deadline: Seconds = Field(
        10.0, description="Seconds without a renewal after which the holder exits."
    )
    lease_period: Seconds = Field(2.0, description="Seconds between two renewals.")

    # --- health and metrics -----------------------------------------------------------------------
    # Not `metrics_port`: for a Service named modelyard-metrics, Kubernetes sets
    # MODELYARD_METRICS_PORT=tcp://... in pods.
    listen_host: str = Field(
        "0.0.0.0",  # noqa: S104
        description="Listen address of health and metrics.",
    )
    listen_health: int = Field(8080, ge=0, le=65535, description="Port of /healthz and /readyz.")
    listen_metrics: int = Field(
        9090, ge=0, le=65535, description="Port of /metrics; it may be the same as the health port."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="One JSON object per line, or plain text."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Lowest level that is logged."
    )

    # --- Kubernetes -------------------------------------------------------------------------------
    kubernetes_deadline: Seconds = Field(
        10.0, description="Time limit in seconds for one request to the API server."
    )
    watch_silence: Seconds = Field(
        70.0,
        description="Seconds without data after which a watch is restarted; bookmarks arrive"
        " every 60.",
    )
    page_size: int = Field(500, ge=1, description="Objects in one page of a list.")

    # --- CloudEvents ------------------------------------------------------------------------------
    events_sink: str = Field(
        "", description="URL to which CloudEvents about promotions are sent. Empty: none are sent."
    )
    events_token_file: str = Field(
        "", description="File with the bearer token for that URL. Empty: no token is sent."
    )

    # --- MLflow and S3, which belong to tenants ---------------------------------------------------
    connections_allow: Names = Field(
        (),
        description="Hosts, addresses and networks that are exceptions from the denied ones:"
        " loopback, link-local and metadata addresses, the API server, and connections_deny. The"
        " more specific entry wins.",
    )
    connections_deny: Names = Field(
        (), description="Further hosts, addresses and networks that are denied."
    )
    connections_only: Names = Field((), description="If not empty, only these are connected to.")
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
                f"the image's name has {len(value)} characters and must have 1 to"
                f" {RUNTIME_IMAGE}, because every model's status holds it many times: use a"
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
