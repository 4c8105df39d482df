"""Where caches and data lie: the variable, else the XDG folder, else the home folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganbench.folders import cache_folder, data_folder, extractors_folder


@pytest.mark.parametrize(
    ("folder", "variable", "below"),
    [
        (cache_folder, "GANBENCH_CACHE", ""),
        (data_folder, "GANBENCH_DATA", "data"),
        (extractors_folder, "GANBENCH_EXTRACTORS", "extractors"),
    ],
)
def test_the_variable_wins_over_xdg_over_home(monkeypatch, tmp_path, folder, variable, below):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    for other in ("GANBENCH_CACHE", "GANBENCH_DATA", "GANBENCH_EXTRACTORS"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "own"))
    assert folder() == tmp_path / "own"
    monkeypatch.delenv(variable)
    assert folder() == tmp_path / "xdg" / "ganbench" / below
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folder() == Path.home() / ".cache" / "ganbench" / below


def test_trained_extractors_lie_among_the_caches(monkeypatch, tmp_path):
    monkeypatch.delenv("GANBENCH_EXTRACTORS", raising=False)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path))
    assert extractors_folder() == tmp_path / "extractors"
