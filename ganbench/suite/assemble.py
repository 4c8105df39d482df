"""From a run's configuration back to live components, in whatever process the run is to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganbench.catalog import Catalog
from ganbench.errors import SuiteError
from ganbench.suite.parameters import describe, rebuild
from ganbench.suite.recipe import Budget, Recipe


@dataclass(frozen=True)
class Assembly:
    """The live components of one cell."""

    generator: Any
    discriminator: Any
    loss: Any
    regularizers: tuple[Any, ...]
    constraints: tuple[Any, ...]
    augmentations: tuple[Any, ...]
    g_optimizer: Any
    d_optimizer: Any
    recipe: Recipe
    budget: Budget


def assemble(config: Mapping[str, Any], catalog: Catalog) -> Assembly:
    """Return the components that ``config`` (of `ganbench.suite.plan.Run`) describes.

    Raises:
        SuiteError: a component's source is no longer the one that the configuration was made with.
        UnknownComponent: a plugin is missing.
    """

    def one(kind: str, described: Mapping[str, Any]) -> Any:
        return component(catalog, kind, described)

    return Assembly(
        generator=one("architecture", config["generator"]),
        discriminator=one("architecture", config["discriminator"]),
        loss=one("loss", config["loss"]),
        regularizers=tuple(one("regularizer", described) for described in config["regularizers"]),
        constraints=tuple(one("constraint", described) for described in config["constraints"]),
        augmentations=tuple(one("augmentation", described) for described in config["augmentations"]),
        g_optimizer=one("optimizer", config["g_optimizer"]),
        d_optimizer=one("optimizer", config["d_optimizer"]),
        recipe=Recipe.model_validate(config["recipe"]),
        budget=Budget.model_validate(config["budget"]),
    )


def component(catalog: Catalog, kind: str, described: Mapping[str, Any]) -> Any:
    """Return the component that ``described`` (name, parameters, source) describes. Raises as `assemble` does."""
    built = rebuild(catalog, kind, described)
    if describe(catalog, kind, built)["source"] != described["source"]:
        raise SuiteError(f"the source of {kind} {described['name']!r} has changed since the run was planned")
    return built
