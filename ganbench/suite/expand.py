"""From a suite file and a catalog to a plan: every combination, resolved, checked for compatibility, identified."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ganbench.catalog import Catalog
from ganbench.components import companions, incompatibility, offered, trait
from ganbench.errors import DatasetError, SuiteError
from ganbench.suite.layers import Layer, component_layers, matching, resolve
from ganbench.suite.options import ADDED, Option, choose, options
from ganbench.suite.parameters import describe, instantiate
from ganbench.suite.plan import Plan, PlannedBaseline, PlannedCell, PlannedDataset, Run
from ganbench.suite.recipe import ComponentChoice, Recipe
from ganbench.suite.schema import SuiteFile
from ganbench.values import Cell, DataSpec, Latent

FORMAT = 1  # of a run's configuration; raised when the engine computes something else from the same one


@dataclass(frozen=True)
class Data:
    """A dataset of the suite with what can be said of it before its pixels are loaded."""

    option: Option
    spec: DataSpec
    described: Mapping[str, Any]
    extractor: Mapping[str, Any]


def expand(suite: SuiteFile, catalog: Catalog, data_root: Path, overrides: Mapping[str, Any] | None = None) -> Plan:
    """Return the plan of ``suite``; ``overrides`` are recipe keys from the command line.

    Raises:
        SuiteError: a name, a key or a value that has no meaning.
        UnknownComponent: no plugin offers a component of that name.
        DatasetError: a dataset cannot be read.
    """
    expansion = _Expansion(suite, catalog, data_root, dict(overrides or {}))
    return Plan(
        suite=suite,
        datasets=tuple(
            PlannedDataset(data.option.label, data.described, data.extractor) for data in expansion.datasets
        ),
        metrics=expansion.metrics(),
        cells=tuple(expansion.cells()),
        baselines=tuple(expansion.baselines()),
    )


class _Expansion:
    """One expansion in progress: everything that several steps need."""

    def __init__(self, suite: SuiteFile, catalog: Catalog, data_root: Path, overrides: dict[str, Any]) -> None:
        self.suite, self.catalog, self.root, self.overrides = suite, catalog, data_root, overrides
        everywhere = (suite.regularizers, suite.constraints, suite.augmentations)
        self.everywhere = {
            kind: choose(catalog, kind, choices) for kind, choices in zip(ADDED, everywhere, strict=True)
        }
        self.datasets = [self._data(option) for option in options(catalog, "dataset", suite.all_datasets)]
        self.architectures = options(catalog, "architecture", suite.all_architectures)
        self.losses = options(catalog, "loss", suite.all_losses, [c for kind in ADDED for c in self.everywhere[kind]])
        self._inputs: dict[tuple[str, str], tuple[Latent, tuple[str, ...]]] = {}
        self._check_rules()

    # Axes

    def _data(self, option: Option) -> Data:
        (dataset,) = option.components
        try:
            spec = dataset.spec(self.root)
            fingerprint = getattr(dataset, "fingerprint", None)
            content = fingerprint(self.root) if fingerprint else None
        except (ValueError, OSError) as error:
            raise DatasetError(f"dataset {option.label!r}: {error}") from error
        except Exception as error:  # a stranger's dataset
            raise DatasetError(f"dataset {option.label!r} raised {type(error).__name__}: {error}") from error
        described = describe(self.catalog, "dataset", dataset) | {"fingerprint": content}
        choice = self.suite.scoring.extractor or ComponentChoice(name=dataset.extractor)
        (extractor,) = choose(self.catalog, "extractor", (choice,))
        return Data(option, spec, described, describe(self.catalog, "extractor", extractor))

    def _check_rules(self) -> None:
        axes = {
            "dataset": [data.option.label for data in self.datasets],
            "architecture": [option.label for option in self.architectures],
            "loss": [option.label for option in self.losses],
        }
        for number, rule in enumerate(self.suite.cell, start=1):
            for axis, names in rule.where.items():
                for name in names:
                    if name not in axes[axis]:
                        raise SuiteError(
                            f"[[cell]] number {number}: no {axis} is labelled {name!r}; labels: {', '.join(axes[axis])}"
                        )

    # The product

    def cells(self) -> list[PlannedCell]:
        """Return every combination, in the order of the file."""
        product = itertools.product(self.datasets, self.architectures, self.losses)
        return [self._cell(data, architecture, loss) for data, architecture, loss in product]

    def _cell(self, data: Data, architecture: Option, loss: Option) -> PlannedCell:
        labels = {"dataset": data.option.label, "architecture": architecture.label, "loss": loss.label}
        added = {
            kind: (*self.everywhere[kind], *data.option.added[kind], *architecture.added[kind], *loss.added[kind])
            for kind in ADDED
        }
        recipe, origins = self._recipe(data, architecture, loss, added, labels)
        try:
            cell = self._compatibility_view(data, architecture, loss, added, recipe)
        except ValueError as error:  # the architecture cannot draw such data
            return PlannedCell(labels, (), skipped=str(error))
        optimizers = {side: self._optimizer(recipe, side) for side in ("g", "d")}
        reason = core_incompatibility(cell) or incompatibility(cell, tuple(optimizers.values()))
        if reason and not self.suite.allow_incompatible:
            return PlannedCell(labels, (), skipped=reason)
        config = {
            "format": FORMAT,
            "dataset": data.described,
            "generator": describe(self.catalog, "architecture", architecture.components[0]),
            "discriminator": describe(self.catalog, "architecture", architecture.components[1]),
            "loss": describe(self.catalog, "loss", loss.components[0]),
            **{f"{kind}s": [describe(self.catalog, kind, c) for c in added[kind]] for kind in ADDED},
            **self._training_config(recipe, optimizers),
        }
        resolved = _resolved(recipe, origins)
        runs = tuple(Run({**config, "seed": seed}, labels, resolved) for seed in self.suite.seeds)
        return PlannedCell(labels, runs, allowed=reason)

    def _recipe(
        self,
        data: Data,
        architecture: Option,
        loss: Option,
        added: Mapping[str, tuple[Any, ...]],
        labels: dict[str, str],
    ) -> tuple[Recipe, dict[str, str]]:
        above = [
            Layer("suite [recipe]", self.suite.recipe),
            Layer(f"dataset entry {data.option.label}", data.option.recipe),
            Layer(f"architecture entry {architecture.label}", architecture.recipe),
            Layer(f"loss entry {loss.label}", loss.recipe),
            *matching(self.suite.cell, labels),
            Layer("command line", self.overrides),
        ]
        generator, discriminator = architecture.components
        overridden = itertools.chain.from_iterable(layer.values for layer in above)
        below = component_layers(generator, discriminator, loss.components[0], added, overridden)
        recipe, origins = resolve([*below, *above])
        if hasattr(loss.components[0], "discriminator") and not any("D" in move for move in recipe.schedule):
            raise SuiteError(
                f"recipe (from {origins['schedule']}): schedule: the discriminator of {loss.label} never moves in "
                f"{list(recipe.schedule)}; add D or DG"
            )
        return recipe, origins

    def _compatibility_view(
        self, data: Data, architecture: Option, loss: Option, added: Mapping[str, tuple[Any, ...]], recipe: Recipe
    ) -> Cell:
        """Return what components are asked about. Raises ValueError where the architecture cannot draw the data."""
        generator, discriminator = architecture.components
        latent, others = self._input(data, architecture)
        judged = hasattr(loss.components[0], "discriminator")
        return Cell(
            data=data.spec,
            generator=generator,
            discriminator=discriminator if judged else None,
            latent=latent,
            batch_coupling=trait(discriminator, "batch_coupling") if judged else "none",
            companions=others,
            loss=loss.components[0],
            regularizers=added["regularizer"],
            constraints=added["constraint"],
            augmentations=added["augmentation"],
            pac=recipe.pac,
            schedule=recipe.schedule,
            batch_size=recipe.batch_size,
            offers=offered(generator, discriminator if judged else None),
        )

    def _input(self, data: Data, architecture: Option) -> tuple[Latent, tuple[str, ...]]:
        """Return the latent and the names of companions; these are built, once, only to be named."""
        import torch

        key = (data.option.label, architecture.label)
        if key not in self._inputs:
            generator = architecture.components[0]
            with torch.random.fork_rng(devices=[]):
                self._inputs[key] = generator.latent(data.spec), tuple(companions(generator, data.spec))
        return self._inputs[key]

    def _optimizer(self, recipe: Recipe, side: str) -> Any:
        choice = recipe.g_optimizer if side == "g" else recipe.d_optimizer
        entry = self.catalog.find("optimizer", choice.name)
        known = {f.name for f in fields(entry.component)}
        for key in ("lr", "betas"):
            if key in choice.parameters:
                raise SuiteError(f"{side}_optimizer {choice.name!r} cannot be given {key}; set recipe.{side}_{key}")
        defaults = {"lr": getattr(recipe, f"{side}_lr"), "betas": list(getattr(recipe, f"{side}_betas"))}
        return instantiate(entry, {k: v for k, v in defaults.items() if k in known} | choice.parameters)

    # What stands beside the product

    def baselines(self) -> list[PlannedBaseline]:
        """Return the reference rows; those that train nothing have one run, the others one a seed."""
        if self.suite.baselines is None:
            untrained = [e for e in self.catalog.of_kind("baseline") if not hasattr(e.component, "combination")]
            chosen = tuple(instantiate(entry, {}) for entry in untrained)
        else:
            chosen = choose(self.catalog, "baseline", self.suite.baselines)
        names = [baseline.name for baseline in chosen]
        for name in names:
            if names.count(name) > 1:
                raise SuiteError(f"baseline {name!r} is named twice; a table has one row for each")
        return [self._baseline(data, baseline) for data in self.datasets for baseline in chosen]

    def _baseline(self, data: Data, baseline: Any) -> PlannedBaseline:
        labels = {"dataset": data.option.label, "architecture": baseline.name, "loss": ""}
        config = {
            "format": FORMAT,
            "dataset": data.described,
            "baseline": describe(self.catalog, "baseline", baseline),
            "budget": {},
        }
        if not hasattr(baseline, "combination"):
            return PlannedBaseline(data.option.label, baseline.name, (Run({**config, "seed": 0}, labels, {}),))
        try:
            combination = baseline.combination(data.spec)
        except ValueError as error:
            raise SuiteError(f"baseline {baseline.name!r} on {data.option.label}: {error}") from error
        recipe, origins = resolve([Layer(f"baseline {baseline.name}", combination.recipe)])
        config |= self._training_config(recipe)
        resolved = _resolved(recipe, origins)
        runs = tuple(Run({**config, "seed": seed}, labels, resolved) for seed in self.suite.seeds)
        return PlannedBaseline(data.option.label, baseline.name, runs)

    def _training_config(self, recipe: Recipe, optimizers: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the part of a configuration that says how, and for how long, its combination is trained."""
        optimizers = optimizers or {side: self._optimizer(recipe, side) for side in ("g", "d")}
        return {
            **{f"{side}_optimizer": describe(self.catalog, "optimizer", c) for side, c in optimizers.items()},
            "recipe": _training_keys(recipe),
            "budget": self.suite.budget.model_dump(exclude_none=True),
            **({"stop_on": stops} if (stops := sorted({*self.suite.stop_on} - {"diverged"})) else {}),
        }

    def metrics(self) -> tuple[str, ...]:
        """Return the metric names of the suite, or the standard ones."""
        chosen = self.suite.scoring.metrics
        return standard_metrics(self.catalog) if chosen is None else chosen


