"""What a suite file may say. Unknown keys, wrong types and values out of range are named; nothing is resolved here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, field_validator, model_validator

from ganbench.components import NAME_PATTERN
from ganbench.endings import Early
from ganbench.suite.recipe import Budget, ComponentChoice, Real, Whole

MOST_SEEDS = 10_000
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


class CellRule(Strict):
    """Recipe keys for the cells that match; ``where`` names labels by axis, one or a list of them."""

    where: dict[str, Labels]
    recipe: dict[str, Any]

    @field_validator("where")
    @classmethod
    def _known_axes(cls, value: dict[str, Any]) -> dict[str, Any]:
        for axis in value:
            if axis not in {"dataset", "architecture", "loss"}:
                raise ValueError(f"unknown axis {axis!r}; known: architecture, dataset, loss")
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


_TABLES: Mapping[str, type[BaseModel]] = {"scoring": Scoring, "budget": Budget, "cell": CellRule}


def known_keys(path: Iterable[Any]) -> list[str]:
    """Return the keys that the table at ``path`` of a suite file may hold, for a "did you mean"."""
    table: type[BaseModel] = SuiteFile
    for part in path:
        table = _TABLES.get(str(part), table)
    return list(table.model_fields)
