"""Plugins from paths: unique names, shared building blocks, edited files, missing paths, and where each came from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ganbench import GanbenchError
from ganbench.catalog import load_catalog
from ganbench.identity import source_digest

pytestmark = pytest.mark.usefixtures("alone")


def test_same_named_files_are_different_modules(tmp_path, write_loss):
    one = write_loss(tmp_path / "one" / "mine.py", "first")
    two = write_loss(tmp_path / "two" / "mine.py", "second")
    catalog = load_catalog([one, two])
    modules = [catalog.find("loss", name).component.__module__ for name in ("first", "second")]
    assert len(set(modules)) == 2
    assert all(module in sys.modules and module != "mine" for module in modules)
    assert catalog.find("loss", "first").component().weight == 1.0


def test_origin_is_file_and_line_of_the_class(tmp_path, write_loss):
    path = write_loss(tmp_path / "mine.py", "first")
    origin = load_catalog([path]).find("loss", "first").origin
    file, _, line = origin.rpartition(":")
    assert Path(file) == path.resolve()
    assert path.read_text(encoding="utf-8").splitlines()[int(line)].startswith("class First")  # under its decorator


def test_loading_twice_gives_the_same_class_and_an_edit_another(tmp_path, write_loss):
    path = write_loss(tmp_path / "mine.py", "first")
    before = load_catalog([path]).find("loss", "first").component
    assert load_catalog([path]).find("loss", "first").component is before
    digest = source_digest(before)
    path.write_text(path.read_text(encoding="utf-8").replace("weight: float = 1.0", "weight: float = 2.0"), "utf-8")
    after = load_catalog([path]).find("loss", "first").component
    assert (before().weight, after().weight) == (1.0, 2.0)
    assert source_digest(after) != digest


def test_no_bytecode_is_left_beside_a_plugin(tmp_path, write_loss):
    load_catalog([write_loss(tmp_path / "mine.py", "first")])
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_a_folder_shares_building_blocks_and_holds_packages(tmp_path, write_loss):
    write_loss(tmp_path / "plain.py", "plain")
    write_loss(tmp_path / "package" / "__init__.py", "packaged")
    write_loss(tmp_path / "package" / "inner.py", "not_directly_inside")
    (tmp_path / "_shared.py").write_text("SCALE = 3.0\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no plugin", encoding="utf-8")
    user = write_loss(tmp_path / "user.py", "user")
    text = user.read_text(encoding="utf-8").replace(
        "from ganbench import", "from ._shared import SCALE\nfrom ganbench import"
    )
    user.write_text(text.replace("weight: float = 1.0", "weight: float = SCALE"), encoding="utf-8")
    catalog = load_catalog([tmp_path])
    assert catalog.faults == ()
    assert sorted(name for _, name in catalog.entries) == ["packaged", "plain", "user"]
    assert catalog.find("loss", "user").component().weight == 3.0


def test_a_named_package_offers_itself_and_the_modules_directly_inside(tmp_path, write_loss):
    package = tmp_path / "package"
    write_loss(package / "__init__.py", "packaged")
    write_loss(package / "inner.py", "inner")
    write_loss(package / "_hidden.py", "hidden")
    write_loss(package / "deeper" / "__init__.py", "deeper")
    write_loss(package / "deeper" / "still.py", "still")
    catalog = load_catalog([package])
    assert sorted(name for _, name in catalog.entries) == ["deeper", "inner", "packaged"]


def test_a_failing_package_is_one_fault_and_leaves_nothing(tmp_path, write_loss):
    write_loss(tmp_path / "bad" / "inner.py", "inner")
    (tmp_path / "bad" / "__init__.py").write_text("from . import inner\nraise ImportError('half done')", "utf-8")
    before = set(sys.modules)
    catalog = load_catalog([tmp_path / "bad", write_loss(tmp_path / "mine.py", "first")])
    assert [fault.reason for fault in catalog.faults] == ["ImportError: half done"]
    assert list(catalog.entries) == [("loss", "first")]
    assert [name for name in set(sys.modules) - before if "_bad" in name] == []


def test_the_same_path_twice_is_one_plugin(tmp_path, write_loss, monkeypatch):
    path = write_loss(tmp_path / "mine.py", "first")
    monkeypatch.setenv("GANBENCH_PLUGINS", str(path))
    monkeypatch.chdir(tmp_path)
    catalog = load_catalog([path, Path("mine.py")])
    assert list(catalog.entries) == [("loss", "first")]
    assert catalog.faults == ()
    path.write_text("raise ValueError('once')\n", encoding="utf-8")
    assert [fault.reason for fault in load_catalog([path, Path("mine.py")]).faults] == ["ValueError: once"]


def test_a_class_offered_by_two_modules_is_no_clash(tmp_path, write_loss):
    write_loss(tmp_path / "mine.py", "first")
    (tmp_path / "again.py").write_text("from .mine import First, losses\n", encoding="utf-8")
    catalog = load_catalog([tmp_path])
    assert (list(catalog.entries), catalog.faults) == ([("loss", "first")], ())


def test_the_environment_names_paths_too(tmp_path, write_loss, monkeypatch):
    paths = [write_loss(tmp_path / name / "mine.py", name) for name in ("first", "second")]
    monkeypatch.setenv("GANBENCH_PLUGINS", os.pathsep.join(str(path) for path in paths))
    assert sorted(name for _, name in load_catalog().entries) == ["first", "second"]


def test_the_working_directory_is_not_searched(tmp_path, write_loss, monkeypatch):
    write_loss(tmp_path / "mine.py", "first")
    monkeypatch.chdir(tmp_path)
    assert not load_catalog().entries


def test_paths_that_are_no_plugins(tmp_path, monkeypatch):
    with pytest.raises(GanbenchError, match=r"--plugins names '.*absent\.py', which does not exist"):
        load_catalog([tmp_path / "absent.py"])
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    with pytest.raises(GanbenchError, match="neither a Python file nor a folder"):
        load_catalog([tmp_path / "notes.txt"])
    monkeypatch.setenv("GANBENCH_PLUGINS", str(tmp_path / "gone"))
    with pytest.raises(GanbenchError, match="GANBENCH_PLUGINS names"):
        load_catalog()


@pytest.mark.parametrize("name", ["empty", "hookless.py"])
def test_a_named_path_that_offers_nothing_is_a_fault(tmp_path, name):
    path = tmp_path / name
    if name.endswith(".py"):
        path.write_text("X = 1\n", encoding="utf-8")
    else:
        path.mkdir()
    (fault,) = load_catalog([path]).faults
    assert fault.reason.startswith("offers nothing; mark one of architectures, losses,")


def test_a_component_made_by_a_call_has_its_file_as_origin(tmp_path):
    path = tmp_path / "made.py"
    path.write_text(
        "from dataclasses import make_dataclass\nfrom ganbench import hookimpl\n"
        "space = {'name': 'made', 'paper': 'p', 'generator': lambda self, game: 0, '__module__': __name__}\n"
        "Made = make_dataclass('Made', [('weight', float, 1.0)], namespace=space, frozen=True)\n"
        "Made.__module__ = __name__\n"
        "@hookimpl\ndef losses():\n    return [Made]\n",
        encoding="utf-8",
    )
    assert load_catalog([path]).find("loss", "made").origin == str(path.resolve())