def standard_metrics(catalog: Catalog) -> tuple[str, ...]:
    """Return the metrics that the catalog marks as standard, in their order: what is measured where none are named."""
    standard = [entry for entry in catalog.of_kind("metric") if trait(entry.component, "standard")]
    return tuple(entry.name for entry in sorted(standard, key=lambda entry: trait(entry.component, "standard")))


def core_incompatibility(cell: Cell) -> str | None:
    """Return the reason that holds for every component of a kind, whatever its name, or None."""
    if not hasattr(cell.loss, "generator"):
        return f"{cell.loss.name} gives the generator nothing to minimise"
    for regularizer in cell.regularizers:
        if trait(regularizer, "per_sample") and cell.batch_coupling == "normalisation":
            return (
                f"{regularizer.name} is defined for one sample at a time, but the discriminator of "
                f"{getattr(cell.discriminator, 'name', 'this architecture')} normalises over the batch"
            )
    return None


def _resolved(recipe: Recipe, origins: Mapping[str, str]) -> dict[str, Any]:
    """Return for each key of the recipe its value and where that is from."""
    values = recipe.model_dump(mode="json")
    return {key: {"value": values[key], "from": origin} for key, origin in origins.items()}


def _training_keys(recipe: Recipe) -> dict[str, Any]:
    """Return what is left of the recipe once the optimizers have taken their part."""
    taken = {"g_optimizer", "d_optimizer", "g_lr", "d_lr", "g_betas", "d_betas"}
    kept: dict[str, Any] = json.loads(recipe.model_dump_json(exclude=taken))
    return kept
