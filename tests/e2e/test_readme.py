"""The README's ten minutes, executed as written."""

import re
from pathlib import Path

import pytest

from tests.demo import install
from tests.demo.kube import Kube
from tests.e2e.written import forget, run

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

README = (install.ROOT / "README.md").read_text()


def tutorial(kubeconfig: Path) -> str:
    """Return the section's shell commands, in order, for the cluster of a kubeconfig."""
    section = README.split("## The first ten minutes")[1].split("\n## ")[0]
    script = "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    line = f"export KUBECONFIG={kubeconfig}\n"
    script, replaced = re.subn(r"^export KUBECONFIG=.*\n", line, script, flags=re.MULTILINE)
    assert replaced == 1, "a second one would lead to the demo's cluster"
    return script


@pytest.mark.timeout(900)
def test_the_tutorial_does_what_it_says(operator: Kube):
    forget(operator, ["cards"], ["cards"])
    script = tutorial(operator.kubeconfig)
    assert script.count("kubectl") > 10
    said = run(operator, script, 850)
    assert re.search(r'"predictions": ?\[[01]\]', said), "the model answered"
    history = re.findall(
        r"^\S+Z (production: .*)$", said, re.MULTILINE
    )  # the events below are about the same
    assert history == [
        "production:  -> v1 Promoted",
        "production: v1 -> v2 Promoted",
        "production: v2 -> v1 RolledBack",
    ]
    assert not [
        each
        for each in operator.list("RegisteredModel", "risk")
        if each["metadata"]["name"] == "cards"
    ]
    assert not operator.list("Deployment", "risk", "modelyard.io/model=cards"), (
        "the serving goes with its object"
    )
