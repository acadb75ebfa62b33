"""What a user reads whose object is wrong: each row is an object and the words that answer it,
from a real API server.
"""

from typing import Any

import pytest

from tests.api.bad_analyses import ANALYSES
from tests.api.bad_freezes import FREEZES
from tests.api.bad_rollbacks import ROLLBACKS
from tests.api.bad_rollouts import ROLLOUTS
from tests.api.objects import (
    DIGEST,
    PUBLIC_KEY,
    Manifest,
    approval,
    experiment,
    model,
    training_run,
    without,
)
from tests.harness import Cluster

LONG = "a" * 5001
SCRIPT = {"script": {"configMap": "train"}}
EXTERNAL = {"external": {}}


def runtime(**fields: object) -> Manifest:
    """A model whose stage says this of its server."""
    return model(stages={"p": {"serving": {"runtime": fields}}})


SIGN = {"secret": "modelyard-signing", "key": "key.pem"}
P384 = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE" + "A" * 128


def keys(*texts: str) -> Manifest:
    """A model with a gate `signed`."""
    return gate(signed={"keys": list(texts)})


def public(body: str, what: str = "PUBLIC") -> str:
    return f"-----BEGIN {what} KEY-----\n{body[:64]}\n{body[64:]}\n-----END {what} KEY-----\n"


KEYS = (
    "write the public key of an EC key on P-256, P-384 or P-521 in PEM, as `openssl pkey -in KEY"
    " -pubout` prints it"
)
METRIC = {"name": "quality", "metric": {"name": "f1", "atLeast": "0.9"}}


def gated(*gates: Manifest) -> Manifest:
    """A model with staging, and these gates before production; those that say nothing of a name
    are called quality.
    """
    named = [
        {key: value for key, value in ({"name": "quality"} | gate).items() if value is not None}
        for gate in gates
    ]
    return model(stages={"staging": {}, "production": {"gates": named}})


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

