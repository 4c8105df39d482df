"""What a suite file may say. Unknown keys, wrong types and values out of range are named; nothing is resolved here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    field_validator,
    model_validator,
)

from ganbench.components import NAME_PATTERN
from ganbench.endings import Early
from ganbench.suite.recipe import Budget, ComponentChoice, Real, Whole

MOST_SEEDS = 10_000
MOST_TRIALS = 10_000
KEY = re.compile(rf"(?P<prefix>{NAME_PATTERN})\.(?P<field>[A-Za-z_]\w*)(?:\[(?P<element>\d+)\])?")
"""A key of a search: ``recipe.g_betas[0]`` has a prefix, a field and, here, an element."""
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", max_length=100)]
Seed = Annotated[Whole, Field(ge=0)]


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Labels = Annotated[tuple[str, ...], BeforeValidator(_one_or_more), Field(min_length=1)]


class Strict(BaseModel):
    """A table that refuses keys which it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Entry(ComponentChoice):
    """One dataset, architecture or loss with what belongs to it; keys beyond these are the component's parameters."""

    label: Name | None = None
    recipe: dict[str, Any] = {}
    regularizers: tuple[ComponentChoice, ...] = ()
    constraints: tuple[ComponentChoice, ...] = ()
    augmentations: tuple[ComponentChoice, ...] = ()
    extras: tuple[ComponentChoice, ...] = Field(default=(), alias="+")
    """What the short form adds after ``+``: a regularizer, constraint or augmentation each."""
    sweep: dict[str, tuple[Any, ...]] = {}

    @model_validator(mode="after")
    def _something_to_sweep(self) -> Self:
        for key, values in self.sweep.items():
            if not values:
                raise ValueError(f"sweep.{key} is empty")
        return self


class ArchitectureEntry(Entry):
    """An architecture, or the generator of one with the discriminator of another."""

    name: str = ""
    generator: ComponentChoice | None = None
    discriminator: ComponentChoice | None = None

    @model_validator(mode="after")
    def _one_or_a_pair(self) -> Self:
        pair = (self.generator is not None, self.discriminator is not None)
        if bool(self.name) == any(pair) or any(pair) != all(pair):
            raise ValueError("wants either name, or both generator and discriminator")
        return self


def _known_axes(value: dict[str, Any]) -> dict[str, Any]:
    for axis in value:
        if axis not in {"dataset", "architecture", "loss"}:
            raise ValueError(f"unknown axis {axis!r}; known: architecture, dataset, loss")
    return value


Where = Annotated[dict[str, Labels], AfterValidator(_known_axes)]
"""Labels by axis, one or a list of them: what matches has one of them on each axis that is named."""


class CellRule(Strict):
    """Recipe keys for the cells that match."""

    where: Where
    recipe: dict[str, Any]


