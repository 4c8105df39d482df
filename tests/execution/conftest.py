"""Fixtures: where sets of samples are looked up, in an empty folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganbench.catalog import load_catalog
from ganbench.execution.inputs import Place

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    return Place(load_catalog([TOYS]), tmp_path / "data", Path("results"))