RUNS = {
    "no experiment": (
        without(training_run(), "spec", "experiment"),
        "spec.experiment: Required value",
    ),
    "experiment in another namespace": (
        training_run(experiment="risk/fraud"),
        "write lower case letters, digits and dashes",
    ),
    "no trainer": (without(training_run(), "spec", "trainer"), "spec.trainer: Required value"),
    "empty trainer": (
        training_run(trainer={}),
        "name exactly one trainer: xgboost, script, container or external",
    ),
    "two trainers": (
        training_run(trainer={"xgboost": {}} | SCRIPT),
        "name exactly one trainer: xgboost, script, container or external",
    ),
    "external and a script": (training_run(trainer=EXTERNAL | SCRIPT), "name exactly one trainer"),
    "external with a setting": (
        training_run(trainer={"external": {"url": "x"}}),
        'unknown field "spec.trainer.external.url"',
    ),
    "external as a word": (
        training_run(trainer={"external": True}),
        "spec.trainer.external in body must be of type object",
    ),
    "external with resources": (
        training_run(trainer=EXTERNAL, resources={"requests": {"cpu": 1}}),
        "an external run has no pod: remove",
    ),
    "external with a node": (
        training_run(trainer=EXTERNAL, nodeSelector={"pool": "gpu"}),
        "an external run has no pod: remove",
    ),
    "external with a toleration": (
        training_run(trainer=EXTERNAL, tolerations=[{"key": "gpu"}]),
        "an external run has no pod: remove",
    ),
    "external with a pull secret": (
        training_run(trainer=EXTERNAL, imagePullSecrets=["registry"]),
        "an external run has no pod: remove",
    ),
    "external with retries": (
        training_run(trainer=EXTERNAL, backoffLimit=1),
        "an external run is not repeated automatically",
    ),
    "external and suspended": (
        training_run(trainer=EXTERNAL, suspend=True),
        "an external run cannot be suspended",
    ),
    "unknown trainer": (
        training_run(trainer={"lightgbm": {}}),
        'unknown field "spec.trainer.lightgbm"',
    ),
    "unknown task": (
        training_run(trainer={"xgboost": {"task": "ranking"}}),
        'supported values: "classification", "regression"',
    ),
    "script without a ConfigMap": (
        training_run(trainer={"script": {"key": "train.py"}}),
        "spec.trainer.script.configMap: Required value",
    ),
    "script that is no Python": (
        training_run(trainer={"script": {"configMap": "c", "key": "train.sh"}}),
        "ends in .py, such as train.py",
    ),
    "container without an image": (
        training_run(trainer={"container": {"args": []}}),
        "spec.trainer.container.image: Required value",
    ),
    "signed by a Secret of another name": (
        training_run(trainer=SCRIPT | {"sign": SIGN | {"secret": "modelyard-connection"}}),
        (
            "name a Secret whose name begins with modelyard-signing: training pods mount no other"
            " Secret"
        ),
    ),
    "signed by a Secret without a key": (
        training_run(trainer=SCRIPT | {"sign": {"secret": "modelyard-signing"}}),
        "sign.key: Required value",
    ),
    "signed by a key that is a path": (
        training_run(trainer=SCRIPT | {"sign": SIGN | {"key": "../key"}}),
        "trainer.sign.key in body should",
    ),
    "signed by a container": (
        training_run(trainer={"container": {"image": "i"}, "sign": SIGN}),
        (
            "sign is for xgboost and script. With container or external remove it, and sign the"
            " model's folder yourself"
        ),
    ),
    "signed elsewhere": (
        training_run(trainer=EXTERNAL | {"sign": SIGN}),
        "sign is for xgboost and script",
    ),
    "signed by nobody": (training_run(trainer={"sign": SIGN}), "name exactly one trainer"),
    "command as one text": (
        training_run(trainer={"container": {"image": "i", "command": "python train.py"}}),
        "spec.trainer.container.command in body must be of type array",
    ),
    "parameter that is a number": (
        training_run(parameters={"max_depth": 6}),
        "spec.parameters.max_depth in body must be of type string",
    ),
    "parameter that is a float": (
        training_run(parameters={"eta": 0.1}),
        "spec.parameters.eta in body must be of type string",
    ),
    "parameter that MLflow does not take": (
        training_run(parameters={"layers[0].units": "6"}),
        "layers.0.units for layers[0].units",
    ),
    "parameter without a name": (
        training_run(parameters={"": "6"}),
        "MLflow takes keys of 1 to 250 letters",
    ),
    "parameter with a long name": (
        training_run(parameters={"a" * 251: "6"}),
        "MLflow takes keys of 1 to 250 letters",
    ),
    "parameter that is no path": (
        training_run(parameters={"a//b": "6"}),
        "keys that could be a file's relative path",
    ),
    "parameters larger than an environment": (
        training_run(parameters={f"p{i:03}": "x" * 6000 for i in range(21)}),
        "parameters are larger than 120 KiB in total: put large values into the dataset",
    ),
    "digest without uri": (
        training_run(dataset={"name": "cards", "digest": DIGEST}),
        "digest needs uri",
    ),
    "dataset that is a folder": (
        training_run(dataset={"name": "c", "uri": "s3://data/cards.parquet/"}),
        "dataset.uri must name one file, and this is a folder",
    ),
    "rows with uri": (
        training_run(dataset={"name": "cards", "uri": "s3://data/c.csv", "rows": 50}),
        "rows only applies to a synthetic dataset",
    ),
    "too few rows": (
        training_run(dataset={"name": "cards", "rows": 1}),
        "spec.dataset.rows in body should be greater than or equal to 10",
    ),
    "dataset without a name": (
        training_run(dataset={"uri": "s3://data/cards.csv"}),
        "spec.dataset.name: Required value",
    ),
    "dataset by http": (
        training_run(dataset={"name": "c", "uri": "http://data/cards.csv"}),
        "write s3://<bucket>/<key>, without %, ? or #",
    ),
    "dataset without a key": (
        training_run(dataset={"name": "c", "uri": "s3://data"}),
        "write s3://<bucket>/<key>",
    ),
    "dataset that climbs": (
        training_run(dataset={"name": "c", "uri": "s3://data/../keys"}),
        "write the key without . and .. between slashes",
    ),
    "dataset that is encoded": (
        training_run(dataset={"name": "c", "uri": "s3://data/%2e%2e/keys"}),
        "without %, ? or #",
    ),
    "dataset with a NUL": (
        training_run(dataset={"name": "c", "uri": "s3://data/a\0b"}),
        "write the key without backslashes, control characters",
    ),
    "dataset with a user": (
        training_run(dataset={"name": "c", "uri": "s3://me:secret@data/a"}),
        "write s3://<bucket>/<key>",
    ),
    "digest of another kind": (
        training_run(dataset={"name": "c", "uri": "s3://data/c.csv", "digest": "md5:abc"}),
        "write sha256: and the 64 lower case hex digits",
    ),
    "two workers": (
        training_run(workers=2),
        "this release trains in one pod: set workers to 1, or leave it out",
    ),
    "no worker": (training_run(workers=0), "set workers to 1, or leave it out"),
    "too many retries": (
        training_run(backoffLimit=21),
        "spec.backoffLimit in body should be less than or equal to 20",
    ),
    "deadline in words": (
        training_run(activeDeadlineSeconds="1h"),
        "spec.activeDeadlineSeconds in body must be of type integer",
    ),
    "no time at all": (
        training_run(activeDeadlineSeconds=0),
        "spec.activeDeadlineSeconds in body should be greater than or equal to 1",
    ),
    "negative time to live": (
        training_run(ttlSecondsAfterFinished=-1),
        "spec.ttlSecondsAfterFinished in body should be greater",
    ),
    "suspend as a word": (
        training_run(suspend="yes"),
        "spec.suspend in body must be of type boolean",
    ),
    "half a quantity": (
        training_run(resources={"requests": {"cpu": 1.5}}),
        "spec.resources.requests.cpu in body must be of type integer,string",
    ),
    "quantity with a comma": (
        training_run(resources={"limits": {"memory": "1,5Gi"}}),
        "write a quantity as in pods, such as 500m",
    ),
    "registering without a version": (
        training_run(register={"model": "fraud"}),
        "spec.register.version: Required value",
    ),
    "unknown toleration": (
        training_run(tolerations=[{"operator": "In"}]),
        'supported values: "Exists", "Equal"',
    ),
    "name too long": (
        training_run("a" * 51),
        "a TrainingRun's name is at most 50 lower case letters, digits and dashes",
    ),
    "name with dots": (
        training_run("fraud.1"),
        "a TrainingRun's name is at most 50 lower case letters, digits and dashes",
    ),
}


