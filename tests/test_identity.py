"""Identity: canonical JSON, and a digest of source that follows imports within a package."""

from __future__ import annotations

import importlib
import sys

import pytest

from ganbench.identity import canonical, digest, source_digest

MODULE = """
from dataclasses import dataclass
{imports}
@dataclass(frozen=True)
class Thing:
    width: int = 1
    def use(self):
        {body}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package of some files, import its module ``thing`` afresh, return the digest of its class."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(**files: str) -> str:
        for name, text in {"__init__": "", **files}.items():
            (tmp_path / "pack").mkdir(exist_ok=True)
            (tmp_path / "pack" / f"{name}.py").write_text(text)
        for name in [name for name in sys.modules if name.partition(".")[0] == "pack"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True
        return source_digest(importlib.import_module("pack.thing").Thing)

    return load


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert canonical({"b": [1.5, None], "a": "é"}) == '{"a":"é","b":[1.5,null]}'.encode()
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})


def test_the_same_source_has_the_same_digest_and_an_edit_another(package):
    text = MODULE.format(imports="", body="return 1")
    assert package(thing=text) == package(thing=text) == package(thing=text.replace("\n", "\r\n"))
    assert package(thing=text) != package(thing=text.replace("width: int = 1", "width: int = 2"))


@pytest.mark.parametrize(
    ("imports", "body"),
    [
        ("from pack.shared import WIDTH", "return WIDTH"),
        ("from .shared import WIDTH", "return WIDTH"),
        ("from pack import shared", "return shared.WIDTH"),
        ("import pack.shared", "return pack.shared.WIDTH"),
        ("", "from pack.shared import WIDTH; return WIDTH"),
        ("from pack.between import WIDTH", "return WIDTH"),
    ],
)
def test_an_edited_constant_of_an_imported_module_gives_another_digest(package, imports, body):
    files = {"thing": MODULE.format(imports=imports, body=body), "between": "from pack.shared import WIDTH"}
    before = package(**files, shared="WIDTH = 1", other="X = 1")
    assert package(**files, shared="WIDTH = 1", other="X = 2") == before
    assert package(**files, shared="WIDTH = 2", other="X = 1") != before
