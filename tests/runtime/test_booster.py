"""XGBoost's C API gives the same bits as its Python package, for every kind of model."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import xgboost as xgb

from modelyard_runtime.serve.booster import Booster, BoosterError
from tests.runtime import zoo
from tests.runtime.programs import ROOT, Server

WIDTHS = (1, 3, 64, 1500)
STEP = 25


def expected(booster: xgb.Booster, rows: Any, rounds: int) -> Any:
    """Return the predictions of the Python package."""
    if json.loads(booster.save_config())["learner"]["gradient_booster"]["name"] == "gblinear":
        return booster.predict(xgb.DMatrix(rows, nthread=1), validate_features=False)
    return booster.inplace_predict(rows, iteration_range=(0, rounds), validate_features=False)


def same(found: Any, wanted: Any) -> bool:
    return (found.shape, found.dtype, found.tobytes()) == (
        wanted.shape,
        wanted.dtype,
        wanted.tobytes(),
    )


@pytest.mark.parametrize("kind", zoo.KINDS)
def test_predictions_are_equal_to_the_bit(tmp_path: Path, kind: str):
    """Also for one row in a batch and the same row alone, which joined requests depend on."""
    (path := tmp_path / "model.ubj").write_bytes(zoo.trained(kind).save_raw("ubj"))
    theirs, ours, rows = xgb.Booster({"nthread": 1}, model_file=path), Booster(path), zoo.rows(1500)
    best = ours.best_iteration
    assert (best is not None) == (kind == "early stopping")
    for rounds in {0, 0 if best is None else best + 1}:
        ours.use_rounds(rounds)
        whole = expected(theirs, rows, rounds)
        for width in WIDTHS:
            for at in range(0, len(rows), max(width, STEP)):
                part = slice(at, at + width)
                found = ours.predict(rows[part])
                assert same(found, whole[part])
                assert same(found, expected(theirs, rows[part], rounds))


@pytest.mark.parametrize("kind", ["early stopping", "softprob", "linear", "trees of two targets"])
def test_a_model_is_described_the_same_way(tmp_path: Path, kind: str):
    (path := tmp_path / "model.json").write_bytes(zoo.trained(kind).save_raw("json"))
    theirs, ours = xgb.Booster({"nthread": 1}, model_file=path), Booster(path)
    assert ours.features == theirs.num_features() == zoo.COLUMNS
    assert ours.names == theirs.feature_names
    assert ours.best_iteration == (theirs.best_iteration if kind == "early stopping" else None)
    found, wanted = ours.config, json.loads(theirs.save_config())
    assert found["learner"]["generic_param"]["nthread"] == "1"
    for each in (found, wanted):
        del each["learner"]["generic_param"]["validate_parameters"]  # the package's own
    assert found == wanted


def test_several_threads_predict_with_one_booster(tmp_path: Path):
    """Each thread has its own proxy and result."""
    (path := tmp_path / "model.ubj").write_bytes(zoo.trained("softprob").save_raw("ubj"))
    booster, rows = Booster(path), zoo.rows(200)
    wanted = booster.predict(rows)

    def ask(at: int) -> bool:
        return all(
            same(booster.predict(rows[at : at + size]), wanted[at : at + size])
            for size in range(1, 100)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(100)))


def test_an_invalid_model_is_refused_with_xgboost_s_message(tmp_path: Path):
    (path := tmp_path / "model.json").write_text('{"learner": 1}')
    with pytest.raises(BoosterError):
        Booster(path)
    with pytest.raises(BoosterError, match=r"missing\.json"):
        Booster(tmp_path / "missing.json")
    odd = zoo.trained("binary")
    odd.set_attr(best_iteration="the last")
    odd.save_model(path)
    with pytest.raises(BoosterError, match="the last"):
        _ = Booster(path).best_iteration


def test_the_server_loads_no_package_that_predicting_does_not_use(served: Callable[[str], Server]):
    maps = Path(f"/proc/{served('classifier').process.pid}/maps").read_text()
    assert "libxgboost.so" in maps
    assert not [name for name in ("scipy", "sklearn", "pandas", "pyarrow") if f"/{name}/" in maps]
    code = "import sys; from modelyard_runtime.serve import native; print(*sys.modules)"
    words = [sys.executable, "-c", code]
    loaded = subprocess.run(
        words, cwd=ROOT / "operator", capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"xgboost", "scipy", "pandas"} & set(loaded)
