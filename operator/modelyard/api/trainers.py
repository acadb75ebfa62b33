"""The trainers: what each runs and learns with. Standard library only: pods import it.

A new trainer is one entry here, its settings in `api.trainer_settings`, and its program.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["TRAINERS", "TrainerKind"]


@dataclass(frozen=True)
class TrainerKind:
    """One trainer.

    Attributes:
        program: What its container runs, a module of modelyard_runtime; empty: the user's own.
        in_cluster: A Job trains. False: training runs elsewhere, such as in a notebook.
        estimators: For a tabular trainer, its estimator by task, as `module:class`.
        aliases: For a tabular trainer, other common names of its parameters, to correct a user.

    """

    program: str = ""
    in_cluster: bool = True
    estimators: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def logs_itself(self) -> bool:
        """A user's code trains, which may log parameters in its own words: MLflow takes each
        once.
        """
        return not self.estimators


TRAINERS: Mapping[str, TrainerKind] = {
    "xgboost": TrainerKind(
        program="train",
        estimators={
            "classification": "xgboost:XGBClassifier",
            "regression": "xgboost:XGBRegressor",
        },
        # XGBoost's own names for what its estimators call otherwise: difflib would not find them.
        aliases={
            "alpha": "reg_alpha",
            "eta": "learning_rate",
            "lambda": "reg_lambda",
            "min_split_loss": "gamma",
            "nthread": "n_jobs",
            "num_boost_round": "n_estimators",
            "num_round": "n_estimators",
            "seed": "random_state",
        },
    ),
    "script": TrainerKind(program="script"),
    "container": TrainerKind(),
    "external": TrainerKind(in_cluster=False),
}
"""Every trainer, by its name in `spec.trainer`."""
