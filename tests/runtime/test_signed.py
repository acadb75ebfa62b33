"""The gate `signed` on a real MinIO, and trainings that sign their model: Pass, Fail and errors."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from modelyard.api.digest import FileDigest, tree_digest
from modelyard_runtime.fetch import local_tree
from modelyard_runtime.signature import (
    FILE,
    LIMIT,
    differences,
    fingerprint,
    public_key,
    sign,
    verify,
)
from tests.pages import DOCS, blocks, script
from tests.runtime.programs import Ended, environment, program
from tests.runtime.test_fetch import put
from tests.runtime.test_training import PARAMETERS, XGBOOST, Pod, cards, parquet
from tests.servers import Minio, free_port
from tests.unit.test_signature import pem, private

KEY, OTHER = (ec.derive_private_key(secret, ec.SECP256R1()) for secret in (7, 8))
MINE, THEIRS = pem(KEY.public_key()), pem(OTHER.public_key())
MINE_SHORT, THEIRS_SHORT = fingerprint(KEY.public_key()), fingerprint(OTHER.public_key())
TREE = {"MLmodel": b"flavors: {}", "data/model.ubj": b"\x00" * 300_000, "köln.json": b"{}"}


def files(tree: dict[str, bytes]) -> list[FileDigest]:
    return [
        FileDigest(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in tree.items()
    ]


def gate(folder: Path, store: Minio, prefix: str, digest: str, *keys: str, **env: str) -> Ended:
    """Run the gate's program as its pod does."""
    told = {
        "MODELYARD_CANDIDATE_URI": f"s3://datasets/{prefix}",
        "MODELYARD_CANDIDATE_DIGEST": digest,
    }
    arguments = [argument for key in keys or (MINE,) for argument in ("--key", key)]
    return program(folder, "signed", *arguments, env=store.environment | told | env)


