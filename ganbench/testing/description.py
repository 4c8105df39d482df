"""What holds for every kind: a frozen dataclass, fields that JSON can hold, a recipe that means something."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pydantic import ValidationError

from ganbench.catalog.checking import refusal
from ganbench.components import KINDS, Kind, trait
from ganbench.identity import canonical
from ganbench.suite.recipe import Recipe
from ganbench.testing.fault import ComponentFault, blaming, require
from ganbench.values import DataSpec

_GUESSES = (
    *("architecture", "regularizer", "constraint", "optimizer", "dataset"),
    *("extractor", "trainer", "metric", "baseline"),
    *("loss", "augmentation"),  # last, as their methods are called like those of others
)


def label_of(component: Any) -> str:
    """Return how messages call the component: its name, or its class where it has none."""
    return str(getattr(component, "name", type(component).__name__))


def kind_of(component: Any, kind: str | None) -> Kind:
    """Return the kind called ``kind``, or the first that the component's class satisfies.

    Raises:
        ComponentFault: the class satisfies none; the message says what the named kind misses.
    """
    cls = component if isinstance(component, type) else type(component)
    if kind is not None:
        require(kind in KINDS, f"unknown kind {kind!r}; known: {', '.join(KINDS)}")
        reason = refusal(KINDS[kind], cls)
        require(reason is None, str(reason))
        return KINDS[kind]
    reasons = {name: refusal(KINDS[name], cls) for name in _GUESSES}
    for name, reason in reasons.items():
        if reason is None:
            return KINDS[name]
    alike = {reason.partition(" ")[2] for reason in reasons.values() if reason}
    if len(alike) == 1:
        raise ComponentFault(alike.pop())
    raise ComponentFault(f"{cls.__name__} is a component of no kind; pass kind= to learn what it lacks")


def instance_of(component: Any) -> tuple[Any, DataSpec | None]:
    """Return the component, or an instance of the class, and the data spec of its ``smallest()`` where it has one."""
    cls = component if isinstance(component, type) else type(component)
    smallest = None
    if hasattr(cls, "smallest"):
        with blaming(f"{cls.__name__}.smallest()"):
            smallest = cls.smallest()
            component, data = smallest if isinstance(component, type) else (component, smallest[1])
            return component, data
    if not isinstance(component, type):
        return component, None
    with blaming(f"{cls.__name__}() without arguments"):
        return cls(), None


def check_description(kind: Kind, component: Any) -> None:
    """Check that the component is a value: hashable, comparable, and rebuilt from the JSON form of its fields."""
    label, cls = f"{kind.name} {label_of(component)}", type(component)
    fields = {field.name: getattr(component, field.name) for field in dataclasses.fields(component) if field.init}
    with blaming(f"{label}: hash()"):
        hash(component)
    with blaming(f"{label}: the JSON form of its fields"):
        written = canonical(fields)
    with blaming(f"{label}: building it again from its fields"):
        require(cls(**fields) == component, f"{label} does not equal another instance with the same fields")
        cls(**json.loads(written))


def check_recipe(component: Any) -> None:
    """Check that the component's ``recipe`` holds keys and values that a suite's recipe could hold.

    Raises:
        ComponentFault: a key is unknown or a value is out of range.
    """
    recipe = trait(component, "recipe")
    try:
        Recipe(**recipe)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole"
        known = f"; known: {', '.join(Recipe.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise ComponentFault(f"{label_of(component)}: recipe key {key}: {first['msg']}{known}") from None
