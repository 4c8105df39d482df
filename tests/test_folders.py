"""Where caches and data lie: the variable, else the XDG folder, else the home folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganbench.folders import cache_folder, data_folder


@pytest.mark.parametrize(
    ("folder", "variable", "below"), [(cache_folder, "GANBENCH_CACHE", ""), (data_folder, "GANBENCH_DATA", "data")]
)
def test_the_variable_wins_over_xdg_over_home(monkeypatch, tmp_path, folder, variable, below):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv(variable, str(tmp_path / "own"))
    assert folder() == tmp_path / "own"
    monkeypatch.delenv(variable)
    assert folder() == tmp_path / "xdg" / "ganbench" / below
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folder() == Path.home() / ".cache" / "ganbench" / below