@pytest.fixture
def asked(minio: Minio, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """Store a tree under a separate prefix and run the gate on it, with its real digest."""

    def ask(tree: dict[str, bytes], *keys: str) -> Ended:
        prefix = f"signed/{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"
        return gate(tmp_path, minio, prefix, put(minio, prefix, tree), *keys)

    return ask


@pytest.mark.contract
def test_a_signed_tree_passes_with_the_name_of_its_key_whichever_of_the_keys_it_is(
    asked: Any, tmp_path: Path
):
    ended = asked(TREE | {FILE: sign("fraud", files(TREE), OTHER)}, MINE, THEIRS.replace("\n", " "))
    assert ended.code == 0, ended.log
    assert ended.said == {"message": f"signed by the key {THEIRS_SHORT}, 3 files"}
    assert [path.name for path in tmp_path.iterdir()] == ["termination-log"], (
        "no file of the version is kept"
    )


GOOD = sign("fraud", files(TREE), KEY)
FLIPPED = TREE["data/model.ubj"][:-1] + b"\x01"
BY_MINE = f"signed by the key {MINE_SHORT}"
FAILS = {
    "flipped": (
        TREE | {FILE: GOOD, "data/model.ubj": FLIPPED},
        f"data/model.ubj was changed after it was signed; signed by the key {MINE_SHORT}",
    ),
    "extra": (
        TREE | {FILE: GOOD, ".git/config": b""} | {f"x{number}": b"" for number in range(6)},
        (
            ".git/config is not signed, x0 is not signed, x1 is not signed, x2 is not signed, x3 is"
            f" not signed, and 2 more; {BY_MINE}"
        ),
    ),
    "gone": (
        {path: TREE[path] for path in ("MLmodel", "köln.json")} | {FILE: GOOD},
        "data/model.ubj was signed and is missing; signed by",
    ),
    "another key": (
        TREE | {FILE: sign("fraud", files(TREE), OTHER)},
        f"model.sig: it is not by the gate's key {MINE_SHORT}, but by a key whose PEM",
    ),
    "no bundle": (
        TREE | {FILE: b"[" * 100_000},
        "model.sig: it is not JSON, so it is not a sigstore bundle",
    ),
    "large": (
        TREE | {FILE: b" " * (LIMIT + 1)},
        f"model.sig has {LIMIT + 1} bytes; a signature has at most {LIMIT}",
    ),
}


@pytest.mark.contract
@pytest.mark.parametrize("what", FAILS)
def test_a_fail_has_the_reason_and_names_the_file(asked: Any, what: str):
    tree, said = FAILS[what]
    ended = asked(tree)
    assert (ended.code, ended.said["reason"]) == (67, "SignatureInvalid"), ended.log
    assert said in ended.said["message"]
    assert "Traceback" not in ended.log


@pytest.mark.contract
def test_a_tree_without_a_signature_fails_with_how_to_sign_it(asked: Any):
    ended = asked(TREE | {f"data/{FILE}": GOOD})
    assert (ended.code, ended.said["reason"]) == (67, "SignatureMissing")
    assert (
        ended.said["message"]
        == "there is no model.sig among its 4 files; sign with trainer.sign or `model_signing sign"
        " key`"
    )
    assert "model_signing sign key --signature model.sig" in ended.log


@pytest.mark.contract
def test_the_bytes_that_are_verified_are_those_of_the_recorded_digest(minio: Minio, tmp_path: Path):
    """A tree signed with the same key that replaced it since is another one."""
    other = TREE | {"MLmodel": b"flavors: {evil}"}
    put(minio, "signed/replaced", other | {FILE: sign("fraud", files(other), KEY)})
    ended = gate(tmp_path, minio, "signed/replaced", tree_digest(files(TREE | {FILE: GOOD})))
    assert (ended.code, ended.said["reason"]) == (65, "ArtifactDigestMismatch")


@pytest.mark.contract
def test_an_unreachable_or_forbidden_store_is_no_verdict(minio: Minio, tmp_path: Path):
    digest = "sha256:" + "0" * 64
    away = gate(
        tmp_path,
        minio,
        "signed/none",
        digest,
        MLFLOW_S3_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}",
    )
    closed = gate(tmp_path, minio, "signed/none", digest, AWS_SECRET_ACCESS_KEY="wrong")
    empty = gate(tmp_path, minio, "signed/none", digest)
    assert [ended.said["reason"] for ended in (away, closed, empty)] == [
        "StoreUnavailable",
        "ConnectionRefused",
        "ArtifactMissing",
    ]


def test_an_invalid_key_is_named_before_any_request(tmp_path: Path):
    ended = program(
        tmp_path,
        "signed",
        "--key",
        MINE,
        "--key",
        "x",
        env={"MODELYARD_CANDIDATE_URI": "", "MODELYARD_CANDIDATE_DIGEST": ""},
    )
    assert (ended.code, ended.said["reason"]) == (67, "SignatureInvalid")
    assert (
        ended.said["message"] == "key 2 of the gate cannot be used: it is not a public key in PEM"
    )


