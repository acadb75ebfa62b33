"""What lies in a model's folder: its flavours, signature and input example, read without MLflow and
without running anything of it.

Loading the model does not belong here.
"""

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
    """Why loading the model runs code that came with it, as every pickle does; empty: it is
    data.
    """

    @property
    def native_xgboost(self) -> Path | None:
        """The booster's file, if a booster alone answers as MLflow would."""
        flavor = self.flavors.get("xgboost")
        if flavor is None or flavor.get("code") or self._class not in XGBOOST_CLASSES:
            return None
        path = self.folder / str(flavor.get("data", ""))
        return (
            path
            if path.suffix in {".json", ".ubj"} and not self.code and self._numbers_only
            else None
        )

    @property
    def _class(self) -> str:
        return str(self.flavors.get("xgboost", {}).get("model_class", "xgboost.core.Booster"))

    @property
    def _numbers_only(self) -> bool:
        """True if the inputs are columns of numbers, or one matrix; parameters of a prediction
        are MLflow's business.
        """
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
    """Return the failure of a model that cannot be loaded."""
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
        raise load_failed(f"{path} is not there: the folder holds no MLflow model") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise load_failed(
            f"{path} is no MLmodel file that can be served: {one_line(error)}"
        ) from error
    if "python_function" not in flavors and "xgboost" not in flavors:
        raise load_failed(
            f"{path} has no flavour that can be served, only {', '.join(flavors) or 'none'}"
        )
    return Artifact(folder, flavors, signature, example, why_code(flavors, _files(folder)))


def parsed(text: str) -> Mapping[str, Any]:
    """Parse an MLmodel file.

    Raises:
        ValueError: It is no YAML, or none of an object.

    """
    import yaml  # noqa: PLC0415 - not needed by the process that only watches workers

    try:
        found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe ones
    except yaml.YAMLError as error:
        raise ValueError(one_line(error)) from error
    if not isinstance(found, dict):
        raise ValueError("it holds no object")  # noqa: TRY004 - of a file's text
    return found


def example_path(raw: Mapping[str, Any]) -> str:
    """Return the path below a model's folder of its input example as a body of /invocations;
    empty: it has none.
    """
    info = raw.get("saved_input_example_info")
    return str(info.get("serving_input_path") or "") if isinstance(info, dict) else ""


def _files(folder: Path) -> frozenset[str]:
    return frozenset(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _example(folder: Path, name: str) -> bytes | None:
    """Return the example in the form that the server is asked in."""
    path = folder / name
    if not name or not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return path.read_bytes()
