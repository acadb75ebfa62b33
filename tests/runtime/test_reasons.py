"""The real programs give every reason, with its exit code, termination message and log."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import xgboost
import yaml

from modelyard.api.pod_end import Exit, PodReason
from modelyard_runtime.outcome import Failure
from tests.runtime.odd_store import holding, listing, refusing
from tests.runtime.programs import Ended, program
from tests.servers import Minio, free_port

NO_DIGEST = "sha256:" + "0" * 64
CARDS = {"name": "cards", "rows": 50}
XGBOOST = {"xgboost": {"task": "classification"}}
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_RUN_ID": "r1"}


def dark() -> str:
    return f"http://127.0.0.1:{free_port()}"


# --- the programs, as pods run them ---------------------------------------------------------------
def fetch(folder: Path, store: Minio, to: Path | None = None, **limits: int) -> Ended:
    arguments = (
        "--uri",
        "s3://models/fraud",
        "--digest",
        NO_DIGEST,
        "--to",
        str(to or folder / "model"),
    )
    return program(folder, "fetch", *arguments, env=store.environment, **limits)


def data(
    folder: Path,
    dataset: dict[str, Any],
    env: dict[str, str],
    to: Path | None = None,
    **limits: int,
) -> Ended:
    given = (
        IMPATIENT
        | configured(folder, dataset)
        | {"MODELYARD_DATASET_PATH": str(to or folder / "data")}
        | env
    )
    return program(folder, "data", env=given, **limits)


def configured(folder: Path, dataset: dict[str, Any], **parameters: str) -> dict[str, str]:
    (folder / "run.json").write_text(json.dumps({"trainer": XGBOOST, "dataset": dataset}))
    (folder / "parameters.json").write_text(json.dumps(parameters))
    return {"MODELYARD_CONFIG": str(folder), "MODELYARD_DATASET_PATH": str(folder / "data")}


def serve(folder: Path, mlmodel: dict[str, Any], files: dict[str, bytes] | None = None) -> Ended:
    (folder / "MLmodel").write_text(yaml.safe_dump(mlmodel))
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
    return program(
        folder,
        "serve",
        "--model-dir",
        str(folder),
        "--name",
        "fraud",
        "--version",
        "v1",
        "--port",
        "0",
    )


def booster() -> bytes:
    matrix = xgboost.DMatrix([[0.0, 1.0], [1.0, 0.0]], label=[0, 1], feature_names=["a", "b"])
    return bytes(xgboost.train({}, matrix, 1).save_raw("ubj"))


# --- failures -------------------------------------------------------------------------------------
def mismatch(folder: Path) -> Ended:
    with holding({"fraud/MLmodel": b"flavors: {}", "fraud/data/model.ubj": b"x" * 9}) as store:
        return fetch(folder, store)


def clash(folder: Path) -> Ended:
    """A name that is a file and a folder at once: possible in S3, not on a disk."""
    with holding({"fraud/data": b"x", "fraud/data/model.ubj": b"x"}) as store:
        return fetch(folder, store)


def missing(folder: Path) -> Ended:
    with holding({"fraud-2/MLmodel": b""}) as store:
        return fetch(folder, store)


def pickled(folder: Path) -> Ended:
    return serve(folder, {"flavors": {"python_function": {"loader_module": "mlflow.sklearn"}}})


def torn(folder: Path) -> Ended:
    return serve(
        folder, {"flavors": {"xgboost": {"data": "model.ubj"}}}, {"model.ubj": booster()[:50]}
    )


def unlike(folder: Path) -> Ended:
    """An input example that does not fit the model."""
    described = {
        "flavors": {"xgboost": {"data": "model.ubj"}},
        "saved_input_example_info": {"serving_input_path": "example.json"},
    }
    return serve(
        folder, described, {"model.ubj": booster(), "example.json": b'{"inputs": [[1.0]]}'}
    )


def other_dataset(folder: Path) -> Ended:
    with holding({"cards.csv": b"a,target\n1,0\n"}) as store:
        return data(
            folder,
            CARDS | {"uri": "s3://datasets/cards.csv", "digest": NO_DIGEST},
            store.environment,
        )


def no_dataset(folder: Path) -> Ended:
    with holding({}) as store:
        return data(folder, CARDS | {"uri": "s3://datasets/cards.csv"}, store.environment)


def empty_dataset(folder: Path) -> Ended:
    with holding({"cards.parquet": b"no Parquet"}) as store:
        return data(folder, CARDS | {"uri": "s3://datasets/cards.parquet"}, store.environment)


def no_python(folder: Path) -> Ended:
    (folder / "train.py").write_text("def f(:\n")
    return program(folder, "script", str(folder / "train.py"))


def unknown_parameter(folder: Path) -> Ended:
    return program(folder, "train", env=IMPATIENT | configured(folder, CARDS, max_dept="3"))


def no_configuration(folder: Path) -> Ended:
    return program(folder, "train", env=IMPATIENT | {"MODELYARD_CONFIG": str(folder / "none")})


def no_store(folder: Path) -> Ended:
    return fetch(folder, Minio(dark()))


def no_mlflow(folder: Path) -> Ended:
    return data(folder, CARDS, {"MLFLOW_TRACKING_URI": dark()})


def no_database(folder: Path) -> Ended:
    (folder / "mlflow.db").write_text("no database at all, though there is a file")
    return program(
        folder,
        "purge",
        "--older-than",
        "30d",
        env={"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db"},
    )


def wrong_keys(folder: Path) -> Ended:
    with refusing(403) as store:
        return fetch(folder, store)


def unwelcome(folder: Path) -> Ended:
    with refusing(400) as mlflow:
        return data(folder, CARDS, {"MLFLOW_TRACKING_URI": mlflow.url})


@contextmanager
def small(folder: Path) -> Iterator[Path]:
    """A folder with room for 64 KiB: a separate volume if this process may mount one."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