def test_the_commands_on_the_gate_s_page_sign_verify_and_name_the_key(tmp_path: Path):
    page = DOCS / "gates" / "signed.md"
    (signs,) = [block.text for block in blocks(page) if block.not_run]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}")
    folder = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    typed = "\n".join(["set -e", signs, script(page)])
    done = subprocess.run(
        ["bash", "-c", typed],
        cwd=tmp_path,
        env={"PATH": folder},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    model = next(
        each
        for each in yaml.safe_load_all(
            page.read_text().partition("```yaml\n")[2].partition("```")[0]
        )
    )
    (key,) = model["spec"]["stages"]["production"]["gates"][0]["signed"]["keys"]
    assert done.stdout.splitlines()[-1] == fingerprint(public_key(key))
    ours = public_key((tmp_path / "signing.pub").read_text())
    said = verify((tmp_path / "model" / FILE).read_bytes(), [ours])
    assert differences(said.files, local_tree(tmp_path / "model")) == []


# --- trainings that sign --------------------------------------------------------------------------
RUNS = """
import json
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

client = MlflowClient()
experiment = client.create_experiment("signed", artifact_location="s3://datasets/trained")
runs = [client.create_run(experiment).info for _ in range(4)]
models = [
    client.create_logged_model(experiment, name, source_run_id=runs[1].run_id)
    for name in ("early", "late", "torn")
]
for model in models[:2]:
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
locations = [model.artifact_location for model in models]
print(json.dumps([[run.run_id for run in runs], runs[2].artifact_uri, locations]))
"""
SIGN = """
import os, sys
from modelyard_runtime import sign

key = sign.signing_key()
for run in sys.argv[1:]:
    sign.sign_logged(run, key)
os.environ["MLFLOW_S3_UPLOAD_EXTRA_ARGS"] = '{"ChecksumSHA256": "x"}'
try:
    sign.sign_logged(sys.argv[1], key)
except Exception as error:
    print(error)
"""


@dataclass(frozen=True)
class Trained:
    """Runs whose artifacts are in S3.

    Attributes:
        runs: Ids: of one without a model, of one with `models`, of one with files that were logged
            below `model`, and of one more.
        artifacts: Where the third one's artifacts are.
        models: Where the second one's models are: two that are logged, the last of them at last,
            and one that is not ready.

    """

    runs: list[str]
    artifacts: str
    models: list[str]


@pytest.fixture(scope="module")
def trained(tracking: Any, minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("runs")
    env = environment(folder, minio.environment | {"MLFLOW_TRACKING_URI": tracking.uri})
    command = [sys.executable, "-W", "ignore", "-c", RUNS]
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, check=True, timeout=240
    )
    return Trained(*json.loads(done.stdout.splitlines()[-1]))


def signing(folder: Path, key: bytes | None = None) -> dict[str, str]:
    """Return the environment of a pod that signs; `key` None: the Secret does not exist."""
    (folder / "signing").mkdir()
    if key is not None:
        (folder / "signing" / "key.pem").write_bytes(key)
    return {
        "MODELYARD_SIGNED_BY": "modelyard-signing/key.pem",
        "MODELYARD_SIGNING_FOLDER": str(folder / "signing"),
    }


def key_of(uri: str) -> str:
    """Return the key after the bucket, as a folder."""
    return uri.removeprefix("s3://datasets/").rstrip("/") + "/"


def there(store: Minio, uri: str) -> dict[str, bytes]:
    """Return the files below a URI."""
    client, prefix = store.s3(), key_of(uri)
    keys = [
        each["Key"]
        for each in client.list_objects_v2(Bucket="datasets", Prefix=prefix).get("Contents", ())
    ]
    return {
        key.removeprefix(prefix): client.get_object(Bucket="datasets", Key=key)["Body"].read()
        for key in keys
    }


def judged(folder: Path, store: Minio, uri: str) -> Ended:
    return gate(folder, store, key_of(uri), tree_digest(files(there(store, uri))))


@pytest.mark.contract
def test_the_shipped_trainer_signs_what_it_logged_and_the_gate_passes_it(
    tracking: Any, minio: Minio, trained: Trained, tmp_path: Path
):
    env = (
        {"MLFLOW_TRACKING_URI": tracking.uri, "MLFLOW_RUN_ID": trained.runs[3]}
        | minio.environment
        | signing(tmp_path, private(KEY))
    )
    pod = Pod(tmp_path, XGBOOST, {"name": "cards", "target": "is_fraud"}, PARAMETERS, **env)
    pod.data.mkdir()
    (pod.data / "dataset.parquet").write_bytes(parquet(cards(200)))
    ended = pod.train()
    assert ended.code == 0, ended.log
    (line,) = [line for line in ended.log.splitlines() if line.startswith("signed s3://")]
    assert line.endswith(f" with the key {MINE_SHORT}")
    uri = line.split()[1]
    assert {"MLmodel", FILE, "requirements.txt"} <= there(minio, uri).keys()
    passes = judged(tmp_path, minio, uri)
    assert passes.code == 0, passes.log
    assert passes.said["message"].startswith(f"signed by the key {MINE_SHORT}, ")
    assert "PRIVATE KEY" not in ended.log + json.dumps(tracking.shown())


@pytest.mark.contract
def test_the_model_that_a_script_logged_last_is_signed_when_the_script_has_ended(
    tracking: Any, minio: Minio, trained: Trained, tmp_path: Path
):
    for uri in trained.models:
        put(minio, key_of(uri).rstrip("/"), {"MLmodel": b"flavors: {}"})
    early, late, torn = trained.models
    code = f"""
import boto3, os
where = {{"Bucket": "datasets", "Key": "{key_of(late)}data/weights.bin"}}
store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
store.put_object(Body=b"late", **where)
"""
    (tmp_path / "train.py").write_text(code)
    env = (
        {"MLFLOW_TRACKING_URI": tracking.uri, "MLFLOW_RUN_ID": trained.runs[1]}
        | minio.environment
        | signing(tmp_path, private(KEY))
    )
    ended = program(tmp_path, "script", str(tmp_path / "train.py"), env=env)
    assert ended.code == 0, ended.log
    assert ended.log.endswith(f"signed {late} with the key {MINE_SHORT}\n")
    assert there(minio, late).keys() == {"MLmodel", "data/weights.bin", FILE}
    assert [list(there(minio, uri)) for uri in (early, torn)] == [["MLmodel"], ["MLmodel"]]
    assert judged(tmp_path, minio, late).code == 0


@pytest.mark.contract
def test_artifacts_under_model_are_signed_a_run_without_a_model_is_not_and_a_refusal_is_reported(
    tracking: Any, minio: Minio, trained: Trained, tmp_path: Path
):
    uri = f"{trained.artifacts}/model"
    put(minio, key_of(uri).rstrip("/"), {"MLmodel": b"flavors: {}", FILE: b"an earlier one"})
    env = (
        {"MLFLOW_TRACKING_URI": tracking.uri} | minio.environment | signing(tmp_path, private(KEY))
    )
    command = [sys.executable, "-W", "ignore", "-c", SIGN, trained.runs[2], trained.runs[0]]
    done = subprocess.run(
        command,
        env=environment(tmp_path, env),
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    said = [line for line in done.stdout.splitlines() if not line.startswith("fetched")]
    assert said[:2] == [
        f"signed {uri} with the key {MINE_SHORT}",
        "the run has no model: nothing is signed",
    ]
    assert said[2].startswith(
        f"ConnectionRefused: {uri}/{FILE}: the store refuses the request (status 400)."
    )
    assert judged(tmp_path, minio, uri).code == 0


def test_a_failing_script_keeps_its_exit_code_and_nothing_is_signed(tmp_path: Path):
    (tmp_path / "train.py").write_text("raise SystemExit(3)")
    ended = program(
        tmp_path, "script", str(tmp_path / "train.py"), env=signing(tmp_path, private(KEY))
    )
    assert (ended.code, ended.log) == (3, "")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "does not exist"),
        (b"hunter2", "holds no private key in PEM"),
        (MINE.encode(), "holds no private key in PEM"),
    ],
)
def test_a_key_that_cannot_sign_is_reported_before_the_training(
    tmp_path: Path, key: bytes | None, said: str
):
    told = signing(tmp_path, key)
    pod = Pod(tmp_path, XGBOOST, {"name": "synthetic"}, {}, MLFLOW_RUN_ID="r1", **told)
    (tmp_path / "train.py").write_text("print('ran')")
    for ended in (pod.train(), program(tmp_path, "script", str(tmp_path / "train.py"), env=told)):
        assert (ended.code, ended.said["reason"]) == (67, "SigningKeyUnusable"), ended.log
        assert ended.said["message"] == f"the key key.pem of the Secret modelyard-signing {said}"
        assert "hunter2" not in ended.log
        assert "ran\n" not in ended.log
