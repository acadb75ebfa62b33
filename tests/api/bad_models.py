"""Invalid versions and stages of RegisteredModels: rows of `test_bad_input`."""

from tests.api.objects import Manifest, model

__all__ = ["MODELS"]


def runtime(**fields: object) -> Manifest:
    """Return a model whose stage has these settings of the model server."""
    return model(stages={"p": {"serving": {"runtime": fields}}})


def reverify(**asked: object) -> Manifest:
    """A model whose stage has this `reverify`."""
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
