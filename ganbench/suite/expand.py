"""From a suite file and a catalog to a plan: every combination, resolved, checked for compatibility, identified."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ganbench.catalog import Catalog
from ganbench.components import companions, incompatibility, trait
from ganbench.errors import DatasetError, SuiteError
from ganbench.suite.layers import Layer, component_layers, matching, resolve
from ganbench.suite.parameters import describe, instantiate
from ganbench.suite.plan import Plan, PlannedBaseline, PlannedCell, PlannedDataset, Run
from ganbench.suite.recipe import ComponentChoice, Recipe
from ganbench.suite.schema import ArchitectureEntry, Choice, Entry, SuiteFile
from ganbench.values import Cell, DataSpec

FORMAT = 1  # of a run's configuration; raised when the engine computes something else from the same one
ADDED = ("regularizer", "constraint", "augmentation")


@dataclass(frozen=True)
class Option:
    """One value of one axis: a label, live components, what it adds to a cell, its recipe."""

    label: str
    components: tuple[Any, ...]
    added: Mapping[str, tuple[Any, ...]]
    recipe: Mapping[str, Any]


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
        self.everywhere = {
            "regularizer": self._choices("regularizer", suite.regularizers),
            "constraint": self._choices("constraint", suite.constraints),
            "augmentation": self._choices("augmentation", suite.augmentations),
        }
        self.datasets = [self._data(option) for option in self._options("dataset", suite.all_datasets)]
        self.architectures = self._options("architecture", suite.all_architectures)
        self.losses = self._options("loss", suite.all_losses)
        self._check_rules()

    # Axes

    def _options(self, kind: str, entries: Sequence[Entry]) -> list[Option]:
        """Resolve the entries of one axis, sweeps included, and give each option its label."""
        drafts: list[tuple[str, dict[str, Any], Option]] = []
        for entry in entries:
            for swept in _sweep(entry):
                parameters = {**entry.parameters, **swept}
                added = self._added(entry)
                components = self._components(kind, entry, parameters)
                label = entry.label or _default_label(components, added)
                shown = swept if entry.label else parameters
                drafts.append((label, shown, Option(label, components, added, entry.recipe)))
        labels = [label for label, _, _ in drafts]
        options = []
        for label, shown, option in drafts:
            unique = label
            if labels.count(label) > 1 and shown:
                unique = _label_text("-".join([label, *(f"{key}{value}" for key, value in sorted(shown.items()))]))
            options.append(Option(unique, option.components, option.added, option.recipe))
        for option in options:
            if [other.label for other in options].count(option.label) > 1:
                raise SuiteError(f"two {kind} entries have the label {option.label!r}; give one of them another label")
        return options

    def _components(self, kind: str, entry: Entry, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        if isinstance(entry, ArchitectureEntry) and entry.generator and entry.discriminator:
            if parameters:
                raise SuiteError(
                    f"a pair of architectures takes no parameters of its own; found {', '.join(parameters)}"
                )
            return (*self._choices(kind, (entry.generator,)), *self._choices(kind, (entry.discriminator,)))
        component = instantiate(self.catalog.find(kind, entry.name), parameters)
        return (component, component) if kind == "architecture" else (component,)

    def _choices(self, kind: str, choices: Sequence[ComponentChoice]) -> tuple[Any, ...]:
        return tuple(instantiate(self.catalog.find(kind, choice.name), choice.parameters) for choice in choices)

    def _added(self, entry: Entry) -> dict[str, tuple[Any, ...]]:
        added = {
            "regularizer": self._choices("regularizer", entry.regularizers),
            "constraint": self._choices("constraint", entry.constraints),
            "augmentation": self._choices("augmentation", entry.augmentations),
        }
        for choice in entry.extras:
            kind = self._kind_of_extra(choice)
            added[kind] = (*added[kind], *self._choices(kind, (choice,)))
        return added

    def _kind_of_extra(self, choice: Choice) -> str:
        kinds = [entry.kind for entry in self.catalog.named(choice.name) if entry.kind in ADDED]
        if not kinds:
            self.catalog.find("regularizer", choice.name)  # raises, saying what is known
        if len(kinds) > 1:
            raise SuiteError(
                f"+{choice.name} may be a {' or a '.join(kinds)}; name it under {kinds[0]}s = [...] instead"
            )
        return kinds[0]

    def _data(self, option: Option) -> Data:
        (dataset,) = option.components
        try:
            spec = dataset.spec(self.root)
            fingerprint = getattr(dataset, "fingerprint", None)
            content = fingerprint(self.root) if fingerprint else None
        except (ValueError, OSError) as error:
            raise DatasetError(f"dataset {option.label!r}: {error}") from error
        described = describe(self.catalog, "dataset", dataset) | {"fingerprint": content}
        choice = self.suite.scoring.extractor or Choice(name=dataset.extractor)
        (extractor,) = self._choices("extractor", (choice,))
        return Data(option, spec, described, describe(self.catalog, "extractor", extractor))

    def _check_rules(self) -> None:
        axes = {
            "dataset": [data.option.label for data in self.datasets],
            "architecture": [option.label for option in self.architectures],
            "loss": [option.label for option in self.losses],
        }
        for number, rule in enumerate(self.suite.cell, start=1):
            for axis, names in rule.where.items():
                for name in (names,) if isinstance(names, str) else names:
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
        cell = self._compatibility_view(data.spec, architecture, loss, added, recipe)
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
            **{f"{side}_optimizer": describe(self.catalog, "optimizer", c) for side, c in optimizers.items()},
            "recipe": _training_keys(recipe),
            "budget": self.suite.budget.model_dump(exclude_none=True),
        }
        values = recipe.model_dump(mode="json")
        resolved = {key: {"value": values[key], "from": origin} for key, origin in origins.items()}
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
        below = component_layers(
            generator,
            discriminator,
            loss.components[0],
            (*added["regularizer"], *added["constraint"]),
            itertools.chain.from_iterable(layer.values for layer in above),
        )
        return resolve([*below, *above])

    def _compatibility_view(
        self, spec: DataSpec, architecture: Option, loss: Option, added: Mapping[str, tuple[Any, ...]], recipe: Recipe
    ) -> Cell:
        import torch

        generator, discriminator = architecture.components
        with torch.random.fork_rng(devices=[]):  # companions are built only to know their names
            try:
                latent, others = generator.latent(spec), tuple(companions(generator, spec))
            except ValueError as error:
                raise SuiteError(f"architecture {architecture.label!r} on {spec.shape}: {error}") from error
        return Cell(
            data=spec,
            generator=generator,
            discriminator=discriminator,
            latent=latent,
            batch_coupling=trait(discriminator, "batch_coupling"),
            companions=others,
            loss=loss.components[0],
            regularizers=added["regularizer"],
            constraints=added["constraint"],
            augmentations=added["augmentation"],
            pac=recipe.pac,
            schedule=recipe.schedule,
            batch_size=recipe.batch_size,
        )

    def _optimizer(self, recipe: Recipe, side: str) -> Any:
        choice = recipe.g_optimizer if side == "g" else recipe.d_optimizer
        entry = self.catalog.find("optimizer", choice.name)
        known = {f.name for f in fields(entry.component)}
        defaults = {"lr": getattr(recipe, f"{side}_lr"), "betas": list(getattr(recipe, f"{side}_betas"))}
        return instantiate(entry, {k: v for k, v in defaults.items() if k in known} | choice.parameters)

    # What stands beside the product

    def baselines(self) -> list[PlannedBaseline]:
        """Return the reference rows; those that train nothing have one run, the others one a seed."""
        if self.suite.baselines is None:
            untrained = [e for e in self.catalog.of_kind("baseline") if not trait(e.component, "trained")]
            chosen = tuple(instantiate(entry, {}) for entry in untrained)
        else:
            chosen = self._choices("baseline", self.suite.baselines)
        return [self._baseline(data, baseline) for data in self.datasets for baseline in chosen]

    def _baseline(self, data: Data, baseline: Any) -> PlannedBaseline:
        labels = {"dataset": data.option.label, "architecture": baseline.name, "loss": ""}
        config = {
            "format": FORMAT,
            "dataset": data.described,
            "baseline": describe(self.catalog, "baseline", baseline),
            "budget": self.suite.budget.model_dump(exclude_none=True) if trait(baseline, "trained") else {},
        }
        seeds = self.suite.seeds if trait(baseline, "trained") else (0,)
        runs = tuple(Run({**config, "seed": seed}, labels, {}) for seed in seeds)
        return PlannedBaseline(data.option.label, baseline.name, runs)

    def metrics(self) -> tuple[str, ...]:
        """Return the metric names of the suite, or those that the catalog marks as standard."""
        if self.suite.scoring.metrics is not None:
            return self.suite.scoring.metrics
        return tuple(e.name for e in self.catalog.of_kind("metric") if trait(e.component, "standard"))


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


def _sweep(entry: Entry) -> list[dict[str, Any]]:
    keys = list(entry.sweep)
    for key in keys:
        if key in entry.parameters:
            raise SuiteError(f"{entry.name}: {key} is both set and swept")
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*entry.sweep.values())]


def _default_label(components: tuple[Any, ...], added: Mapping[str, tuple[Any, ...]]) -> str:
    names = dict.fromkeys(component.name for component in components)
    return "+".join(["_vs_".join(names), *(component.name for kind in ADDED for component in added[kind])])


def _label_text(text: str) -> str:
    return re.sub(r"[^a-z0-9._+-]+", "_", text.lower())[:100]


def _training_keys(recipe: Recipe) -> dict[str, Any]:
    """Return what is left of the recipe once the optimizers have taken their part."""
    taken = {"g_optimizer", "d_optimizer", "g_lr", "d_lr", "g_betas", "d_betas"}
    kept: dict[str, Any] = json.loads(recipe.model_dump_json(exclude=taken))
    return kept
