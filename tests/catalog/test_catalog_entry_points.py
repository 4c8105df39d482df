"""Entry points: each isolated from the next, modules and packages, and what their origin says."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from dataclasses import dataclass

import pytest

from ganbench.catalog import load_catalog


@dataclass(frozen=True)
class Distribution:
    name: str = "stranger"
    version: str = "2.1"


@dataclass(frozen=True)
class Point:
    name: str
    value: str
    dist: Distribution | None = Distribution()


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a folder on `sys.path` and say which entry points there are."""
    monkeypatch.delenv("GANBENCH_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def points(*values, dist=Distribution()):
        found = tuple(Point(f"p{number}", value, dist) for number, value in enumerate(values))
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found if group == "ganbench" else ())
        importlib.invalidate_caches()
        return load_catalog()

    yield points
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_each_module_of_a_package_is_a_plugin_of_its_own(install, tmp_path, write_loss):
    package = tmp_path / "stranger_package"
    write_loss(package / "good.py", "good")
    write_loss(package / "sub" / "__init__.py", "sub")
    write_loss(package / "_blocks.py", "blocks")
    (package / "__init__.py").write_text('"""A stranger."""\n', encoding="utf-8")
    (package / "bad.py").write_text("import sys\nsys.exit(1)\n", encoding="utf-8")
    catalog = install("stranger_package")
    assert list(catalog.entries) == [("loss", "good"), ("loss", "sub")]
    assert catalog.find("loss", "good").origin == "stranger 2.1"
    assert [fault.origin for fault in catalog.faults] == ["stranger 2.1 (stranger_package.bad)"]
    assert "stranger_package.bad" not in sys.modules


def test_one_bad_entry_point_does_not_stop_the_others(install, tmp_path, write_loss):
    write_loss(tmp_path / "stranger_module.py", "fine")
    write_loss(tmp_path / "stranger_broken" / "inner.py", "inner")
    (tmp_path / "stranger_broken" / "__init__.py").write_text("raise RuntimeError('no licence')", encoding="utf-8")
    catalog = install(
        "stranger_broken", "stranger_broken.inner", "stranger_absent", "stranger_module:losses", "not a module",
        "stranger_module",
    )  # fmt: skip
    assert list(catalog.entries) == [("loss", "fine")]
    reasons = {fault.origin.partition("(")[2].rstrip(")"): fault.reason for fault in catalog.faults}
    assert reasons["stranger_broken"] == "RuntimeError: no licence"
    assert reasons["stranger_broken.inner"] == "RuntimeError: no licence"
    assert reasons["stranger_absent"] == "ModuleNotFoundError: No module named 'stranger_absent'"
    assert "must name a module or a package" in reasons["stranger_module:losses"]
    assert "must name a module or a package" in reasons["not a module"]
    assert len(catalog.faults) == 5


def test_a_fault_of_an_installed_plugin_names_what_it_would_have_offered(install, tmp_path, write_loss):
    path = write_loss(tmp_path / "stranger_module.py", "lost")
    path.write_text(path.read_text(encoding="utf-8") + "\nraise ValueError('half way')\n", encoding="utf-8")
    (fault,) = install("stranger_module").faults
    assert fault.names == (("loss", "lost"),)


def test_two_modules_of_one_distribution_that_clash_are_told_apart(install, tmp_path, write_loss):
    for name in ("one", "two"):
        write_loss(tmp_path / "stranger_package" / f"{name}.py", "twin")
    (tmp_path / "stranger_package" / "__init__.py").write_text("", encoding="utf-8")
    catalog = install("stranger_package")
    assert not catalog.entries
    (fault,) = catalog.faults
    assert "stranger 2.1 (stranger_package.one) and stranger 2.1 (stranger_package.two)" in fault.reason


def test_a_path_that_clashes_with_an_installed_plugin_withdraws_both(install, tmp_path, write_loss, monkeypatch):
    write_loss(tmp_path / "stranger_module.py", "twin")
    monkeypatch.setenv("GANBENCH_PLUGINS", str(write_loss(tmp_path / "loose" / "mine.py", "twin")))
    catalog = install("stranger_module")
    assert not catalog.entries
    (fault,) = catalog.faults
    assert "stranger 2.1 (stranger_module)" in fault.reason
    assert "mine.py:" in fault.reason


def test_an_entry_point_without_a_distribution_is_called_by_its_name(install, tmp_path, write_loss):
    write_loss(tmp_path / "stranger_module.py", "fine")
    assert install("stranger_module", dist=None).find("loss", "fine").origin == "entry point 'p0'"


def test_the_bundled_plugins_have_no_fault_and_their_distribution_as_origin(monkeypatch):
    monkeypatch.delenv("GANBENCH_PLUGINS", raising=False)
    catalog = load_catalog()
    assert [(fault.origin, fault.reason) for fault in catalog.faults] == []
    version = importlib.metadata.version("ganbench")
    assert {entry.origin for entry in catalog.entries.values()} == {f"ganbench {version}"}
    assert catalog.find("loss", "hinge").paper.startswith("arXiv:")
