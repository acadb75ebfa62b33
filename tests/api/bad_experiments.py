"""Invalid Experiments: rows of `test_bad_input`."""

from tests.api.objects import experiment, without

__all__ = ["EXPERIMENTS"]

LONG = "a" * 5001

EXPERIMENTS = {
    "no spec": (without(experiment(), "spec"), "spec: Required value"),
    "unknown field": (experiment(descripton="typo"), 'unknown field "spec.descripton"'),
    "number for a text": (
        experiment(description=3),
        "spec.description in body must be of type string",
    ),
    "text for a map": (experiment(tags="team"), "spec.tags in body must be of type object"),
    "list for a map": (
        experiment(objective=["accuracy"]),
        "spec.objective in body must be of type object",
    ),
    "tag that is a number": (
        experiment(tags={"year": 2026}),
        "spec.tags.year in body must be of type string",
    ),
    "tag that is too long": (
        experiment(tags={"note": "a" * 501}),
        "spec.tags.note: Too long: may not be more than 500",
    ),
    "too many tags": (
        experiment(tags={f"t{i}": "" for i in range(65)}),
        "spec.tags: Too many: 65: must have at most 64 items",
    ),
    "tag of MLflow's own": (
        experiment(tags={"mlflow.user": "x"}),
        "write another key, such as team.owner",
    ),
    "tag of our own": (
        experiment(tags={"team": "x", "modelyard.io/uid": "x"}),
        "write another key, such as team.owner",
    ),
    "tag that MLflow does not take": (
        experiment(tags={"owner@team": "x"}),
        "owner.team for owner@team",
    ),
    "tag that is a folder above": (
        experiment(tags={"../up": "x"}),
        "keys that could be a file's relative path",
    ),
    "tag with a null": (
        experiment(tags={"note": "a\0b"}),
        "MLflow's database does not accept the null character",
    ),
    "note with a null": (
        experiment(description="a\0b"),
        "MLflow's database does not accept the null character",
    ),
    "objective that MLflow does not take": (
        experiment(objective={"metric": "error@0.7"}),
        "MLflow takes keys of 1 to 250 letters",
    ),
    "text too long": (
        experiment(description=LONG),
        "spec.description: Too long: may not be more than 5000",
    ),
    "objective without metric": (
        experiment(objective={"goal": "Maximize"}),
        "spec.objective.metric: Required value",
    ),
    "objective with an empty metric": (
        experiment(objective={"metric": ""}),
        "spec.objective.metric",
    ),
    "unknown goal": (
        experiment(objective={"metric": "f1", "goal": "max"}),
        'supported values: "Maximize", "Minimize"',
    ),
    "unknown deletion policy": (
        experiment(deletionPolicy="Keep"),
        'supported values: "Retain", "Delete"',
    ),
    "retention in weeks": (
        experiment(retention={"runs": "3w"}),
        "write a whole number and s, m, h or d, such as 90d",
    ),
    "retention with a sign": (
        experiment(retention={"runs": "-1d"}),
        "write a whole number and s, m, h or d, such as 90d",
    ),
    "retention as a number": (
        experiment(retention={"runs": 90}),
        "spec.retention.runs in body must be of type string",
    ),
    "retention without runs": (
        experiment(retention={"keepBest": 3}),
        "spec.retention.runs: Required value",
    ),
    "keeping less than none": (
        experiment(retention={"runs": "90d", "keepBest": -1}),
        "spec.retention.keepBest in body should be greater",
    ),
    "name with dots": (
        experiment("risk.fraud"),
        "an Experiment's name is at most 63 lower case letters, digits and dashes",
    ),
    "name too long": (
        experiment("a" * 64),
        "an Experiment's name is at most 63 lower case letters, digits and dashes",
    ),
    "name in capitals": (experiment("Fraud"), "lowercase RFC 1123 subdomain"),
}