def gate(**kind: Any) -> Manifest:
    """A model with one gate."""
    return model(stages={"production": {"gates": [{"name": "g", **kind}]}})


def smoke(**more: Any) -> Manifest:
    """A model with a gate `smoke`."""
    return gate(
        smoke={"requests": {"configMap": "c", "key": "k", "digest": "sha256:" + "0" * 64}, **more}
    )


WHERE = "write where the requests are: either configMap and key, or uri, s3://<bucket>/<key>"


def reverify(**asked: object) -> Manifest:
    """A model whose stage is asked again like this."""
    return model(stages={"production": {"reverify": asked}})


MODELS = {
    "tag of MLflow's own": (
        model(tags={"mlflow.note.content": "x"}),
        "write another key, such as team.owner",
    ),
    "version with a tag of our own": (
        model(versions={"v1": {"runId": "abc", "tags": {"modelyard.io/digest": "x"}}}),
        "write another key, such as team.owner",
    ),
    "version without a source": (
        model(versions={"v1": {}}),
        "name exactly one source: trainingRun, runId or uri",
    ),
    "version with two sources": (
        model(versions={"v1": {"runId": "abc", "uri": "s3://models/fraud"}}),
        "name exactly one source: trainingRun, runId or uri",
    ),
    "path without a run": (
        model(versions={"v1": {"trainingRun": "fraud-001", "path": "model"}}),
        "path needs runId",
    ),
    "path that climbs": (
        model(versions={"v1": {"runId": "a", "path": "../other"}}),
        "write the model's name or its path below the run",
    ),
    "path that is absolute": (
        model(versions={"v1": {"runId": "a", "path": "/etc"}}),
        "write the model's name or its path below the run",
    ),
    "run id with a slash": (model(versions={"v1": {"runId": "../1"}}), "write MLflow's run id"),
    "source on a disk": (
        model(versions={"v1": {"uri": "file:///models/fraud"}}),
        "write s3://<bucket>/<key>",
    ),
    "source that climbs": (
        model(versions={"v1": {"uri": "s3://models/fraud/../../other"}}),
        "without . and .. between slashes",
    ),
    "source among histories": (
        model(versions={"v1": {"uri": "s3://artifacts/risk/.modelyard/history/u-1"}}),
        ".modelyard/ is reserved for what the operator stores",
    ),
    "source with an empty segment": (
        model(versions={"v1": {"uri": "s3://models//fraud"}}),
        "write the key without empty segments",
    ),
    "source that ends in two slashes": (
        model(versions={"v1": {"uri": "s3://models/fraud//"}}),
        "write the key without empty segments",
    ),
    "source with a backslash": (
        model(versions={"v1": {"uri": "s3://models/a\\b"}}),
        "write the key without backslashes",
    ),
    "source that is written backwards": (
        model(versions={"v1": {"uri": "s3://models/\u202efraud"}}),
        "write the key without backslashes",
    ),
    "source with an odd space": (
        model(versions={"v1": {"uri": "s3://models/a\u00a0b"}}),
        "spaces other than the ordinary one",
    ),
    "source at an address": (
        model(versions={"v1": {"uri": "s3://10.0.0.1/fraud"}}),
        "not an IP address",
    ),
    "source in a bucket of two dots": (
        model(versions={"v1": {"uri": "s3://mo..dels/fraud"}}),
        "without two dots in a row",
    ),
    "version named in capitals": (
        model(versions={"V1": {"runId": "a"}}),
        "a version's name is lower case letters, digits and dashes",
    ),
    "version with a long name": (
        model(versions={"v" * 64: {"runId": "a"}}),
        "a version's name is lower case letters, digits and dashes",
    ),
    "too many versions": (
        model(versions={f"v{i}": {"runId": "a"} for i in range(65)}),
        "spec.versions: Too many: 65",
    ),
    "stage that MLflow reserves": (
        model(stages={"latest": {}}),
        "MLflow reserves the aliases latest and v<number>",
    ),
    "stage like a version": (
        model(stages={"v2": {}}),
        "MLflow reserves the aliases latest and v<number>",
    ),
    "stage in capitals": (
        model(stages={"Production": {}}),
        "a stage's name is at most 30 lower case letters, digits and dashes",
    ),
    "stage with a long name": (
        model(stages={"a" * 31: {}}),
        "a stage's name is at most 30 lower case letters, digits and dashes",
    ),
    "too many stages": (
        model(stages={f"s{i}": {} for i in range(17)}),
        "spec.stages: Too many: 17",
    ),
    "stage as a version": (
        model(stages={"production": "v1"}),
        "spec.stages.production in body must be of type object",
    ),
    "version as a number": (
        model(stages={"production": {"version": 3}}),
        "spec.stages.production.version in body must be of type string",
    ),
    "version that can be none": (
        model(stages={"production": {"version": "V 3"}}),
        "write lower case letters, digits and dashes",
    ),
    **{
        f"gate {name}": (gated(*gates), words)
        for name, gates, words in (
            ("without a kind", [{}], "a gate has exactly one of metric, "),
            ("of two kinds", [METRIC | {"signature": {}}], "a gate has exactly one of metric, "),
            (
                "of a kind that is none",
                [{"acuracy": {}}],
                'unknown field "spec.stages.production.gates[0].acuracy"',
            ),
            (
                "without a name",
                [METRIC | {"name": None}],
                "spec.stages.production.gates[0].name: Required value",
            ),
            (
                "named in capitals",
                [METRIC | {"name": "Quality"}],
                "spec.stages.production.gates[0].name",
            ),
            ("named twice", [METRIC, METRIC], 'gates[1]: Duplicate value: {"name":"quality"}'),
            (
                "the ninth",
                [METRIC | {"name": f"g{at}"} for at in range(9)],
                "spec.stages.production.gates: Too many: 9",
            ),
            (
                "metric without bounds",
                [{"metric": {"name": "f1"}}],
                "write atLeast, atMost, or both",
            ),
            (
                "metric with a float",
                [{"metric": {"name": "f1", "atLeast": 0.9}}],
                "atLeast in body must be of type string",
            ),
            (
                "metric with a word",
                [{"metric": {"name": "f1", "atLeast": "high"}}],
                'write a number in quotes, such as "0.92"',
            ),
            (
                "metric beyond all doubles",
                [{"metric": {"name": "f1", "atLeast": "1e1000"}}],
                'write a number in quotes, such as "0.92"',
            ),
            (
                "metric that MLflow does not take",
                [{"metric": {"name": "a@b", "atLeast": "0"}}],
                "MLflow takes keys of 1 to 250",
            ),
            (
                "incumbent of another model",
                [{"incumbent": {"metric": "f1", "stage": "canary"}}],
                "a gate's stage must be a stage of this model",
            ),
            (
                "incumbent with a negative tolerance",
                [{"incumbent": {"metric": "f1", "tolerance": "-0.1"}}],
                "is not negative",
            ),
            (
                "incumbent with a wrong way",
                [{"incumbent": {"metric": "f1", "direction": "Up"}}],
                'supported values: "Maximize", "Minimize"',
            ),
            (
                "incumbent of no samples",
                [{"incumbent": {"metric": "f1", "samples": {"metric": "n", "atLeast": 0}}}],
                "greater than or equal to 1",
            ),
            (
                "signature of another model",
                [{"signature": {"stage": "canary"}}],
                "a gate's stage must be a stage of this model",
            ),
            (
                "soak of its own stage",
                [{"soak": {"stage": "production", "for": "1h"}}],
                "soak must name another stage than its own",
            ),
            (
                "soak of another model",
                [{"soak": {"stage": "canary", "for": "1h"}}],
                "a gate's stage must be a stage of this model",
            ),
            ("soak without a time", [{"soak": {"stage": "staging"}}], "soak.for: Required value"),
            (
                "soak of a while",
                [{"soak": {"stage": "staging", "for": "a while"}}],
                "write a whole number and s, m, h or d",
            ),
            ("dataset without anything", [{"dataset": {}}], "write digest, maxAge, or both"),
            (
                "dataset of another digest",
                [{"dataset": {"digest": "md5:1"}}],
                "write sha256: and the 64 lower case hex digits",
            ),
        )
    },
    **{
        f"override until {until}": (
            model(
                stages={
                    "production": {
                        "override": {"version": "v2", "reason": "incident", "until": until}
                    }
                }
            ),
            "override.until",
        )
        for until in (
            "tomorrow",
            "2030-12-01T18:00:00",
            "2030-12-01",
            "0000-12-01T18:00:00Z",
            "2030-12-01T18:00:00+99:99",
            "2030-12-01T24:00:00Z",
            "2030-12-01T18:00:00x5Z",
            "1999-12-01T18:00:00Z",
        )
    },
    "from its own stage": (
        model(stages={"production": {"from": "production"}}),
        "from must name another stage of this model",
    ),
    "stages from each other": (
        model(stages={"a": {"from": "b"}, "b": {"from": "a"}}),
        "two stages wait for each other",
    ),
    "stages that soak for each other": (
        model(
            stages={
                name: {"gates": [{"name": "s", "soak": {"stage": of, "for": "1h"}}]}
                for name, of in (("a", "b"), ("b", "a"))
            }
        ),
        "two stages wait for each other",
    ),
    "a stage from one that soaks in it": (
        model(
            stages={
                "a": {"from": "b"},
                "b": {"gates": [{"name": "s", "soak": {"stage": "a", "for": "1h"}}]},
            }
        ),
        "two stages wait for each other",
    ),
    "from a stage that is not there": (
        model(stages={"production": {"from": "staging"}}),
        "from must name another stage of this model",
    ),
    "gate with two kinds": (gate(signature={}, job={"image": "i"}), "a gate has exactly one of "),
    "job that takes a variable of ours": (
        gate(job={"image": "i", "env": [{"name": "MODELYARD_CANDIDATE_URL"}]}),
        "names that begin with MODELYARD_ are reserved",
    ),
    "job that takes a name of no variable": (
        gate(job={"image": "i", "env": [{"name": "1"}]}),
        "write letters, digits and underscores",
    ),
    "job with one variable twice": (
        gate(job={"image": "i", "env": [{"name": "A"}, {"name": "A"}]}),
        "Duplicate value",
    ),
    "job without an image": (gate(job={"command": ["true"]}), "job.image: Required value"),
    "job with many retries": (
        gate(job={"image": "i", "retries": 6}),
        "job.retries in body should be less than or equal to 5",
    ),
    "candidate that is something else": (
        gate(job={"image": "i", "candidate": "Yes"}),
        'supported values: "None", "Served"',
    ),
    "latency without a unit": (
        smoke(maxLatency="50"),
        "write a whole number and ms or s, such as 50ms",
    ),
    "tolerance below nothing": (smoke(tolerance="-1"), "write a number that is not negative"),
    "requests without a digest": (
        gate(smoke={"requests": {"configMap": "c", "key": "k"}}),
        "requests.digest: Required value",
    ),
    "requests nowhere": (gate(smoke={"requests": {"digest": DIGEST}}), WHERE),
    "requests in two places": (
        gate(smoke={"requests": {"uri": "s3://data/risk/k", "configMap": "c", "digest": DIGEST}}),
        WHERE,
    ),
    "requests without a key": (
        gate(smoke={"requests": {"configMap": "c", "digest": DIGEST}}),
        WHERE,
    ),
    "requests in S3 without a digest": (
        gate(smoke={"requests": {"uri": "s3://data/k"}}),
        "requests.digest: Required value",
    ),
    "requests elsewhere": (
        gate(smoke={"requests": {"uri": "https://b/k", "digest": DIGEST}}),
        "write s3://<bucket>/<key>, without %",
    ),
    "requests that are a folder": (
        gate(smoke={"requests": {"uri": "s3://data/k/", "digest": DIGEST}}),
        "requests.uri must name one file",
    ),
    "no keys": (keys(), "signed.keys in body should have at least 1 items"),
    "five keys": (keys(*[PUBLIC_KEY] * 5), "signed.keys: Too many: 5: must have at most 4 items"),
    "a key that is long": (keys("x" * 513), "signed.keys[0]: Too long: may not be more than 512"),
    "a key that is a path": (keys("/keys/signing.pub"), KEYS),
    "a private key": (keys(public(P384, "PRIVATE")), KEYS),
    "a key of another kind": (
        keys(PUBLIC_KEY, public("MCowBQYDK2VwAyEArguo/GXiJCyRt+Zt/AUgEDZS85oYut9b6u1fNpE/3H0=")),
        KEYS,
    ),
    "a key that is cut": (keys(public(P384[:-1])), KEYS),
    "a certificate": (keys(PUBLIC_KEY.replace("PUBLIC KEY", "CERTIFICATE")), KEYS),
    "approvals of nobody": (
        gate(approvals={"atLeast": 0}),
        "approvals.atLeast in body should be greater",
    ),
    "approvals that expire at once": (
        gate(approvals={"expireAfter": "0d"}),
        "write a duration above zero, such as 7d",
    ),
    "registrar excluded otherwise": (
        gate(approvals={"excludeRegistrar": "Never"}),
        'supported values: "IfKnown", "Required"',
    ),
    "two kinds of gate": (gate(approvals={}, external={}), "a gate has exactly one of metric"),
    "a version that nobody asks for": (
        model(
            stages={"production": {"version": "v1", "gates": [{"name": "people", "approvals": {}}]}}
        ),
        "needs requestedBy beside version: write your user name there",
    ),
    "a version beside autoPromote": (
        model(stages={"production": {"version": "v1", "autoPromote": {"from": "newest"}}}),
        "version and autoPromote exclude each other: remove one of them",
    ),
    "one who asks beside autoPromote": (
        model(stages={"production": {"requestedBy": "rita", "autoPromote": {"from": "newest"}}}),
        "requestedBy does not apply to autoPromote: remove it",
    ),
    "the oldest version": (
        model(stages={"production": {"autoPromote": {"from": "oldest"}}}),
        'supported values: "newest"',
    ),
    "autoPromote from nothing": (
        model(stages={"production": {"autoPromote": {}}}),
        "autoPromote.from: Required value",
    ),
    "reverify without a time": (reverify(), "write every, such as 24h, or raise attempt"),
    "reverify with attempt 0 only": (
        reverify(attempt=0),
        "write every, such as 24h, or raise attempt",
    ),
    "reverify without a unit": (reverify(every="24"), "reverify.every in body should match"),
    **{
        f"reverify each {every}": (reverify(every=every), "write at least 10m, such as 24h")
        for every in ("0h", "9m", "599s", "0d", "000000009m")
    },
    "reverify each many digits": (
        reverify(every="9999999999d"),
        "at most nine digits and its unit",
    ),
    **ROLLBACKS,
    "reverify at no attempt": (reverify(attempt=-1), "reverify.attempt in body should be greater"),
    "less than no replicas": (
        model(stages={"p": {"serving": {"replicas": -1}}}),
        "spec.stages.p.serving.replicas in body should be greater",
    ),
    "scaling the wrong way": (
        model(stages={"p": {"serving": {"autoscaling": {"minReplicas": 4, "maxReplicas": 2}}}}),
        "minReplicas must not be greater than maxReplicas",
    ),
    "scaling without an end": (
        model(stages={"p": {"serving": {"autoscaling": {}}}}),
        "autoscaling.maxReplicas: Required value",
    ),
    "bodies of no bytes": (runtime(maxBodyBytes="0"), "write a number of bytes, such as 8Mi"),
    "bodies of fewer bytes": (
        runtime(maxBodyBytes=-1),
        "write a number of bytes for maxBodyBytes, such as 8Mi",
    ),
    "bodies in another unit": (runtime(maxBodyBytes="8MB"), "write a number of bytes, such as 8Mi"),
    "no time": (runtime(timeout="0s"), "write a whole number and s or m, such as 30s"),
    "time in hours": (runtime(timeout="1h"), "write a whole number and s or m, such as 30s"),
    "unknown drift": (model(drift="Adopt"), 'supported values: "Revert", "Warn"'),
    "name that no Service can have": (
        model("1fraud"),
        "a RegisteredModel's name begins with a letter",
    ),
    "name too long for its Services": (
        model("a" * 33),
        "at most 32 lower case letters, digits and dashes",
    ),
    "name with dots": (model("risk.fraud"), "the Service of each stage is named <model>-<stage>"),
}


APPROVALS = {
    "no approver": (without(approval(), "spec", "approver"), "spec.approver: Required value"),
    "an empty approver": (
        approval(approver=""),
        "spec.approver in body should be at least 1 chars long",
    ),
    "no digest": (without(approval(), "spec", "digest"), "spec.digest: Required value"),
    "a short digest": (approval(digest="sha256:00"), "spec.digest in body should match"),
    "another decision": (approval(decision="Maybe"), 'supported values: "Approve", "Reject"'),
    "a name with dots": (
        approval("fraud.production"),
        "a ModelApproval's name is at most 200 lower case letters",
    ),
}


def rows(table: dict[str, tuple[Manifest, str]]) -> list[object]:
    return [pytest.param(manifest, words, id=name) for name, (manifest, words) in table.items()]


TABLES = (EXPERIMENTS, RUNS, MODELS, FREEZES, APPROVALS, ANALYSES, ROLLOUTS)


@pytest.mark.parametrize(("manifest", "words"), [each for table in TABLES for each in rows(table)])
def test_a_wrong_object_is_refused_in_words(manifest: Manifest, words: str, cluster: Cluster):
    answer = cluster.check(manifest)
    assert not answer.ok
    assert words in answer.message
