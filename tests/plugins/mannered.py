"""Components with manners of their own: recipes, reasons against a cell, a content of their own. Nothing here trains.

A real plugin, for tests of what a suite makes of such things. No publication.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ganbench import Cell, DataSpec, Images, ImageSpec, Latent, hookimpl
from ganbench.components import Combination

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Orderly:
    """An architecture with a recipe for both sides and all."""

    name: ClassVar[str] = "orderly"
    paper: ClassVar[str] = "none"
    recipe: ClassVar[Mapping[str, Any]] = {"ema_rampup": 0.2, "g_lr": 0.01, "d_lr": 0.02, "batch_size": 8}

    def latent(self, data: DataSpec) -> Latent:
        return Latent(2)

    def generator(self, data: DataSpec) -> nn.Module:
        raise AssertionError("to plan a suite, nothing is built, loaded or evaluated")

    def discriminator(self, data: DataSpec) -> nn.Module:
        raise AssertionError("to plan a suite, nothing is built, loaded or evaluated")

    @classmethod
    def smallest(cls) -> tuple[Orderly, DataSpec]:
        return cls(), ImageSpec((1, 4, 4))


@dataclass(frozen=True)
class Strict(Orderly):
    """Another recipe, BatchNorm in the discriminator, and nothing but images of 5 pixels."""

    picky: bool = False

    name: ClassVar[str] = "strict"
    batch_coupling: ClassVar[str] = "normalisation"
    recipe: ClassVar[Mapping[str, Any]] = {"g_lr": 0.03, "d_lr": 0.04, "batch_size": 16, "d_betas": (0.1, 0.2)}

    def companions(self, data: DataSpec) -> Mapping[str, Any]:
        if self.picky and data.shape[-1] != 5:
            raise ValueError(f"strict draws 5 pixels, not {data.shape[-1]}")
        return {}


@dataclass(frozen=True)
class Statistical(Orderly):
    """A discriminator that looks at statistics of the batch."""

    name: ClassVar[str] = "statistical"
    batch_coupling: ClassVar[str] = "statistic"


@dataclass(frozen=True)
class Firm:
    """A loss with a recipe."""

    name: ClassVar[str] = "firm"
    paper: ClassVar[str] = "none"
    recipe: ClassVar[Mapping[str, Any]] = {"ema_rampup": 0.3}

    def discriminator(self, game: Any) -> Tensor:
        raise AssertionError("to plan a suite, nothing is built, loaded or evaluated")

    def generator(self, game: Any) -> Tensor:
        raise AssertionError("to plan a suite, nothing is built, loaded or evaluated")


@dataclass(frozen=True)
class OneSided:
    """A loss of the discriminator alone."""

    name: ClassVar[str] = "one_sided"
    paper: ClassVar[str] = "none"

    def discriminator(self, game: Any) -> Tensor:
        raise AssertionError("to plan a suite, nothing is built, loaded or evaluated")


@dataclass(frozen=True)
class Early:
    """A regularizer with a recipe."""

    name: ClassVar[str] = "early"
    paper: ClassVar[str] = "none"
    recipe: ClassVar[Mapping[str, Any]] = {"ema_rampup": 0.4, "schedule": ("D", "G")}

    def penalty(self, game: Any) -> Tensor:
        raise AssertionError("to plan a suite, nothing is built, loaded or evaluated")


@dataclass(frozen=True)
class Late(Early):
    """A regularizer that disagrees with `Early` on one key, and says the same of the other as a list."""

    name: ClassVar[str] = "late"
    recipe: ClassVar[Mapping[str, Any]] = {"ema_rampup": 0.45, "schedule": ["D", "G"]}


@dataclass(frozen=True)
class Personal(Early):
    """A regularizer for one sample at a time."""

    name: ClassVar[str] = "personal"
    per_sample: ClassVar[bool] = True
    recipe: ClassVar[Mapping[str, Any]] = {}


@dataclass(frozen=True)
class Watchful(Early):
    """A regularizer that wants a discriminator in the cell, and an even batch."""

    name: ClassVar[str] = "watchful"
    recipe: ClassVar[Mapping[str, Any]] = {}

    def compatible(self, cell: Cell) -> str | None:
        if cell.discriminator is None:
            return "watchful wants a discriminator"
        return "watchful wants an even batch" if cell.batch_size % 2 else None


@dataclass(frozen=True)
class TwofoldPenalty(Early):
    """A regularizer whose name is also a constraint's."""

    name: ClassVar[str] = "twofold"
    recipe: ClassVar[Mapping[str, Any]] = {}


@dataclass(frozen=True)
class TwofoldConstraint:
    """A constraint whose name is also a regularizer's; it has a recipe."""

    name: ClassVar[str] = "twofold"
    paper: ClassVar[str] = "none"
    after: ClassVar[str] = "discriminator"
    recipe: ClassVar[Mapping[str, Any]] = {"ema_rampup": 0.41}

    def __call__(self, params: Sequence[Tensor], state: Mapping[str, Tensor]) -> None:
        raise AssertionError("to plan a suite, nothing is built, loaded or evaluated")


@dataclass(frozen=True)
class Shy:
    """An optimizer that refuses every cell, and has no betas."""

    lr: float = 0.1

    name: ClassVar[str] = "shy"
    paper: ClassVar[str] = "none"

    def compatible(self, cell: Cell) -> str | None:
        return f"shy does not step with {cell.loss.name}"

    def build(self, params: Sequence[Tensor]) -> Any:
        raise AssertionError("to plan a suite, nothing is built, loaded or evaluated")


@dataclass(frozen=True)
class Own:
    """A dataset whose content is the user's: the text of ``content.txt`` under the root."""

    path: str
    sizes: tuple[int, ...] = (4, 4)
    mode: Literal["grey", "colour"] = "grey"
    scale: float = 1.0
    flip: bool = False
    tags: dict[str, int] = field(default_factory=dict)
    once: int = field(default=7, init=False)

    name: ClassVar[str] = "own"
    paper: ClassVar[str] = "none"
    extractor: ClassVar[str] = "pixels"
    domain: ClassVar[str] = "own"

    def spec(self, root: Path) -> DataSpec:
        return ImageSpec((1, *self.sizes))

    def fingerprint(self, root: Path) -> str:
        return (root / "content.txt").read_text()

    def load(self, root: Path, split: str) -> Images:
        raise AssertionError("to plan a suite, nothing is built, loaded or evaluated")


@dataclass(frozen=True)
class Trained:
    """A baseline that is trained, so that it has a run a seed."""

    name: ClassVar[str] = "trained"
    paper: ClassVar[str] = "none"

    def combination(self, data: DataSpec) -> Combination:
        return Combination(Orderly(), Firm(), {"g_lr": 0.5})


@hookimpl
def architectures() -> Sequence[type]:
    return [Orderly, Strict, Statistical]


@hookimpl
def losses() -> Sequence[type]:
    return [Firm, OneSided]


@hookimpl
def regularizers() -> Sequence[type]:
    return [Early, Late, Personal, Watchful, TwofoldPenalty]


@hookimpl
def constraints() -> Sequence[type]:
    return [TwofoldConstraint]


@hookimpl
def optimizers() -> Sequence[type]:
    return [Shy]


@hookimpl
def datasets() -> Sequence[type]:
    return [Own]


@hookimpl
def baselines() -> Sequence[type]:
    return [Trained]
