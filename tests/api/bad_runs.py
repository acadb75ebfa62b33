"""Invalid TrainingRuns: rows of `test_bad_input`."""

from tests.api.objects import DIGEST, training_run, without

__all__ = ["RUNS"]

LONG = "a" * 5001

SCRIPT = {"script": {"configMap": "train"}}

EXTERNAL = {"external": {}}

SIGN = {"secret": "modelyard-signing", "key": "key.pem"}

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
