"""The README's ten minutes, executed as they are written."""

import re
import subprocess

import pytest

from tests.demo import install
from tests.demo.kube import Kube
from tests.e2e.tenant import Tenant

pytestmark = pytest.mark.e2e

README = (install.ROOT / "README.md").read_text()


def tutorial() -> str:
    """The shell of the section, in order."""
    section = README.split("## The first ten minutes")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


def forget(kube: Kube) -> None:
    """Takes away what an earlier execution left: the objects, and, as the README says, what stays in MLflow."""
    risk = Tenant(kube, "risk")
    kube.kubectl("delete", "mlmodel/cards", "mlrun/cards-1", "mlrun/cards-2", "mlexp/cards", "-n", "risk", "--ignore-not-found")
    if any(each["name"] == "risk.cards" for each in risk.mlflow("registered-models/search").get("registered_models", [])):
        risk.mlflow("registered-models/delete", {"name": "risk.cards"}, method="DELETE")
    query = {"max_results": 1000, "view_type": "ACTIVE_ONLY", "filter": "name = 'risk/cards'"}
    for each in risk.mlflow("experiments/search", query).get("experiments", []):
        risk.mlflow("experiments/update", {"experiment_id": each["experiment_id"], "new_name": f"before/{each['experiment_id']}"})


@pytest.mark.timeout(900)
def test_the_tutorial_does_what_it_says(operator: Kube):
    forget(operator)
    script = tutorial()
    assert script.count("kubectl") > 10
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input=script,
        cwd=install.ROOT,
        env=operator.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=850,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{operator.explain('RegisteredModel', 'cards', 'risk')}"
    assert re.search(r'"predictions": ?\[[01]\]', done.stdout), "the model answered"
    said = re.findall(r"^\S+Z (production: .*)$", done.stdout, re.MULTILINE)  # the events below speak of the same
    assert said == ["production:  -> v1 Promoted", "production: v1 -> v2 Promoted", "production: v2 -> v1 RolledBack"]
    assert not [each for each in operator.list("RegisteredModel", "risk") if each["metadata"]["name"] == "cards"]
    assert not operator.list("Deployment", "risk", "modelyard.io/model=cards"), "the serving goes with its object"
