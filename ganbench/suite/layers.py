"""Precedence of the recipe: core < architecture < loss < regularizer < suite < entry < search < cell < command line.

Every layer is checked for unknown keys where it stands, and the origin of every resolved value is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ganbench.components import trait
from ganbench.errors import SuiteError, did_you_mean
from ganbench.suite.parameters import plain_sentence
from ganbench.suite.recipe import Recipe
from ganbench.suite.rules import matches
from ganbench.suite.schema import CellRule


@dataclass(frozen=True)
class Layer:
    """One source of recipe keys; ``origin`` as people are told it."""

    origin: str
    values: Mapping[str, Any]


def component_layers(
    generator: Any, discriminator: Any, loss: Any, added: Mapping[str, Sequence[Any]], overridden: Iterable[str]
) -> list[Layer]:
    """Return the layers that components bring: architecture, loss, then all that is ``added`` (by kind) as one.

    Of a pair, the discriminator's architecture sets the ``d_`` keys and the generator's all others.

    Raises:
        SuiteError: two added components disagree on a key that nothing above (``overridden``) settles.
    """
    d_recipe, g_recipe = trait(discriminator, "recipe"), trait(generator, "recipe")
    settled, together = set(overridden), dict[str, tuple[str, Any]]()
    for kind, components in added.items():
        for component in components:
            for key, value in trait(component, "recipe").items():
                owner, other = together.get(key, ("", value))
                if key not in settled and _as_tuple(other) != _as_tuple(value):
                    raise SuiteError(
                        f"{owner} wants {key} = {other!r}, {kind} {component.name} wants {value!r}; "
                        f"set recipe.{key} in the suite to settle it"
                    )
                together[key] = f"{kind} {component.name}", value
    return [
        Layer(f"architecture {generator.name}", {k: v for k, v in g_recipe.items() if not k.startswith("d_")}),
        Layer(f"architecture {discriminator.name}", {k: v for k, v in d_recipe.items() if k.startswith("d_")}),
        Layer(f"loss {loss.name}", trait(loss, "recipe")),
        *(Layer(owner, {key: value}) for key, (owner, value) in together.items()),
    ]


def _as_tuple(value: Any) -> Any:
    """Return a list as a tuple: both mean the same in a recipe."""
    return tuple(value) if isinstance(value, list) else value


def matching(rules: Sequence[CellRule], labels: Mapping[str, str]) -> list[Layer]:
    """Return the layers of the ``[[cell]]`` rules that match, in their order: a later one wins."""
    layers = []
    for number, rule in enumerate(rules, start=1):
        if matches(rule.where, labels):
            layers.append(Layer(f"[[cell]] number {number}", rule.recipe))
    return layers


def resolve(layers: Sequence[Layer]) -> tuple[Recipe, dict[str, str]]:
    """Return the recipe and, for each of its keys, the origin of its value.

    Raises:
        SuiteError: a layer has an unknown key, or the result is of the wrong type or out of range.
    """
    merged: dict[str, Any] = {}
    origins = dict.fromkeys(Recipe.model_fields, "core")
    for layer in layers:
        for key, value in layer.values.items():
            if key not in Recipe.model_fields:
                raise SuiteError(f"{layer.origin}: unknown recipe key {key!r}{did_you_mean(key, Recipe.model_fields)}")
            merged[key], origins[key] = value, layer.origin
    try:
        return Recipe.model_validate(merged), origins
    except ValidationError as error:
        location = error.errors()[0]["loc"]
        key = str(location[0]) if location else ""
        raise SuiteError(plain_sentence(error, f"recipe (from {origins.get(key, 'several layers')})")) from error
