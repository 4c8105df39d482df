"""Every hook is documented, has its kind, and is implemented by a real plugin here."""

from __future__ import annotations

import inspect
from types import MappingProxyType

import pytest

from ganbench import components, hookspecs
from ganbench.catalog import load_catalog
from ganbench.catalog.checking import protocol, required_attributes
from ganbench.catalog.description import describe
from ganbench.catalog.loading import hooks
from ganbench.components import KINDS, TRAITS, each_kind, trait


@pytest.fixture
def catalog(alone, plugins_folder):
    return load_catalog([plugins_folder / "one_of_each.py"])


def test_the_hooks_are_one_a_kind_and_suites():
    assert hooks() == (*(kind.hook for kind in each_kind()), "suites")


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_has_a_docstring_that_begins_with_what_it_returns(hook):
    doc = inspect.getdoc(getattr(hookspecs, hook))
    assert doc
    assert doc.startswith("Return ")
    assert doc.splitlines()[0].endswith(".")


@pytest.mark.parametrize("hook", hooks())
def test_every_hook_is_implemented_by_a_real_plugin(catalog, hook):
    assert catalog.faults == ()
    if hook == "suites":
        assert catalog.suite("one_of_each").path.is_file()
    else:
        kind = next(kind for kind in each_kind() if kind.hook == hook)
        (entry,) = catalog.of_kind(kind.name)
        assert catalog.find(kind.name, entry.name) is entry
        assert catalog.named(entry.name) == [entry]
        assert entry.summary


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_has_a_documented_protocol_with_the_methods_that_are_checked(kind):
    found = protocol(KINDS[kind])
    assert found.__doc__
    public = {
        name for name, value in vars(found).items() if inspect.isfunction(value) or isinstance(value, classmethod)
    }
    assert set(KINDS[kind].methods) <= public
    assert all(inspect.getdoc(getattr(found, method)) for method in KINDS[kind].methods)


def test_required_attributes_are_those_without_a_default():
    assert required_attributes(KINDS["metric"]) == ["direction", "scale", "needs", "version"]
    assert required_attributes(KINDS["dataset"]) == ["extractor", "domain"]
    assert required_attributes(KINDS["baseline"]) == []


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_class_that_only_inherits_its_protocol_is_refused(alone, tmp_path, kind):
    title = protocol(KINDS[kind]).__name__
    assert hasattr(components, title)
    path = tmp_path / "heir.py"
    path.write_text(
        "from dataclasses import dataclass\nfrom ganbench import components, hookimpl\n"
        f"@dataclass(frozen=True)\nclass Heir(components.{title}):\n    name = 'heir'\n    paper = 'p'\n"
        f"@hookimpl\ndef {KINDS[kind].hook}():\n    return [Heir]\n",
        encoding="utf-8",
    )
    catalog = load_catalog([path])
    assert not catalog.entries
    (fault,) = catalog.faults
    assert fault.names == ((kind, "heir"),)
    assert "lacks" in fault.reason or "defines none of" in fault.reason


def test_entries_are_sorted_and_frozen(catalog):
    order = list(KINDS)
    assert [order.index(kind) for kind, _ in catalog.entries] == list(range(len(KINDS)))
    assert isinstance(catalog.entries, MappingProxyType)
    assert isinstance(catalog.suites, MappingProxyType)


def test_descriptions_say_what_a_reader_asks(catalog):
    sway = describe(catalog.find("regularizer", "sway"))
    assert [(field.name, field.type, field.default) for field in sway.fields] == [("weight", "float", "0.001")]
    assert sway.formula == "weight E[D(x)^2]"
    assert describe(catalog.find("loss", "difference")).formula == "E[D(G(z))] - E[D(x)] = loss"
    gap = describe(catalog.find("metric", "gap"))
    assert gap.traits == {"direction": "'lower'", "scale": "'linear'", "needs": "{'moments'}", "version": "1"}
    assert gap.file.endswith("one_of_each.py")
    assert len(gap.source) == 64


@pytest.mark.parametrize("name", list(TRAITS))
def test_every_trait_has_a_default(name):
    assert trait(object(), name) == TRAITS[name]
