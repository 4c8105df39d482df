"""What a suite file may say. Unknown keys, wrong types and values out of range are named; nothing is resolved here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ganbench.components import NAME_PATTERN
from ganbench.suite.recipe import Budget, ComponentChoice
from ganbench.suite.terms import parse_term

Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$", max_length=100)]


class Strict(BaseModel):
    """A table that refuses keys which it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Choice(ComponentChoice):
    """A component of the suite: short form (``"r1(gamma=5)"``) or table."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return parse_term(value).as_table() if isinstance(value, str) else value


class Entry(Choice):
    """One dataset, architecture or loss with what belongs to it; keys beyond these are the component's parameters."""

    label: Name | None = None
    recipe: dict[str, Any] = {}
    regularizers: tuple[Choice, ...] = ()
    constraints: tuple[Choice, ...] = ()
    augmentations: tuple[Choice, ...] = ()
    extras: tuple[Choice, ...] = Field(default=(), alias="+")
    """What the short form adds after ``+``: a regularizer, constraint or augmentation each."""
    sweep: dict[str, tuple[Any, ...]] = {}

    @field_validator("sweep")
    @classmethod
    def _something_to_sweep(cls, value: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        for key, values in value.items():
            if not values:
                raise ValueError(f"sweep.{key} is empty")
        return value


class ArchitectureEntry(Entry):
    """An architecture, or the generator of one with the discriminator of another."""

    name: str = ""
    generator: Choice | None = None
    discriminator: Choice | None = None

    @model_validator(mode="after")
    def _one_or_a_pair(self) -> ArchitectureEntry:
        pair = (self.generator is not None, self.discriminator is not None)
        if bool(self.name) == any(pair) or any(pair) != all(pair):
            raise ValueError("wants either name, or both generator and discriminator")
        return self


class CellRule(Strict):
    """Recipe keys for the cells that match; ``where`` names labels by axis, one or a list of them."""

    where: dict[str, str | tuple[str, ...]]
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
    samples: Annotated[int, Field(ge=2)] = 10_000
    extractor: Choice | None = None
    """By default the dataset's own."""
    at: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)] = (1.0,)
    """Fractions of the budget at which the averaged generator is kept and scored; the end always is."""
    force: bool = False
    """Use the extractor on data that it was not made for; the metric's name then says so."""
    seed: Annotated[int, Field(ge=0)] = 0


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
    regularizers: tuple[Choice, ...] = ()
    constraints: tuple[Choice, ...] = ()
    augmentations: tuple[Choice, ...] = ()
    baselines: tuple[Choice, ...] | None = None
    """By default those of the catalog that need no training."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = (0, 1, 2)
    recipe: dict[str, Any] = {}
    cell: tuple[CellRule, ...] = ()
    budget: Budget
    scoring: Scoring = Scoring()
    allow_incompatible: bool = False

    @field_validator("seeds", mode="before")
    @classmethod
    def _count_or_list(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            if value < 1:
                raise ValueError("seeds wants a number of at least 1, or a list")
            return tuple(range(value))
        return value

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("seeds is empty or names a seed twice")
        return value

    @model_validator(mode="after")
    def _something_to_do(self) -> SuiteFile:
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
