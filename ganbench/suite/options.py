"""The axes of a suite: every entry with its sweep becomes options, each with live components and a label of its own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganbench.catalog import Catalog
from ganbench.components import RESERVED
from ganbench.errors import SuiteError, UnknownComponent, did_you_mean
from ganbench.suite.parameters import instantiate
from ganbench.suite.recipe import ComponentChoice
from ganbench.suite.schema import ArchitectureEntry, Entry

ADDED = ("regularizer", "constraint", "augmentation")
"""The kinds that are added to a combination, in the order in which they are listed."""


@dataclass(frozen=True)
class Option:
    """One value of one axis: a label, live components, what it adds to a cell, its recipe."""

    label: str
    components: tuple[Any, ...]
    added: Mapping[str, tuple[Any, ...]]
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class _Draft:
    """An option before its label is known to be unique; ``details`` tell it from others of the same label."""

    option: Option
    details: str


def options(catalog: Catalog, kind: str, entries: Sequence[Entry], everywhere: Sequence[Any] = ()) -> list[Option]:
    """Return the options of one axis, sweeps included, in the order of the file.

    ``everywhere`` are components that the suite adds to every cell; default labels name them too.

    Raises:
        SuiteError: an entry says what has no meaning, or two options have one label.
        UnknownComponent: no plugin offers a component of that name.
    """
    drafts = [draft for entry in entries for draft in _drafts(catalog, kind, entry, everywhere)]
    labels = [draft.option.label for draft in drafts]
    found: dict[str, Option] = {}
    for draft in drafts:
        option, label = draft.option, draft.option.label
        if labels.count(label) > 1 and draft.details:
            label = _as_label(f"{label}-{draft.details}")
        if label in found:
            raise SuiteError(f"two {kind} entries have the label {label!r}; give one of them another label")
        found[label] = Option(label, option.components, option.added, option.recipe)
    return list(found.values())


def choose(catalog: Catalog, kind: str, choices: Sequence[ComponentChoice]) -> tuple[Any, ...]:
    """Return the components of one kind that ``choices`` name. Raises as `options` does."""
    return tuple(instantiate(catalog.find(kind, choice.name), choice.parameters) for choice in choices)


def _drafts(catalog: Catalog, kind: str, entry: Entry, everywhere: Sequence[Any]) -> Iterator[_Draft]:
    for key in entry.sweep:
        if key in RESERVED:
            raise SuiteError(f"{kind} entry {entry.name!r}: {key} is no parameter, so it cannot be swept")
        if key in entry.parameters:
            raise SuiteError(f"{kind} entry {entry.name!r}: {key} is both set and swept; keep one of the two")
    chosen = _added_choices(catalog, entry)
    added = {kind: choose(catalog, kind, choices) for kind, choices in chosen.items()}
    for values in itertools.product(*entry.sweep.values()):
        swept = dict(zip(entry.sweep, values, strict=True))
        components = _components(catalog, kind, entry, swept)
        label = entry.label or _default_label(components, [*itertools.chain(*added.values()), *everywhere])
        of_others = [choice.parameters for choices in chosen.values() for choice in choices]
        shown = [swept] if entry.label else [{**entry.parameters, **swept}, *of_others]
        details = "-".join(_detail(key, value) for part in shown for key, value in sorted(part.items()))
        yield _Draft(Option(label, components, added, entry.recipe), details)


def _components(catalog: Catalog, kind: str, entry: Entry, swept: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the component of an entry; of an architecture those of generator and discriminator."""
    parameters = {**entry.parameters, **swept}
    if isinstance(entry, ArchitectureEntry) and entry.generator and entry.discriminator:
        if parameters:
            found = ", ".join(parameters)
            raise SuiteError(f"a pair of architectures takes no parameters of its own; found {found}")
        return choose(catalog, kind, (entry.generator, entry.discriminator))
    component = instantiate(catalog.find(kind, entry.name), parameters, RESERVED - {"name"})
    return (component, component) if kind == "architecture" else (component,)


def _added_choices(catalog: Catalog, entry: Entry) -> dict[str, tuple[ComponentChoice, ...]]:
    chosen = dict(zip(ADDED, (entry.regularizers, entry.constraints, entry.augmentations), strict=True))
    for choice in entry.extras:
        kind = _kind_of_extra(catalog, choice.name)
        chosen[kind] = (*chosen[kind], choice)
    return chosen


def _kind_of_extra(catalog: Catalog, name: str) -> str:
    kinds = [kind for kind in ADDED if (kind, name) in catalog.entries]
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise SuiteError(f"+{name} may be a {' or a '.join(kinds)}; name it under {kinds[0]}s = [...] instead")
    for fault in catalog.faults:
        for kind in ADDED:
            if (kind, name) in fault.names:
                catalog.find(kind, name)  # raises, with the fault's reason
    known = [entry.name for kind in ADDED for entry in catalog.of_kind(kind)]
    others = " or ".join(ADDED[1:])
    raise UnknownComponent(f"unknown {ADDED[0]} {name!r}, nor is it a {others}{did_you_mean(name, known)}")


def _default_label(components: tuple[Any, ...], added: Sequence[Any]) -> str:
    names = dict.fromkeys(component.name for component in components)
    return "+".join(["_vs_".join(names), *(component.name for component in added)])


def _detail(key: str, value: Any) -> str:
    """Return ``width16`` for a number, ``d_norm_none`` for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{key}{value}" if is_number else f"{key}_{value}"


def _as_label(text: str) -> str:
    return re.sub(r"[^a-z0-9.+-]+", "_", text.lower())[:100].rstrip("_")
