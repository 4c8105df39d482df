"""From a run's configuration back to live components, in whatever process the run is to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ganbench.catalog import Catalog
from ganbench.errors import SuiteError
from ganbench.suite.parameters import describe, rebuild
from ganbench.suite.recipe import Budget, Recipe
from ganbench.values import DataSpec


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


def assemble(config: Mapping[str, Any], catalog: Catalog, data: DataSpec | None = None) -> Assembly:
    """Return the components that ``config`` (of `ganbench.suite.plan.Run`) describes.

    Only a baseline needs to be told on which ``data`` it is to be trained.

    Raises:
        SuiteError: a component's source is no longer the one that the configuration was made with.
        UnknownComponent: a plugin is missing.
    """

    def one(kind: str, described: Mapping[str, Any]) -> Any:
        return component(catalog, kind, described)

    def several(kind: str) -> tuple[Any, ...]:
        return tuple(one(kind, described) for described in config.get(f"{kind}s", ()))

    if "baseline" in config:
        combination = one("baseline", config["baseline"]).combination(data)
        generator = discriminator = combination.architecture
        loss = combination.loss
    else:
        generator, discriminator = (one("architecture", config[side]) for side in ("generator", "discriminator"))
        loss = one("loss", config["loss"])
    return Assembly(
        generator=generator,
        discriminator=discriminator,
        loss=loss,
        regularizers=several("regularizer"),
        constraints=several("constraint"),
        augmentations=several("augmentation"),
        g_optimizer=one("optimizer", config["g_optimizer"]),
        d_optimizer=one("optimizer", config["d_optimizer"]),
        recipe=Recipe.model_validate(config["recipe"]),
        budget=Budget.model_validate(config["budget"]),
    )


def architecture_of(
    config: Mapping[str, Any], catalog: Catalog, data: DataSpec, build: Callable[..., Any] = rebuild
) -> Any:
    """Return the architecture of a trained run's generator; ``build`` makes a component of its description.

    Raises as ``build`` does.
    """
    if "baseline" in config:
        return build(catalog, "baseline", config["baseline"]).combination(data).architecture
    return build(catalog, "architecture", config["generator"])


def component(catalog: Catalog, kind: str, described: Mapping[str, Any]) -> Any:
    """Return the component that ``described`` (name, parameters, source) describes. Raises as `assemble` does."""
    built = rebuild(catalog, kind, described)
    if describe(catalog, kind, built)["source"] != described["source"]:
        raise SuiteError(f"the source of {kind} {described['name']!r} has changed since the run was planned")
    return built