LARGE = {"fraud/model.ubj": bytes(200_000)}


def full(folder: Path) -> Ended:
    """A really full volume for root, a limit of the file size for others: the operating system's
    two kinds of refusal.
    """
    with holding(LARGE) as store:
        if os.geteuid():
            return fetch(folder, store, file_limit=65536)
        with small(folder / "volume") as volume:
            return fetch(folder, store, volume / "model")


SAID: dict[PodReason, tuple[Callable[[Path], Ended], str]] = {
    PodReason.DIGEST_MISMATCH: (mismatch, "2 files, 20 bytes"),
    PodReason.ARTIFACT_INVALID: (clash, "data"),
    PodReason.ARTIFACT_MISSING: (missing, "s3://models/fraud"),
    PodReason.CODE_FORBIDDEN: (pickled, "mlflow.sklearn"),
    PodReason.LOAD_FAILED: (torn, "model.ubj"),
    PodReason.SMOKE_FAILED: (unlike, "its own input example"),
    PodReason.DATASET_DIGEST_MISMATCH: (other_dataset, "13 bytes"),
    PodReason.DATASET_UNAVAILABLE: (no_dataset, "there is no such object"),
    PodReason.DATASET_INVALID: (empty_dataset, "parquet"),
    PodReason.SCRIPT_INVALID: (no_python, "train.py, line 1"),
    PodReason.INVALID_PARAMETERS: (unknown_parameter, "max_depth"),
    PodReason.INVALID_CONFIGURATION: (no_configuration, "run.json"),
    PodReason.VOLUME_FULL: (full, "s3://models/fraud cannot be written"),
    PodReason.STORE_UNAVAILABLE: (no_store, "s3://models/fraud"),
    PodReason.MLFLOW_UNAVAILABLE: (no_mlflow, "logging the dataset"),
    PodReason.DATABASE_UNAVAILABLE: (no_database, "mlflow.db"),
    PodReason.CONNECTION_REFUSED: (wrong_keys, "the keys may not do this"),
    PodReason.REQUEST_REFUSED: (unwelcome, "no such run"),
}


OF_A_GATE = {
    PodReason.REQUESTS_MISSING,
    PodReason.REQUESTS_MISMATCH,
    PodReason.REQUESTS_FAILED,
    PodReason.CANDIDATE_UNREACHABLE,
}
"""The reasons of the gate `smoke`: test_smoke.py has a case of each."""
OF_SIGNATURES = {
    PodReason.SIGNATURE_MISSING,
    PodReason.SIGNATURE_INVALID,
    PodReason.SIGNING_KEY_UNUSABLE,
}
"""The reasons of the gate `signed` and of trainings that sign: test_signed.py has a case of
each.
"""


def test_every_reason_of_a_program_has_a_case():
    assert set(SAID) | OF_A_GATE | OF_SIGNATURES == {
        reason for reason in PodReason if reason.exit_code is not None
    }


@pytest.mark.parametrize("reason", SAID)
def test_the_program_reports_the_reason_itself(tmp_path: Path, reason: PodReason):
    happens, named = SAID[reason]
    ended = happens(tmp_path)
    assert (ended.code, ended.said.get("reason")) == (reason.exit_code, reason.value), ended.log
    assert named in ended.said["message"]
    assert reason.fix in ended.log, "who reads the log reads what to do"


# --- the same failures in other programs
# -----------------------------------------------------------
def test_a_failure_of_a_dataset_s_store_is_distinguished_from_one_of_the_dataset(tmp_path: Path):
    there = CARDS | {"uri": "s3://datasets/cards.csv"}
    assert (
        data(tmp_path, there, Minio(dark()).environment).said["reason"]
        == PodReason.STORE_UNAVAILABLE
    )
    with refusing(403) as store:
        assert (
            data(tmp_path, there, store.environment).said["reason"] == PodReason.DATASET_UNAVAILABLE
        )


@pytest.mark.parametrize("limit", [None, 16384], ids=["volume", "file"])
def test_a_dataset_that_does_not_fit_is_reported(tmp_path: Path, limit: int | None):
    rows = {"name": "cards", "rows": 5000}
    if limit or os.geteuid():
        ended = data(tmp_path, rows, {}, file_limit=limit or 16384)
    else:
        with small(tmp_path / "volume") as volume:
            ended = data(tmp_path, rows, {}, volume / "data")
    assert (ended.code, ended.said["reason"]) == (Exit.NO_SPACE, PodReason.VOLUME_FULL), ended.log
    assert "cannot be written" in ended.said["message"]


def test_mlflow_s_refusal_of_the_password_is_distinguished_from_other_refusals(tmp_path: Path):
    with refusing(401) as mlflow:
        assert (
            data(tmp_path, CARDS, {"MLFLOW_TRACKING_URI": mlflow.url}).said["reason"]
            == PodReason.CONNECTION_REFUSED
        )


def test_an_unsafe_path_is_refused_before_anything_is_written(tmp_path: Path):
    with listing("fraud/../../escaped") as store:
        ended = fetch(tmp_path, store)
    assert (ended.code, ended.said["reason"]) == (Exit.INVALID, PodReason.ARTIFACT_INVALID)


@pytest.mark.parametrize("reason", [reason for reason in PodReason if reason.exit_code is None])
def test_no_program_gives_a_reason_that_is_kubernetes(reason: PodReason):
    with pytest.raises(ValueError, match=reason):
        Failure(reason, "so it is")
