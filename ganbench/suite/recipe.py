"""The recipe: how a cell is trained. Every key that a component, a suite, an entry or a cell may set there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Beta = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]
Decay = Literal["constant", "linear", "cosine"]


class ComponentChoice(BaseModel):
    """A component by name, with parameters: ``"adam"`` or ``{ name = "adam", eps = 1e-7 }``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def parameters(self) -> dict[str, Any]:
        """All keys but the name."""
        return dict(self.model_extra or {})


class Recipe(BaseModel):
    """How a cell is trained; the defaults are the core's, overridden in the order that `ganbench.suite` documents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_size: Annotated[int, Field(ge=1)] = 64
    """Samples in a phase, on each side; a multiple of ``pac``."""
    schedule: Annotated[tuple[Literal["D", "G", "DG"], ...], Field(min_length=1)] = ("D", "G")
    """Moves of a round: one player, or both from the same weights ("DG")."""
    pac: Annotated[int, Field(ge=1)] = 1
    """Samples that the discriminator judges together (PacGAN, arXiv:1712.04086)."""
    ema_halflife_images: Annotated[float, Field(ge=0)] = 10_000.0
    """Half-life of the generator's moving average, in real images; 0 takes the live weights."""
    ema_rampup: Annotated[float, Field(ge=0)] = 0.05
    """The half-life is at most this share of the images seen so far; 0 does without ramp-up."""
    g_optimizer: ComponentChoice = ComponentChoice(name="adam")
    d_optimizer: ComponentChoice = ComponentChoice(name="adam")
    g_lr: Rate = 2e-4
    d_lr: Rate = 2e-4
    g_betas: tuple[Beta, Beta] = (0.5, 0.999)
    d_betas: tuple[Beta, Beta] = (0.5, 0.999)
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
    def _whole_packs(self) -> Recipe:
        if self.batch_size % self.pac:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of pac {self.pac}")
        return self


class Budget(BaseModel):
    """What every cell may spend, in one unit for all: real images, generator updates, or seconds of training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Annotated[int, Field(ge=1)] | None = None
    generator_updates: Annotated[int, Field(ge=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_unit(self) -> Budget:
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
