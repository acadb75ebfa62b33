"""Which models are plain data, by their MLmodel file and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard.api.flavors import why_code
from modelyard.client.artifacts import why_code_in

FILES = frozenset({"MLmodel", "model.ubj", "conda.yaml"})
Flavors = dict[str, dict[str, Any]]


def flavors(xgboost: dict[str, Any] | None = None, **pyfunc: Any) -> Flavors:
    plain = {"loader_module": "mlflow.xgboost", "data": "model.ubj"}
    return {
        "python_function": plain | pyfunc,
        "xgboost": {"code": None, "data": "model.ubj"} | (xgboost or {}),
    }


DATA: dict[str, Flavors] = {
    "a booster": flavors(),
    "an estimator": flavors({"model_class": "xgboost.sklearn.XGBRanker"}),
    "no python_function": {"xgboost": {"data": "model.ubj"}},
    "no place in python_function": {
        "python_function": {"loader_module": "mlflow.xgboost"},
        "xgboost": {"data": "model.ubj"},
    },
}
CODE: dict[str, tuple[Flavors, frozenset[str], str]] = {
    "nothing": ({}, FILES, "loaded by None"),
    "any function": (
        {"python_function": {"loader_module": "mlflow.pyfunc.model"}},
        FILES,
        "mlflow.pyfunc.model",
    ),
    "scikit-learn": (
        {"python_function": {"loader_module": "mlflow.sklearn"}, "sklearn": {}},
        FILES,
        "sklearn",
    ),
    "a flavour that the image lacks": (
        {"python_function": {"loader_module": "mlflow.onnx"}, "onnx": {}},
        FILES,
        "onnx",
    ),
    "one flavour more": (flavors() | {"catboost": {}}, FILES, "catboost"),
    "another loader": (flavors(loader_module="os"), FILES, "'os'"),
    "code of xgboost": (flavors({"code": "code"}), FILES, "folder with code"),
    "code of python_function": (flavors(code="code"), FILES, "folder with code"),
    "a class of another": (flavors({"model_class": "os.abort"}), FILES, "os.abort"),
    "a class that is none": (flavors({"model_class": ["os.abort"]}), FILES, "os.abort"),
    "a file outside": (flavors({"data": "../x.ubj"}), FILES, "../x.ubj"),
    "a place that is none": (flavors({"data": {}}), FILES, "no file"),
    "no file": ({"xgboost": {}}, FILES, "None"),
    "another place": (flavors(data="inner"), FILES, "inner"),
    "a second MLmodel": (flavors(), FILES | {"inner/MLmodel"}, "'inner/MLmodel'"),
    "a second MLmodel on a Mac": (flavors(), FILES | {"inner/mlmodel"}, "'inner/mlmodel'"),
    "a second MLmodel beside the first": (flavors(), FILES | {"MLMODEL"}, "'MLMODEL'"),
}


@pytest.mark.parametrize("name", DATA)
def test_a_model_that_is_data(name: str):
    assert why_code(DATA[name], FILES) == ""


@pytest.mark.parametrize("name", CODE)
def test_a_model_that_is_code(name: str):
    found, files, named = CODE[name]
    assert named in why_code(found, files)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (yaml.safe_dump({"flavors": flavors()}), ""),
        (yaml.safe_dump({"flavors": flavors({"model_class": "os.abort"})}), "os.abort"),
        ("flavors: {xgboost: {<<: &x {data: model.ubj, model_class: os.abort}}}", "os.abort"),
        ("flavors: [", "cannot be read"),
        ("- flavors", "cannot be read"),
        (" " * 1024 * 1024 + "a: 1", "longer"),
    ],
)
def test_a_folder_is_judged_by_its_own_file(tmp_path: Path, text: str, named: str):
    (tmp_path / "MLmodel").write_text(text)
    (tmp_path / "model.ubj").write_bytes(b"")
    found = why_code_in(tmp_path)
    assert (found == "") if not named else named in found
    if not named:
        (tmp_path / "inner").mkdir()
        (tmp_path / "inner" / "MLmodel").write_text(text)
        assert "inner/MLmodel" in why_code_in(tmp_path)
