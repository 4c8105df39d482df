"""What is refused as a component, and why, before anything asks it to work."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ganbench import components
from ganbench.components import NAME_PATTERN, RESERVED, TRAITS, Kind

_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("constraint", "after"): ("discriminator", "generator", "round"),
        ("metric", "direction"): ("lower", "higher"),
        ("metric", "scale"): ("log", "linear", "logit"),
    }
)


def is_name(name: object) -> bool:
    """Say whether ``name`` may name a component, a suite or a label."""
    return isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) is not None


def refusal(kind: Kind, offered: Any) -> str | None:
    """Return why ``offered`` is no component of this kind, or None. May raise whatever the class raises."""
    if not isinstance(offered, type):
        return f"hook {kind.hook!r} returned {type(offered).__name__} {offered!r} in place of a component class"
    label = f"{kind.name} {offered.__name__}"
    if not dataclasses.is_dataclass(offered) or "__dataclass_fields__" not in vars(offered):
        return f"{label} is not a dataclass; decorate it with @dataclass(frozen=True)"
    parameters: Any = vars(offered)["__dataclass_params__"]
    if not parameters.frozen:
        return f"{label} is a dataclass, but not frozen; decorate it with @dataclass(frozen=True)"
    return _named_wrongly(label, offered) or _lacking(label, kind, offered)


def _named_wrongly(label: str, offered: type) -> str | None:
    fields = {field.name for field in dataclasses.fields(offered)}
    taken = sorted(fields & RESERVED)
    if taken:
        keys = ", ".join(sorted(RESERVED))
        return (
            f"{label} has a field called {taken[0]!r}, which suites reserve ({keys}); rename it or make it a ClassVar"
        )
    name = getattr(offered, "name", None)
    if not is_name(name):
        return f"{label} has the name {name!r}; a class variable 'name' must match {NAME_PATTERN}"
    if not isinstance(getattr(offered, "paper", None), str):
        return f"{label} has no class variable 'paper'; give an arXiv id or a reference"
    return None


def _lacking(label: str, kind: Kind, offered: type) -> str | None:
    missing = [method for method in kind.methods if not _defines(offered, method)]
    if missing:
        return f"{label} lacks {', '.join(f'{method}()' for method in missing)}"
    if kind.any_of and not any(_defines(offered, method) for method in kind.any_of):
        return f"{label} defines none of {', '.join(f'{method}()' for method in kind.any_of)}"
    fields = {field.name for field in dataclasses.fields(offered)}
    for attribute in required_attributes(kind):
        if attribute not in fields and not hasattr(offered, attribute):
            return f"{label} lacks the attribute {attribute!r}"
        possible = _CHOICES.get((kind.name, attribute))
        value = getattr(offered, attribute, None)
        if possible and attribute not in fields and value not in possible:
            return f"{label} has {attribute} = {value!r}; possible: {', '.join(possible)}"
    return None


def protocol(kind: Kind) -> type:
    """Return the protocol in `ganbench.components` that describes this kind."""
    found: type = getattr(components, kind.name.capitalize())
    return found


def required_attributes(kind: Kind) -> list[str]:
    """Name the attributes that the kind's own protocol declares and for which `TRAITS` has no default."""
    return [name for name in vars(protocol(kind)).get("__annotations__", {}) if name not in TRAITS]


def _defines(offered: type, method: str) -> bool:
    """Say whether a class other than `object` and the protocols defines ``method`` for real."""
    for owner in offered.__mro__:
        if method in vars(owner):
            found = vars(owner)[method]
            real = owner is not object and not getattr(owner, "_is_protocol", False)
            call = callable(found) or isinstance(found, (classmethod, staticmethod))
            return real and call and not getattr(found, "__isabstractmethod__", False)
    return False
