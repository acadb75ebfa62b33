"""Tables: no other place may list their entries and omit one."""

import re
from importlib.util import find_spec
from pathlib import Path

from modelyard.api.base import GROUP, VERSION
from modelyard.api.kinds import KINDS
from modelyard.api.trainers import TRAINERS
from modelyard.api.training_run import Trainer
from modelyard.client.kube.kinds import KINDS as NAMES
from modelyard.compose import controllers
from modelyard.settings import Settings

ROOT = Path(__file__).parents[2]


def test_the_operator_serves_every_kind_of_the_api():
    served = controllers(
        Settings(runtime_image="modelyard/runtime:1", operator_namespace="modelyard-system")
    )
    assert {each.resource for each in served} == {kind.resource for kind in KINDS}


def test_the_client_knows_every_kind_of_the_api():
    """It lists them: importing the models would cost each command a third of a second."""
    ours = {
        (kind.name, kind.plural)
        for kind in NAMES.values()
        if kind.api_version == f"{GROUP}/{VERSION}"
    }
    assert ours == {(kind.resource.KIND, kind.resource.PLURAL) for kind in KINDS}


def test_every_trainer_has_its_settings_and_its_program():
    assert tuple(Trainer.model_fields) == (*TRAINERS, "sign")
    programs = [kind.program for kind in TRAINERS.values() if kind.program]
    assert [
        program for program in programs if find_spec(f"modelyard_runtime.{program}") is None
    ] == []


def test_no_module_of_the_operator_names_a_tabular_trainer():
    """They use `TrainerKind`, so that a second tabular trainer only changes the table and its
    program.
    """
    files = [
        *(ROOT / "operator" / "modelyard" / "training_run").glob("*.py"),
        *(ROOT / "operator" / "modelyard_runtime").glob("*.py"),
    ]
    assert len(files) > 20
    assert [
        file.name
        for file in files
        if re.search(r"trainer\.xgboost|\"xgboost\"\)", file.read_text())
    ] == []
