"""Random search: what a trial draws, which of it a cell takes, and where it goes.

The value of a key in a trial follows from the search's seed, the number of the trial and the key alone. Real values are
kept to six digits: the last bit of a logarithm may differ between two machines, and must not make two runs of one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ganbench.catalog import Catalog
from ganbench.errors import SuiteError, did_you_mean
from ganbench.seeds import derive
from ganbench.suite.layers import Layer
from ganbench.suite.parameters import describe, instantiate
from ganbench.suite.recipe import Recipe
from ganbench.suite.rules import matches
from ganbench.suite.schema import KEY, Dimension, Search

_TRIAL = re.compile(r"(?P<loss>.+)\.t(?P<number>\d{3,})")
_BITS = 63  # of a derived seed


@dataclass(frozen=True)
class Parts:
    """The live components of a combination whose fields a search may set."""

    architecture: tuple[Any, ...]
    """That of the generator, then that of the discriminator."""
    loss: Any
    added: Mapping[str, tuple[Any, ...]]
    """Regularizers, constraints and augmentations, by kind."""

    def by_kind(self) -> Iterator[tuple[str, Any]]:
        """Yield every component with its kind."""
        yield from (("architecture", component) for component in self.architecture)
        yield "loss", self.loss
        yield from ((kind, component) for kind, components in self.added.items() for component in components)


@dataclass(frozen=True)
class Chosen:
    """The best trials of a finished search.

    ``trials`` gives for (dataset, architecture, loss) the numbers of its trials, the best first; none where it was
    planned without any, and a text where no trial can be called the best. ``source`` names the search.
    """

    search: Search
    trials: Mapping[tuple[str, str, str], tuple[int, ...] | str]
    source: str


@dataclass(frozen=True)
class Draw:
    """One trial: its number, where its values come from, as people are told it, and the values of all keys."""

    number: int
    origin: str
    values: Mapping[str, Any]


def trial_label(loss: str, number: int) -> str:
    """Return the label of a trial: ``wgan_gp.t007``."""
    return f"{loss}.t{number:03d}"


def split_label(label: str) -> tuple[str, int | None]:
    """Return what `trial_label` made one of; a label without a trial has None."""
    found = _TRIAL.fullmatch(label)
    return (found["loss"], int(found["number"])) if found else (label, None)


def draw(search: Search, number: int) -> dict[str, Any]:
    """Return the values of all keys in the trial ``number`` of ``search``."""
    drawn = {
        key: _value(dimension, derive(search.seed, "search", number, key))
        for key, dimension in search.space.items()
        if dimension.same_as is None
    }
    return {key: drawn[dimension.same_as or key] for key, dimension in search.space.items()}


def draws(search: Search, chosen: Chosen | None, labels: Mapping[str, str]) -> list[Draw] | str:
    """Return the trials of the combination that ``labels`` name; a text says why it has none.

    Raises:
        SuiteError: the finished search does not have this combination.
    """
    if chosen is None:
        numbers = range(search.first, search.first + (search.trials or 0))
        return [Draw(number, f"search trial {number}", draw(search, number)) for number in numbers]
    combination = (labels["dataset"], labels["architecture"], labels["loss"])
    if combination not in chosen.trials:
        known = ", ".join("/".join(row) for row in chosen.trials)
        raise SuiteError(f"search.best: {chosen.source} did not search {'/'.join(combination)}; it searched {known}")
    best = chosen.trials[combination]
    if isinstance(best, str):
        return best
    return [Draw(n, f"search trial {n} of {chosen.source}", draw(chosen.search, n)) for n in best]


def taken(space: Mapping[str, Dimension], labels: Mapping[str, str], parts: Parts) -> list[str]:
    """Return the keys that the combination of ``parts`` has."""
    return [
        key
        for key, dimension in space.items()
        if matches(dimension.where, labels)
        and (key.startswith("recipe.") or any(_aims(key, *one) for one in parts.by_kind()))
    ]


def check_labels(losses: Iterable[str]) -> None:
    """Refuse labels that a trial of another loss might have. Raises SuiteError."""
    for label in losses:
        if split_label(label)[1] is not None:
            raise SuiteError(f"the loss label {label!r} ends like that of a trial of the search; give it another label")


def check_space(space: Mapping[str, Dimension], combinations: Sequence[tuple[Mapping[str, str], Parts]]) -> None:
    """Refuse keys that no combination has. Raises SuiteError, naming the key."""
    for key, dimension in space.items():
        prefix, field, _ = _split(key)
        if prefix == "recipe":
            if field not in Recipe.model_fields:
                raise SuiteError(
                    f"search.space: unknown recipe key {field!r}{did_you_mean(field, Recipe.model_fields)}"
                )
            continue
        matching = [parts for labels, parts in combinations if matches(dimension.where, labels)]
        components = [one for parts in matching for one in parts.by_kind()]
        if any(_aims(key, *one) for one in components):
            continue
        named = [component for kind, component in components if prefix in (component.name, kind)]
        if named:
            known = {name for component in named for name in _parameters(component)}
            raise SuiteError(
                f"search.space names {key!r}: {prefix} has no parameter {field!r}{did_you_mean(field, known)}"
            )
        known = {"recipe", "architecture", *(component.name for _, component in components)}
        inside = " where it is to apply" if dimension.where else ""
        raise SuiteError(f"search.space names {prefix!r}, which no cell has{inside}{did_you_mean(prefix, known)}")


def with_values(catalog: Catalog, parts: Parts, drawn: Draw) -> Parts:
    """Return ``parts`` with the values of a trial. Raises SuiteError for a value that a component refuses."""

    def one(kind: str, component: Any) -> Any:
        mine = {key: value for key, value in drawn.values.items() if _aims(key, kind, component)}
        if not mine:
            return component
        described = describe(catalog, kind, component)
        parameters = {**described["parameters"], **described.get("location", {})}
        for key, value in mine.items():
            _, field, element = _split(key)
            parameters[field] = value if element is None else _replaced(key, parameters[field], element, value)
        try:
            return instantiate(catalog.find(kind, component.name), parameters)
        except SuiteError as error:
            said = ", ".join(f"{key} = {value!r}" for key, value in mine.items())
            raise SuiteError(f"search.space ({drawn.origin}: {said}): {error}") from error

    return Parts(
        architecture=tuple(one("architecture", component) for component in parts.architecture),
        loss=one("loss", parts.loss),
        added={kind: tuple(one(kind, component) for component in found) for kind, found in parts.added.items()},
    )


def recipe_keys(keys: Iterable[str]) -> list[str]:
    """Return the recipe keys that ``keys`` set as a whole."""
    split = [_split(key) for key in keys]
    return [field for prefix, field, element in split if prefix == "recipe" and element is None]


def in_effect(drawn: Draw, origins: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a trial without the recipe keys that are ``from`` elsewhere than the trial."""
    split = {key: _split(key) for key in drawn.values}
    overridden = {
        key for key, (prefix, field, _) in split.items() if prefix == "recipe" and origins[field] != drawn.origin
    }
    return {key: value for key, value in drawn.values.items() if key not in overridden}


