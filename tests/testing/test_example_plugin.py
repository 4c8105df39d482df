"""The example plugin works as its README says, and passes its own tests."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ganbench.catalog import load_catalog
from ganbench.testing import check_component

EXAMPLE = Path(__file__).parents[2] / "plugins" / "example"


@pytest.mark.parametrize(
    ("path", "offered"),
    [
        ("one_file.py", {("loss", "squared_hinge")}),
        ("ganbench_example", {("loss", "softmax"), ("regularizer", "logit_drift")}),
    ],
)
def test_the_example_is_found_and_keeps_the_contract(path, offered):
    before, catalog = load_catalog(), load_catalog([EXAMPLE / path])
    assert catalog.faults == before.faults
    assert set(catalog.entries) - set(before.entries) == offered
    for key in offered:
        check_component(catalog.entries[key].component)


def test_the_entry_point_names_the_package():
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["ganbench"] == {"example": "ganbench_example"}
    assert (EXAMPLE / project["entry-points"]["ganbench"]["example"] / "__init__.py").is_file()


def test_the_examples_own_tests_pass():
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLE), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    ran = subprocess.run(command, cwd=EXAMPLE, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
