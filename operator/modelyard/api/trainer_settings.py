"""The trainer of a TrainingRun and its settings: `spec.trainer`."""

from typing import Annotated, Literal

from pydantic import Field

from modelyard.api.base import Schema
from modelyard.api.pods import Container
from modelyard.api.rules import exactly_one, rule, rules
from modelyard.api.trainers import TRAINERS, TrainerKind

__all__ = ["SIGNING_SECRETS", "External", "Script", "Sign", "Trainer", "Xgboost"]


SIGNING_SECRETS = "modelyard-signing"
"""Prefix of the names of Secrets that a training pod may mount; also in the chart's policies."""


class Xgboost(Schema):
    """The tabular trainer that ships with modelyard."""

    task: Annotated[
        Literal["classification", "regression"],
        Field(description="What is predicted: classification (a class) or regression (a number)."),
    ] = "classification"


class Script(Schema):
    """Any Python file, on the runtime image; it needs no SDK."""

    config_map: Annotated[
        str, Field(min_length=1, max_length=253, description="The ConfigMap that holds the file.")
    ]
    key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[-._a-zA-Z0-9]+[.]py$",
            description="The file's key in it, which ends in .py.",
        ),
    ] = "train.py"


class External(Schema):
    """Training happens elsewhere, such as in a notebook; the operator only opens and closes the
    MLflow run.
    """


class Sign(Schema):
    """A private key with which the logged model is signed: an OpenSSF model signature, `model.sig`
    next to its files.

    The pod mounts the key; the operator never reads it. Only Secrets with the reserved prefix can
    be mounted, because a script can read what its pod mounts: otherwise a user who may create
    TrainingRuns could read any Secret of the namespace.
    """

    secret: Annotated[
        str,
        Field(
            max_length=253,
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            description="Name of the Secret, in this namespace; it must begin with"
            " modelyard-signing.",
            json_schema_extra=rules(
                rule(
                    f"self.startsWith('{SIGNING_SECRETS}')",
                    f"name a Secret whose name begins with {SIGNING_SECRETS}: training pods mount"
                    " no other Secret",
                )
            ),
        ),
    ]
    key: Annotated[
        str,
        Field(
            max_length=253,
            pattern=r"^[-._a-zA-Z0-9]+$",
            description="Its key: a private EC key (P-256, P-384 or P-521) in PEM, not encrypted.",
        ),
    ]


_SIGNING = tuple(name for name, kind in TRAINERS.items() if kind.program)
"""Trainers that run a program of the runtime image, which signs the model that they logged."""


class Trainer(Schema):
    """Who trains: exactly one."""

    model_config = Schema.model_config | {
        "json_schema_extra": rules(
            exactly_one(
                TRAINERS,
                f"name exactly one trainer: {', '.join([*TRAINERS][:-1])} or {[*TRAINERS][-1]}",
            ),
            rule(
                f"!has(self.sign) || {' || '.join(f'has(self.{name})' for name in _SIGNING)}",
                f"sign is for {' and '.join(_SIGNING)}. With container or external remove it, and"
                " sign the model's folder yourself before you log it: model_signing sign key"
                " --private_key KEY --signature FOLDER/model.sig FOLDER",
            ),
        )
    }

    xgboost: Annotated[
        Xgboost | None, Field(description="The tabular trainer that ships with modelyard.")
    ] = None
    script: Annotated[
        Script | None, Field(description="Any Python file, on the runtime image.")
    ] = None
    container: Annotated[Container | None, Field(description="Any image.")] = None
    external: Annotated[
        External | None,
        Field(
            description="The operator runs nothing: your own program trains elsewhere, logs to"
            " the MLflow run and closes it."
        ),
    ] = None
    sign: Annotated[
        Sign | None,
        Field(
            description="Signs the model that xgboost or script logged; the gate signed verifies"
            " it."
        ),
    ] = None

    @property
    def name(self) -> str:
        """Name of the trainer that is set.

        Raises:
            ValueError: None or several are set: the installed CRDs are of another release.

        """
        named = [name for name in TRAINERS if getattr(self, name) is not None]
        if len(named) != 1:
            raise ValueError(f"exactly one of {', '.join(TRAINERS)} must be set, not {named}")
        return named[0]

    @property
    def kind(self) -> TrainerKind:
        """The entry of the trainer in `TRAINERS`."""
        return TRAINERS[self.name]
