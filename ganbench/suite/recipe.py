"""The recipe: how a cell is trained. Every key that a component, a suite, an entry or a cell may set there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ganbench.errors import SuiteError
from ganbench.suite.terms import parse_term


def _number(value: Any) -> Any:
    """Refuse what pydantic would silently make a number of; 1e6 for a whole number is fine."""
    if isinstance(value, bool | str):
        raise PydanticCustomError("number_type", "wants a number")
    return value


Whole = Annotated[int, BeforeValidator(_number)]
Real = Annotated[float, BeforeValidator(_number)]
Beta = Annotated[Real, Field(ge=0, lt=1)]
Rate = Annotated[Real, Field(gt=0)]
Decay = Literal["constant", "linear", "cosine"]
Precision = Literal["float32", "tf32", "bf16"]


class ComponentChoice(BaseModel):
    """A component with parameters: ``"adam"``, ``"adam(eps=1e-7)"`` or ``{ name = "adam", eps = 1e-7 }``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, str | Mapping | ComponentChoice):
            raise PydanticCustomError("choice_type", "wants a name or a table")
        try:
            return parse_term(value).as_table() if isinstance(value, str) else value
        except SuiteError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _nothing_added(self) -> Self:
        if "+" in self.parameters:
            raise ValueError(f"nothing can be added to {self.name!r} with + here; list every component on its own")
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        """All keys but the name."""
        return dict(self.model_extra or {})


class Recipe(BaseModel):
    """How a cell is trained; the defaults are the core's, overridden in the order that `ganbench.suite` documents."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    batch_size: Annotated[Whole, Field(ge=1)] = 64
    """Samples in a phase, on each side; a multiple of ``pac``."""
    schedule: Annotated[tuple[Literal["D", "G", "DG"], ...], Field(min_length=1)] = ("D", "G")
    """Moves of a round: one player, or both from the same weights ("DG")."""
    pac: Annotated[Whole, Field(ge=1)] = 1
    """Samples that the discriminator judges together (PacGAN, arXiv:1712.04086)."""
    ema_halflife_images: Annotated[Real, Field(ge=0)] = 10_000.0
    """Half-life of the generator's moving average, in real images; 0 takes the live weights."""
    ema_rampup: Annotated[Real, Field(ge=0)] = 0.05
    """The half-life is at most this share of the images seen so far; 0 does without ramp-up."""
    g_optimizer: ComponentChoice = ComponentChoice(name="adam")
    d_optimizer: ComponentChoice = ComponentChoice(name="adam")
    g_lr: Rate = 2e-4
    d_lr: Rate = 2e-4
    g_betas: tuple[Beta, Beta] = (0.5, 0.999)
    d_betas: tuple[Beta, Beta] = (0.5, 0.999)
    precision: Precision = "float32"
    """What networks compute in: float32; float32 with TF32 products (on CUDA); bfloat16 by autocast. Weights, losses,
    slopes of penalties and the moving average are float32 in any case."""
    g_lr_decay: Decay = "constant"
    """Learning rate over the budget: constant, or falling to zero linearly or along half a cosine."""
    d_lr_decay: Decay = "constant"

    @field_validator("schedule")
    @classmethod
    def _generator_moves(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not any("G" in move for move in value):
            raise ValueError("the generator never moves in this schedule")
        return value

    @model_validator(mode="after")
    def _whole_packs(self) -> Self:
        if self.batch_size % self.pac:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of pac {self.pac}")
        return self


class Budget(BaseModel):
    """What every cell may spend, in one unit for all: real images, generator updates, or seconds of training."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    images: Annotated[Whole, Field(ge=1)] | None = None
    generator_updates: Annotated[Whole, Field(ge=1)] | None = None
    seconds: Annotated[Real, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        given = [unit for unit, amount in self if amount is not None]
        if len(given) != 1:
            found = " and ".join(given) if given else "none"
            raise ValueError(f"wants exactly one of images, generator_updates, seconds; found {found}")
        return self

    @property
    def unit(self) -> Literal["images", "generator_updates", "seconds"]:
        """The unit in which the budget is counted."""
        return "images" if self.images else "generator_updates" if self.generator_updates else "seconds"

    @property
    def amount(self) -> float:
        """How much of that unit."""
        return self.images or self.generator_updates or self.seconds or 0
