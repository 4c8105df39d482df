"""A setup: the live components of one run, and the networks built from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ganbench.components import companions, trait
from ganbench.seeds import derive
from ganbench.suite.assemble import Assembly
from ganbench.values import DataSpec, Images, Networks, Stream


@dataclass(frozen=True)
class Setup:
    """What one run trains. ``keys`` holds the JSON form of the dataset and the two architectures, for seeding."""

    parts: Assembly
    data: DataSpec
    train: Images | Stream
    held_out: Images | Stream
    seed: int
    keys: Mapping[str, Any]
    snapshots: tuple[float, ...] = (1.0,)
    """Fractions of the budget at which the averaged generator is kept."""
    stop_on: tuple[str, ...] = ()
    """States (`ganbench.training.states`) for which training stops; what is not finite always stops it."""

    @property
    def roles(self) -> tuple[Any, ...]:
        """The components that may keep state, in the order by which the engine files it."""
        return (self.parts.loss, *self.parts.regularizers, *self.parts.augmentations)


def build_networks(setup: Setup) -> Networks:
    """Build the run's networks on the CPU, each from its own stream: two losses start from the same weights.

    Raises:
        ValueError: the loss wants a discriminator and the architecture has none, or the data cannot be drawn.
    """
    data, generator, discriminator = setup.data, setup.parts.generator, setup.parts.discriminator
    latent = generator.latent(data)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(setup.seed, "weights/generator", setup.keys["generator"]))
        g = generator.generator(data)
        d: nn.Module | None = None
        if hasattr(setup.parts.loss, "discriminator"):
            torch.default_generator.manual_seed(
                derive(setup.seed, "weights/discriminator", setup.keys["discriminator"])
            )
            d = discriminator.discriminator(data.packed(setup.parts.recipe.pac))
            if d is None:
                raise ValueError(f"{setup.parts.loss.name} wants a discriminator, and {discriminator.name} has none")
        torch.default_generator.manual_seed(derive(setup.seed, "weights/companions", setup.keys["generator"]))
        others = companions(generator, data)
    return Networks(g, d, latent, others, trait(discriminator, "batch_coupling"))
