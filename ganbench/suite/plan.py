"""A plan: what a suite comes to once everything is resolved. Frozen, JSON inside, so that it can go to any worker."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ganbench.identity import digest
from ganbench.suite.recipe import Budget, Recipe
from ganbench.suite.schema import SuiteFile


@dataclass(frozen=True)
class Run:
    """One training (or one baseline) with one seed.

    ``config`` is all that its numbers depend on, digests of the components' sources included; ``labels`` (dataset,
    architecture, loss) are for people; ``origins`` gives for each recipe key the resolved value and where it is from.
    """

    config: Mapping[str, Any]
    labels: Mapping[str, str]
    origins: Mapping[str, Mapping[str, Any]]

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the configuration, wherever its data lie."""
        dataset = {key: value for key, value in self.config["dataset"].items() if key != "location"}
        return digest({**self.config, "dataset": dataset})[:16]

    @property
    def seed(self) -> int:
        """The training seed."""
        return int(self.config["seed"])

    @property
    def trains(self) -> bool:
        """Whether anything is trained: some reference rows are only fitted."""
        return "recipe" in self.config

    @property
    def title(self) -> str:
        """``architecture/loss seed 0 on dataset``, for people."""
        name = "/".join(self.labels[axis] for axis in ("architecture", "loss") if self.labels[axis])
        return f"{name} on {self.labels['dataset']}, seed {self.seed}"


@dataclass(frozen=True)
class Trial:
    """Which trial of a search a cell is.

    ``loss`` is the label without the trial; ``values`` are those keys of the space that took effect in the cell.
    """

    number: int
    loss: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class PlannedCell:
    """One combination with its runs; ``skipped`` says why there are none, ``allowed`` which reason was overruled.

    In a search, each trial of a combination is a cell of its own.
    """

    labels: Mapping[str, str]
    runs: tuple[Run, ...]
    skipped: str | None = None
    allowed: str | None = None
    trial: Trial | None = None


@dataclass(frozen=True)
class PlannedBaseline:
    """One reference row of one dataset."""

    dataset: str
    name: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class PlannedDataset:
    """One dataset of the suite by its label, and the extractor that scores it: both as name and parameters."""

    label: str
    component: Mapping[str, Any]
    extractor: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """A resolved suite."""

    suite: SuiteFile
    datasets: tuple[PlannedDataset, ...]
    metrics: tuple[str, ...]
    cells: tuple[PlannedCell, ...]
    baselines: tuple[PlannedBaseline, ...]

    def runs(self) -> Iterator[Run]:
        """Yield every run: baselines first, then seed by seed, so that a stopped suite has whole tables early.

        Of a search, every combination's first trial comes before any second one.
        """
        for baseline in self.baselines:
            yield from baseline.runs
        cells = sorted(self.cells, key=lambda cell: cell.trial.number if cell.trial else -1)
        for i in range(len(self.suite.seeds)):
            for cell in cells:
                yield from cell.runs[i : i + 1]


def exact_spending(recipe: Recipe, budget: Budget, has_discriminator: bool = True) -> dict[str, int] | None:
    """Return rounds, images and updates that the budget comes to, or None where it is counted in seconds.

    Whole rounds are played, so the last one may go a little beyond the budget.
    """
    if budget.unit == "seconds":
        return None
    d_moves = sum("D" in move for move in recipe.schedule) if has_discriminator else 0
    g_moves = sum("G" in move for move in recipe.schedule)
    drawing = d_moves or g_moves
    per_round = drawing * recipe.batch_size if budget.unit == "images" else g_moves
    rounds = math.ceil(budget.amount / per_round)
    return {
        "rounds": rounds,
        "images": rounds * drawing * recipe.batch_size,
        "d_updates": rounds * d_moves,
        "g_updates": rounds * g_moves,
    }