class ExcludeRule(Strict):
    """Combinations that are not planned at all: no runs, and no row in any table."""

    where: Where
    unless: Where = {}
    """Of these, the combinations that stay."""
    reason: str = ""
    """Why, for people; ``--dry-run`` shows it."""

    @field_validator("where")
    @classmethod
    def _says_what(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value:
            raise ValueError("wants at least one axis, or every cell would be excluded")
        return value


class Scoring(Strict):
    """How runs are scored; none of it is part of a run's identity."""

    metrics: tuple[str, ...] | None = None
    """Metric names; by default those that the catalog marks as standard."""
    samples: Annotated[Whole, Field(ge=2)] = 10_000
    extractor: ComponentChoice | None = None
    """By default the dataset's own."""
    at: Annotated[tuple[Annotated[Real, Field(gt=0, le=1)], ...], Field(min_length=1)] = (1.0,)
    """Fractions of the budget at which the averaged generator is kept and scored; the end always is."""
    force: StrictBool = False
    """Use the extractor on data that it was not made for; the metric's name then says so."""
    seed: Seed = 0


class Dimension(Strict):
    """What one key of a search is drawn from: exactly one of the ranges, a choice, or another key's value.

    A real range ends below its upper end. ``where`` limits the key to the cells that match.
    """

    uniform: tuple[Real, Real] | None = None
    log_uniform: tuple[Real, Real] | None = None
    """Uniform in the logarithm; both ends above 0."""
    int_uniform: tuple[Whole, Whole] | None = None
    """A whole number, both ends included."""
    choice: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    same_as: str | None = None
    """Another key of the space, whose value this one takes."""
    where: Where = {}

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        forms = ("uniform", "log_uniform", "int_uniform", "choice", "same_as")
        given = [name for name in forms if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"wants exactly one of {', '.join(forms)}; found {found}")
        for name in ("uniform", "log_uniform", "int_uniform"):
            low, high = getattr(self, name) or (1, 2)
            if not (low < high or (name == "int_uniform" and low == high)):
                raise ValueError(f"{name} wants a low and a higher end; found {[low, high]}")
            if name == "log_uniform" and low <= 0:
                raise ValueError(f"log_uniform wants both ends above 0; found {[low, high]}")
        return self


class Best(Strict):
    """The best trials of a finished search, by the mean of a metric over the seeds of each."""

    results: Annotated[str, Field(min_length=1)]
    """The results folder of that search, seen from the folder that will hold this suite's own."""
    metric: str
    """The full name of a metric, or its part before the slash."""
    top: Annotated[Whole, Field(ge=1)] = 1
    """How many trials of each combination of dataset, architecture and loss."""


class Search(Strict):
    """Random search: each cell becomes ``trials`` cells, the loss labelled ``wgan_gp.t007``; or the best of one.

    A key of ``space`` is ``recipe.KEY``; or ``COMPONENT.FIELD``, in the cells that have a component of this name; or
    ``architecture.FIELD``, in the cells whose architecture has the field; ``[0]`` behind it means the first element of
    a list. Cells that have none of the keys are planned once, as they are. A value follows from the search's seed, the
    number of the trial and the key alone, so that trials may be added and keys changed without moving any other, and
    one trial has the same values for all losses. Drawn values win over ``[recipe]`` and over entries; ``[[cell]]`` and
    the command line win over them. ``where``, here and in rules, means labels without the trial.
    """

    trials: Annotated[Whole, Field(ge=1, le=MOST_TRIALS)] | None = None
    """For each cell."""
    seed: Seed = 0
    first: Annotated[Whole, Field(ge=0)] = 0
    """The number of the first trial, to divide a search over several machines."""
    space: dict[str, Dimension] = {}
    best: Best | None = None
    """Instead of drawing: the trials that did best in a search before."""

    @field_validator("space", mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        """Take ``recipe.g_lr = {...}`` as ``"recipe.g_lr" = {...}``: to TOML, the first is a table in a table."""
        if not isinstance(value, Mapping):
            return value
        flat: dict[str, Any] = {}
        for key, inner in value.items():
            nested = isinstance(inner, Mapping) and inner and not inner.keys() & Dimension.model_fields.keys()
            nested = nested and all(isinstance(part, Mapping) for part in inner.values())
            for name, part in (
                {f"{key}.{name}": part for name, part in inner.items()}.items() if nested else [(key, inner)]
            ):
                if name in flat:
                    raise ValueError(f"names {name} twice")
                flat[name] = part
        return flat

    @field_validator("space")
    @classmethod
    def _meaningful_keys(cls, value: dict[str, Dimension]) -> dict[str, Dimension]:
        for key, dimension in value.items():
            found = KEY.fullmatch(key)
            if found is None:
                raise ValueError(f"cannot read the key {key!r}; write recipe.KEY or COMPONENT.FIELD")
            if found["element"] and f"{found['prefix']}.{found['field']}" in value:
                raise ValueError(f"{key} is part of {found['prefix']}.{found['field']}, which is drawn as a whole")
            other = dimension.same_as
            if other is not None and (other not in value or value[other].same_as is not None):
                raise ValueError(f"{key} is the same as {other!r}, which the space does not draw")
        return value

    @model_validator(mode="after")
    def _drawn_or_best(self) -> Self:
        if self.best and (self.space or self.trials is not None or self.first or self.seed):
            raise ValueError("best takes its trials from another search, so that nothing can stand beside it")
        if not self.best and not (self.space and self.trials is not None):
            raise ValueError("wants trials and a space, or best")
        return self


class SuiteFile(Strict):
    """A whole suite."""

    name: Name
    description: str = ""
    datasets: tuple[Entry, ...] = ()
    dataset: tuple[Entry, ...] = ()
    architectures: tuple[ArchitectureEntry, ...] = ()
    architecture: tuple[ArchitectureEntry, ...] = ()
    losses: tuple[Entry, ...] = ()
    loss: tuple[Entry, ...] = ()
    regularizers: tuple[ComponentChoice, ...] = ()
    constraints: tuple[ComponentChoice, ...] = ()
    augmentations: tuple[ComponentChoice, ...] = ()
    baselines: tuple[ComponentChoice, ...] | None = None
    """By default those of the catalog that need no training."""
    seeds: tuple[Seed, ...] = (0, 1, 2)
    recipe: dict[str, Any] = {}
    cell: tuple[CellRule, ...] = ()
    exclude: tuple[ExcludeRule, ...] = ()
    search: Search | None = None
    budget: Budget
    scoring: Scoring = Scoring()
    allow_incompatible: StrictBool = False
    stop_on: tuple[Early, ...] = ()
    """What ends a run before its budget is spent: "collapsed", "saturated". "diverged" always does, named or not."""

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_or_list(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return value
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0
        if not whole or not 1 <= value <= MOST_SEEDS:
            raise ValueError(f"seeds wants a number of at least 1 and at most {MOST_SEEDS}, or a list; found {value!r}")
        return tuple(range(int(value)))

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError(f"seeds is empty or names a seed twice; found {list(value)}")
        return value

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        for plural, found in (
            ("datasets", self.all_datasets),
            ("architectures", self.all_architectures),
            ("losses", self.all_losses),
        ):
            if not found:
                raise ValueError(f"the suite names no {plural}")
        return self

    @property
    def all_datasets(self) -> tuple[Entry, ...]:
        """The datasets of the list and of the tables."""
        return (*self.datasets, *self.dataset)

    @property
    def all_architectures(self) -> tuple[ArchitectureEntry, ...]:
        """The architectures of the list and of the tables."""
        return (*self.architectures, *self.architecture)

    @property
    def all_losses(self) -> tuple[Entry, ...]:
        """The losses of the list and of the tables."""
        return (*self.losses, *self.loss)


_TABLES: Mapping[str, type[BaseModel]] = {
    "scoring": Scoring,
    "budget": Budget,
    "cell": CellRule,
    "exclude": ExcludeRule,
    "search": Search,
    "best": Best,
    "space": Dimension,
}


def known_keys(path: Iterable[Any]) -> list[str]:
    """Return the keys that the table at ``path`` of a suite file may hold, for a "did you mean"."""
    table: type[BaseModel] = SuiteFile
    for part in path:
        table = _TABLES.get(str(part), table)
    return list(table.model_fields)
