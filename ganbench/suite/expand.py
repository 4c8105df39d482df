"""From a suite file and a catalog to a plan: every combination, resolved, checked for compatibility, identified."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ganbench.catalog import Catalog
from ganbench.components import companions, incompatibility, trait
from ganbench.errors import DatasetError, SuiteError
from ganbench.suite.combination import Combination, Data
from ganbench.suite.layers import Layer, resolve
from ganbench.suite.options import ADDED, Option, choose, options
from ganbench.suite.parameters import describe, instantiate
from ganbench.suite.plan import Plan, PlannedBaseline, PlannedCell, PlannedDataset, Run
from ganbench.suite.recipe import ComponentChoice, Recipe
from ganbench.suite.rules import check_rules, is_excluded
from ganbench.suite.schema import Dimension, SuiteFile
from ganbench.suite.search import Chosen, Parts, check_labels, check_space, draws, taken, with_values
from ganbench.values import Cell, Latent

FORMAT = 1  # of a run's configuration; raised when the engine computes something else from the same one


def expand(
    suite: SuiteFile,
    catalog: Catalog,
    data_root: Path,
    overrides: Mapping[str, Any] | None = None,
    chosen: Chosen | None = None,
) -> Plan:
    """Return the plan of ``suite``; ``overrides`` are recipe keys from the command line.

    ``chosen`` are the trials that ``[search.best]`` asks for, out of `ganbench.results.best`.

    Raises:
        SuiteError: a name, a key or a value that has no meaning.
        UnknownComponent: no plugin offers a component of that name.
        DatasetError: a dataset cannot be read.
    """
    if suite.search and suite.search.best and chosen is None:
        raise SuiteError(f"search.best wants the results of {suite.search.best.results}, which were not read")
    expansion = _Expansion(suite, catalog, data_root, dict(overrides or {}), chosen)
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

    def __init__(
        self, suite: SuiteFile, catalog: Catalog, data_root: Path, overrides: dict[str, Any], chosen: Chosen | None
    ) -> None:
        self.suite, self.catalog, self.root = suite, catalog, data_root
        self.overrides, self.chosen = overrides, chosen
        everywhere = (suite.regularizers, suite.constraints, suite.augmentations)
        self.everywhere = {
            kind: choose(catalog, kind, choices) for kind, choices in zip(ADDED, everywhere, strict=True)
        }
        self.datasets = [self._data(option) for option in options(catalog, "dataset", suite.all_datasets)]
        self.architectures = options(catalog, "architecture", suite.all_architectures)
        self.losses = options(catalog, "loss", suite.all_losses, [c for kind in ADDED for c in self.everywhere[kind]])
        self._inputs: dict[tuple[str, ...], tuple[Latent, tuple[str, ...]]] = {}
        axes = {
            "dataset": [data.option.label for data in self.datasets],
            "architecture": [option.label for option in self.architectures],
            "loss": [option.label for option in self.losses],
        }
        check_rules(suite, axes)

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

    # The product

    def cells(self) -> list[PlannedCell]:
        """Return every combination that is not excluded, in the order of the file, and of each every trial."""
        combinations = [
            combination
            for combination in itertools.starmap(
                self._combination, itertools.product(self.datasets, self.architectures, self.losses)
            )
            if not is_excluded(self.suite, combination.labels)
        ]
        if not combinations:
            raise SuiteError("every cell of the suite is excluded")
        if self.suite.search:
            check_labels([option.label for option in self.losses])
            check_space(self.suite.search.space, [(one.labels, one.parts) for one in combinations])
        return [cell for combination in combinations for cell in self._trials(combination)]

    def _combination(self, data: Data, architecture: Option, loss: Option) -> Combination:
        added = {
            kind: (*self.everywhere[kind], *data.option.added[kind], *architecture.added[kind], *loss.added[kind])
            for kind in ADDED
        }
        labels = {"dataset": data.option.label, "architecture": architecture.label, "loss": loss.label}
        return Combination(data, architecture, loss, labels, Parts(architecture.components, loss.components[0], added))

    def _space(self) -> Mapping[str, Dimension]:
        search = self.chosen.search if self.chosen else self.suite.search
        return search.space if search else {}

    def _trials(self, combination: Combination) -> Iterator[PlannedCell]:
        """Yield the cells of a combination: one a trial of the search, or one in all where nothing is searched."""
        keys = taken(self._space(), combination.labels, combination.parts)
        if not self.suite.search or not keys:
            yield self._cell(combination)
            return
        found = draws(self.suite.search, self.chosen, combination.labels)
        if isinstance(found, str):
            yield PlannedCell(combination.labels, (), skipped=found)
            return
        for drawn in found:
            mine = replace(drawn, values={key: drawn.values[key] for key in keys})
            parts = with_values(self.catalog, combination.parts, mine)
            yield self._cell(replace(combination, parts=parts, drawn=mine))

    def _cell(self, combination: Combination) -> PlannedCell:
        data, parts = combination.data, combination.parts
        recipe, origins = combination.recipe(self.suite, self.overrides)
        labels, trial = combination.planned(origins)
        try:
            cell = combination.view(recipe, *self._input(combination))
        except ValueError as error:  # the architecture cannot draw such data
            return PlannedCell(labels, (), skipped=str(error), trial=trial)
        optimizers = {side: self._optimizer(recipe, side) for side in ("g", "d")}
        reason = core_incompatibility(cell) or incompatibility(cell, tuple(optimizers.values()))
        if reason and not self.suite.allow_incompatible:
            return PlannedCell(labels, (), skipped=reason, trial=trial)
        config = {
            "format": FORMAT,
            "dataset": data.described,
            "generator": describe(self.catalog, "architecture", parts.architecture[0]),
            "discriminator": describe(self.catalog, "architecture", parts.architecture[1]),
            "loss": describe(self.catalog, "loss", parts.loss),
            **{f"{kind}s": [describe(self.catalog, kind, c) for c in parts.added[kind]] for kind in ADDED},
            **self._training_config(recipe, optimizers),
        }
        resolved = _resolved(recipe, origins)
        runs = tuple(Run({**config, "seed": seed}, labels, resolved) for seed in self.suite.seeds)
        return PlannedCell(labels, runs, allowed=reason, trial=trial)

    def _input(self, combination: Combination) -> tuple[Latent, tuple[str, ...]]:
        """Return the latent and the names of companions; these are built, once, only to be named.

        Raises ValueError where the architecture cannot draw the data.
        """
        import torch

        generator, spec = combination.parts.architecture[0], combination.data.spec
        key = (combination.labels["dataset"], combination.labels["architecture"], repr(generator))
        if key not in self._inputs:
            with torch.random.fork_rng(devices=[]):
                self._inputs[key] = generator.latent(spec), tuple(companions(generator, spec))
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
