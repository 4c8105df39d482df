"""One combination of a suite, in one trial where there is a search: its components, its recipe, how it may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganbench.components import offered, trait
from ganbench.errors import SuiteError
from ganbench.suite.layers import Layer, component_layers, matching, resolve
from ganbench.suite.options import Option
from ganbench.suite.plan import Trial
from ganbench.suite.recipe import Recipe
from ganbench.suite.schema import SuiteFile
from ganbench.suite.search import Draw, Parts, in_effect, recipe_keys, recipe_layer, trial_label
from ganbench.values import Cell, DataSpec, Latent


@dataclass(frozen=True)
class Data:
    """A dataset of the suite with what can be said of it before its pixels are loaded."""

    option: Option
    spec: DataSpec
    described: Mapping[str, Any]
    extractor: Mapping[str, Any]


@dataclass(frozen=True)
class Combination:
    """A dataset, an architecture and a loss: their entries, their labels, their components; perhaps in a trial."""

    data: Data
    architecture: Option
    loss: Option
    labels: Mapping[str, str]
    parts: Parts
    drawn: Draw | None = None

    def planned(self, origins: Mapping[str, str]) -> tuple[Mapping[str, str], Trial | None]:
        """Return labels and trial of its cell; of drawn recipe keys those that nothing above the search overrode."""
        if self.drawn is None:
            return self.labels, None
        values = in_effect(self.drawn, origins)
        label = trial_label(self.labels["loss"], self.drawn.number)
        return {**self.labels, "loss": label}, Trial(self.drawn.number, self.labels["loss"], values)

    def recipe(self, suite: SuiteFile, overrides: Mapping[str, Any]) -> tuple[Recipe, dict[str, str]]:
        """Return the recipe and the origin of each of its values; ``overrides`` are keys from the command line.

        Raises:
            SuiteError: a key or a value has no meaning, or the discriminator never moves.
        """
        entries = (("dataset", self.data.option), ("architecture", self.architecture), ("loss", self.loss))
        above = [
            Layer("suite [recipe]", suite.recipe),
            *(Layer(f"{axis} entry {option.label}", option.recipe) for axis, option in entries),
        ]
        rules = [*matching(suite.cell, self.labels), Layer("command line", overrides)]
        overridden = {key for layer in (*above, *rules) for key in layer.values}
        if self.drawn:
            overridden.update(recipe_keys(self.drawn.values))
        generator, discriminator = self.parts.architecture
        below = component_layers(generator, discriminator, self.parts.loss, self.parts.added, overridden)
        searched = [recipe_layer(self.drawn, [*below, *above])] if self.drawn else []
        recipe, origins = resolve([*below, *above, *searched, *rules])
        if hasattr(self.parts.loss, "discriminator") and not any("D" in move for move in recipe.schedule):
            raise SuiteError(
                f"recipe (from {origins['schedule']}): schedule: the discriminator of {self.loss.label} never moves in "
                f"{list(recipe.schedule)}; add D or DG"
            )
        return recipe, origins

    def view(self, recipe: Recipe, latent: Latent, others: tuple[str, ...]) -> Cell:
        """Return what components are asked about; ``others`` are the names of companions."""
        generator, discriminator = self.parts.architecture
        judged = hasattr(self.parts.loss, "discriminator")
        return Cell(
            data=self.data.spec,
            generator=generator,
            discriminator=discriminator if judged else None,
            latent=latent,
            batch_coupling=trait(discriminator, "batch_coupling") if judged else "none",
            companions=others,
            loss=self.parts.loss,
            regularizers=self.parts.added["regularizer"],
            constraints=self.parts.added["constraint"],
            augmentations=self.parts.added["augmentation"],
            pac=recipe.pac,
            schedule=recipe.schedule,
            batch_size=recipe.batch_size,
            offers=offered(generator, discriminator if judged else None),
        )
