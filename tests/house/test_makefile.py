"""The Makefile's words: none is undocumented, and no folder of tests is left out of `make test`."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()
WORDS = ("check", "unit", "test", "e2e", "demo", "demo-down", "bench", "crds", "docs")


def test_help_prints_every_word():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [word for word in WORDS if not re.search(rf"^  {word} +\S", said, re.MULTILINE)] == []


def test_every_folder_of_tests_has_its_place_in_the_order():
    order = re.search(r"^ORDER := (.*)$", MAKEFILE, re.MULTILINE)
    assert order
    there = {path.relative_to(ROOT / "tests").parts[0] for path in (ROOT / "tests").rglob("test_*.py")}
    assert there <= set(order[1].split())
