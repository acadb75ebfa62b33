"""The table of trainers. Standard library only, because pods import it.

A new trainer is one entry here, its settings in `api.trainer_settings`, and its program.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["TRAINERS", "TrainerKind"]


@dataclass(frozen=True)
class TrainerKind:
    """One trainer.

    Attributes:
        program: The module of modelyard_runtime that its container runs; empty: the user's own
            image.
        in_cluster: Whether a Job trains. False: training runs elsewhere, such as in a notebook.
        estimators: For a tabular trainer: its estimator by task, as `module:class`.
        aliases: For a tabular trainer: its parameters by other common names, for suggestions in
            messages.

    """

    program: str = ""
    in_cluster: bool = True
    estimators: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def logs_itself(self) -> bool:
        """Whether the user's code trains, which may log its own parameters.

        MLflow accepts each only once.
        """
        return not self.estimators


TRAINERS: Mapping[str, TrainerKind] = {
    "xgboost": TrainerKind(
        program="train",
        estimators={
            "classification": "xgboost:XGBClassifier",
            "regression": "xgboost:XGBRegressor",
        },
        # Names of XGBoost's native API that differ from its estimators': difflib would not find
        # them.
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
"""All trainers by their name in `spec.trainer`."""
