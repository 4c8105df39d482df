"""What can be said about a component to a reader, taken from its class, its docstrings and its source."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganbench.catalog.checking import required_attributes
from ganbench.catalog.entries import Entry
from ganbench.catalog.text import class_doc, clean, module_doc, one_line
from ganbench.components import KINDS, TRAITS
from ganbench.identity import source_digest

REQUIRED = "(required)"
_TOLD_APART = ("recipe", "formula")


@dataclass(frozen=True)
class Field:
    """A hyperparameter: its name, its type and default as text."""

    name: str
    type: str
    default: str


@dataclass(frozen=True)
class Description:
    """An entry in words; ``traits`` and ``recipe`` are values as text by name, ``source`` the SHA-256 of the code.

    ``default`` is an instance with all defaults, or the class where there is none.
    """

    entry: Entry
    default: Any
    fields: tuple[Field, ...]
    formula: str
    traits: Mapping[str, str]
    recipe: Mapping[str, str]
    doc: str
    module_doc: str
    file: str
    source: str


def describe(entry: Entry) -> Description:
    """Return what a reader may want to know about ``entry``."""
    component = entry.component
    default = _default(component)
    recipe = getattr(default, "recipe", TRAITS["recipe"])
    return Description(
        entry=entry,
        default=default,
        fields=fields(component),
        formula=formula(component),
        traits=_traits(entry, default),
        recipe={one_line(key): in_words(value) for key, value in recipe.items()} if isinstance(recipe, Mapping) else {},
        doc=class_doc(component),
        module_doc=module_doc(component),
        file=one_line(inspect.getsourcefile(component) or ""),
        source=source_digest(component),
    )


def fields(component: type) -> tuple[Field, ...]:
    """Return the hyperparameters in the order in which the class declares them."""
    try:
        hints = typing.get_type_hints(component)
    except Exception:  # annotations are a plugin's code; those that cannot be resolved are shown as written
        hints = {}
    return tuple(
        Field(field.name, _type_in_words(hints.get(field.name, field.type)), _default_in_words(field))
        for field in dataclasses.fields(component)
        if field.init
    )


def formula(component: type) -> str:
    """Return the class variable ``formula``, else the indented lines of a docstring that hold an equation, else ""."""
    declared = getattr(component, "formula", "")
    if isinstance(declared, str) and declared:
        return clean(declared).strip()
    for doc in (class_doc(component), module_doc(component).partition("Differs:")[0]):
        equations = [line.strip() for line in doc.splitlines() if line.startswith("    ") and " = " in line]
        if equations:
            return "\n".join(equations)
    return ""


def in_words(value: Any) -> str:
    """Return a value on one line, sets sorted and mappings as dictionaries."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {in_words(item)}" for key, item in value.items()) + "}"
    if isinstance(value, frozenset | set):
        return "{" + ", ".join(sorted(in_words(item) for item in value)) + "}"
    return one_line(repr(value))


def _traits(entry: Entry, default: Any) -> dict[str, str]:
    """Return what the class declares beyond its fields: what its kind requires, and each trait that is not default."""
    hyperparameters = {field.name for field in dataclasses.fields(entry.component)}
    traits = {}
    for name in [*required_attributes(KINDS[entry.kind]), *TRAITS]:
        if name in hyperparameters or name in _TOLD_APART or not hasattr(entry.component, name):
            continue
        value = getattr(default, name, None)
        if name not in TRAITS or value != TRAITS[name]:
            traits[name] = "depends on the fields" if isinstance(value, property) else in_words(value)
    return traits


def _default(component: type) -> Any:
    """Return an instance with all defaults, which knows its properties; the class where it has none or refuses."""
    try:
        return component()
    except (TypeError, ValueError):
        return component


def _type_in_words(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " | ".join(in_words(choice) for choice in typing.get_args(annotation))
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return one_line(annotation.__name__)
    return one_line(annotation).replace("typing.", "")


def _default_in_words(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return in_words(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return in_words(field.default_factory())
    return REQUIRED