def recipe_layer(drawn: Draw, below: Sequence[Layer]) -> Layer:
    """Return the layer of a trial's recipe keys; an element takes the rest of its list from the layers ``below``."""
    recipe: dict[str, Any] = {}
    for key, value in drawn.values.items():
        prefix, field, element = _split(key)
        if prefix != "recipe":
            continue
        if element is None:
            recipe[field] = value
            continue
        default = Recipe.model_fields[field].default
        lower = next((layer.values[field] for layer in reversed(below) if field in layer.values), default)
        recipe[field] = _replaced(key, recipe.get(field, lower), element, value)
    return Layer(drawn.origin, recipe)


def _value(dimension: Dimension, bits: int) -> Any:
    """Return the value of a dimension for a number of 63 random bits."""
    if dimension.choice is not None:
        return dimension.choice[bits * len(dimension.choice) >> _BITS]
    if dimension.int_uniform is not None:
        first, last = dimension.int_uniform
        return first + (bits * (last - first + 1) >> _BITS)
    share = (bits >> (_BITS - 53)) / 2**53  # in [0, 1)
    if dimension.uniform is not None:
        low, high = dimension.uniform
        exact = low + share * (high - low)
    else:
        low, high = dimension.log_uniform or (1.0, 1.0)
        exact = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    return min(max(float(f"{exact:.6g}"), low), math.nextafter(high, low))


def _split(key: str) -> tuple[str, str, int | None]:
    """Return prefix, field and element of a key."""
    found = KEY.fullmatch(key)
    if found is None:
        raise SuiteError(f"search.space: cannot read the key {key!r}")
    return found["prefix"], found["field"], None if found["element"] is None else int(found["element"])


def _parameters(component: Any) -> list[str]:
    return [field.name for field in fields(component) if field.init]


def _aims(key: str, kind: str, component: Any) -> bool:
    """Whether ``key`` sets a field of ``component``."""
    prefix, field, _ = _split(key)
    named = prefix == component.name or prefix == kind == "architecture"
    return named and field in _parameters(component)


def _replaced(key: str, current: Any, element: int, value: Any) -> list[Any]:
    if not isinstance(current, list | tuple) or element >= len(current):
        found = list(current) if isinstance(current, tuple) else current
        raise SuiteError(f"search.space names {key!r}, but what is to be changed there is {found!r}")
    return [*current[:element], value, *current[element + 1 :]]
