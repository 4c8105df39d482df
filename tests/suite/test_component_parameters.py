"""Parameters are checked against their fields' types, strictly, and come back from JSON as they were."""

from __future__ import annotations

import json
import sys

import pytest

from ganbench.catalog import load_catalog
from ganbench.errors import SuiteError, UnknownComponent
from ganbench.suite.parameters import describe, instantiate, place, rebuild

POSTPONED = '''
"""Annotations that only a type checker can read, beside some that anyone can."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import ganbench

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Base:
    rate: float = 0.5


@dataclass(frozen=True)
class Postponed(Base):
    steps: int = 1
    table: Mapping[str, int] | None = None
    words: frozenset = frozenset({"a", "b"})
    name: ClassVar[str] = "postponed"
    paper: ClassVar[str] = "none"
    recipe: ClassVar[Mapping[str, Any]] = {}

    def generator(self, game):
        return game.fake_logits.mean()


@ganbench.hookimpl
def losses():
    return [Postponed]
'''


@pytest.fixture
def own(catalog):
    """Build the dataset `own`, whose fields have many types."""

    def own(**parameters):
        return instantiate(catalog.find("dataset", "own"), {"path": "p", **parameters})

    return own


@pytest.mark.parametrize(
    ("key", "given", "kept"),
    [
        ("path", "x", "x"),
        ("sizes", [3, 5, 7], (3, 5, 7)),
        ("sizes", (3,), (3,)),
        ("mode", "colour", "colour"),
        ("scale", 2, 2.0),
        ("flip", True, True),
        ("tags", {"a": 1}, {"a": 1}),
    ],
)
def test_values_of_the_right_type_are_taken(own, key, given, kept):
    found = getattr(own(**{key: given}), key)
    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize(
    ("key", "given", "sentence"),
    [
        ("path", 5, "dataset 'own': path = 5: wants text"),
        ("sizes", 4, "dataset 'own': sizes = 4: wants a list"),
        ("sizes", [4.0], "dataset 'own': sizes = [4.0]: wants a whole number"),
        ("sizes", [True], "dataset 'own': sizes = [True]: wants a whole number"),
        ("sizes", ["4"], "dataset 'own': sizes = ['4']: wants a whole number"),
        ("mode", "gray", "dataset 'own': mode = 'gray': input should be 'grey' or 'colour'"),
        ("scale", "1.0", "dataset 'own': scale = '1.0': wants a number"),
        ("scale", True, "dataset 'own': scale = True: wants a number"),
        ("scale", float("nan"), "dataset 'own': scale = nan is no number, text, list or table that can be stored"),
        ("flip", 1, "dataset 'own': flip = 1: wants true or false"),
        ("flip", "true", "dataset 'own': flip = 'true': wants true or false"),
        ("tags", [1], "dataset 'own': tags = [1]: wants a table"),
        ("once", 8, "dataset 'own' has no parameter 'once'; known: "),
        ("name", "x", "dataset 'own' has no parameter 'name'"),
        ("size", 4, "has no parameter 'size'; did you mean 'sizes'? known: flip, mode, path, scale, sizes, tags"),
    ],
)
def test_values_of_another_type_are_refused(own, key, given, sentence):
    with pytest.raises(SuiteError) as error:
        own(**{key: given})
    assert sentence in str(error.value)


def test_a_parameter_without_default_is_asked_for(catalog):
    with pytest.raises(SuiteError) as error:
        instantiate(catalog.find("dataset", "own"), {})
    assert str(error.value) == "dataset 'own' needs the parameter 'path'; write own(path=...)"


def test_a_description_is_json_and_comes_back(catalog, own):
    component = own(sizes=[3, 5], tags={"b": 2, "a": 1}, scale=2)
    described = json.loads(json.dumps(describe(catalog, "dataset", component)))
    assert set(described) == {"name", "parameters", "source"}
    assert described["parameters"] == {
        "path": "p", "sizes": [3, 5], "mode": "grey", "scale": 2.0, "flip": False, "tags": {"a": 1, "b": 2},
    }  # fmt: skip
    assert rebuild(catalog, "dataset", described) == component


def test_every_bundled_component_comes_back_from_its_description(catalog):
    count = 0
    for entry in catalog.entries.values():
        needs = {"path": "p"} if entry.name in {"own", "image_folder", "array_file"} else {}
        component = instantiate(entry, needs)
        described = json.loads(json.dumps(describe(catalog, entry.kind, component)))
        assert rebuild(catalog, entry.kind, described) == component
        count += 1
    assert count > 40


def test_rebuilding_what_no_plugin_offers_names_it(catalog):
    with pytest.raises(UnknownComponent, match="unknown loss 'gone'"):
        rebuild(catalog, "loss", {"name": "gone", "parameters": {}, "source": ""})


def test_only_the_annotation_of_what_is_set_is_read(tmp_path):
    path = tmp_path / "postponed.py"
    path.write_text(POSTPONED)
    catalog = load_catalog([path])
    entry = catalog.find("loss", "postponed")
    made = instantiate(entry, {"steps": 3, "rate": 1})
    assert (made.steps, made.rate) == (3, 1.0)
    with pytest.raises(SuiteError, match="steps = 'x': wants a whole number"):
        instantiate(entry, {"steps": "x"})
    with pytest.raises(SuiteError) as error:
        instantiate(entry, {"table": {}})
    assert str(error.value).endswith("table cannot be set, because its annotation is no type that can be checked")
    with pytest.raises(
        SuiteError, match=r"loss 'postponed': words = frozenset\(.*\) is no number, text, list or table"
    ):
        describe(catalog, "loss", made)
    del sys.modules[entry.component.__module__]


@pytest.mark.parametrize(
    ("location", "text"),
    [
        ((), ""),
        (("name",), "name"),
        (("scoring", "at", 1), "scoring.at number 2"),
        (("cell", 0, "where", "loss"), "cell number 1, where.loss"),
        (("loss", 2, "regularizers", 0, "name"), "loss number 3, regularizers number 1, name"),
    ],
)
def test_a_place_is_said_as_people_count(location, text):
    assert place(location) == text
