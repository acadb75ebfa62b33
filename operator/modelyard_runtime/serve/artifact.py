"""A model's folder: flavours, signature, input example, read without MLflow or the model's code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.api.flavors import MLMODEL, XGBOOST_CLASSES, why_code
from modelyard.api.pod_end import PodReason
from modelyard_runtime.outcome import Failure, one_line
from modelyard_runtime.serve.signature import Signature, parse

__all__ = ["Artifact", "example_path", "load_failed", "parsed", "read"]

_NUMBERS = frozenset({"double", "float", "long", "integer", "boolean"})


@dataclass(frozen=True)
class Artifact:
    """A model's folder, as its MLmodel file describes it."""

    folder: Path
    flavors: Mapping[str, Mapping[str, Any]]
    signature: Signature | None
    example: bytes | None
    """The input example, as a body of /invocations."""
    code: str
    """Why loading the model runs code that came with it, as a pickle does; empty: it does not."""

    @property
    def native_xgboost(self) -> Path | None:
        """The booster's file, if the booster alone gives the same answers as MLflow."""
        flavor = self.flavors.get("xgboost")
        if flavor is None or flavor.get("code") or self._class not in XGBOOST_CLASSES:
            return None
        path = self.folder / str(flavor.get("data", ""))
        is_data = path.suffix in {".json", ".ubj"} and not self.code
        return path if is_data and self._numbers_only else None

    @property
    def _class(self) -> str:
        return str(self.flavors.get("xgboost", {}).get("model_class", "xgboost.core.Booster"))

    @property
    def _numbers_only(self) -> bool:
        """True if the inputs are columns of numbers, or one matrix, without `params`."""
        if self.signature is None:
            return True
        if self.signature.has_params:
            return False
        if tensors := self.signature.tensors:
            return (
                len(tensors) == 1
                and len(tensors[0].shape) == 2
                and tensors[0].dtype.startswith(("float", "int", "uint"))
            )
        columns = self.signature.columns
        return all(column.type in _NUMBERS for column in columns) and len(self.signature.names) in {
            0,
            len(columns),
        }


def load_failed(message: str) -> Failure:
    """Return a Failure with the reason LoadFailed."""
    return Failure(PodReason.LOAD_FAILED, message)


def read(folder: Path) -> Artifact:
    """Read a model's folder.

    Raises:
        Failure: LoadFailed.

    """
    path = folder / MLMODEL
    try:
        raw = parsed(path.read_text(encoding="utf-8"))
        flavors = {str(name): dict(flavor) for name, flavor in dict(raw["flavors"]).items()}
        signature = parse(raw.get("signature"))
        example = _example(folder, example_path(raw))
    except FileNotFoundError as error:
        raise load_failed(f"{path} does not exist: the folder is not an MLflow model") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise load_failed(
            f"{path} is not an MLmodel file that can be served: {one_line(error)}"
        ) from error
    if "python_function" not in flavors and "xgboost" not in flavors:
        raise load_failed(
            f"{path} has the flavours {', '.join(flavors) or '(none)'}; the server needs"
            " python_function or xgboost"
        )
    return Artifact(folder, flavors, signature, example, why_code(flavors, _files(folder)))


def parsed(text: str) -> Mapping[str, Any]:
    """Parse an MLmodel file.

    Raises:
        ValueError: It is not YAML, or not an object.

    """
    import yaml  # noqa: PLC0415 - not needed by the process that only watches workers

    try:
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe ones
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from error
    if not isinstance(found, dict):
        raise ValueError("it is not an object")  # noqa: TRY004 - the file is wrong, not an argument
    return found


def example_path(raw: Mapping[str, Any]) -> str:
    """Return the path in a model's folder of its input example, a body of /invocations; or ""."""
    info = raw.get("saved_input_example_info")
    return str(info.get("serving_input_path") or "") if isinstance(info, dict) else ""


def _files(folder: Path) -> frozenset[str]:
    return frozenset(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _example(folder: Path, name: str) -> bytes | None:
    """Return the input example, a body of /invocations; None if there is no file in the folder."""
    path = folder / name
    if not name or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return path.read_bytes()
