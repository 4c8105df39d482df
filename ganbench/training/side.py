"""A side: one player's networks, parameters, optimizer and streams."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganbench.components import trait
from ganbench.seeds import derive
from ganbench.training.setup import Setup
from ganbench.training.stream import ImageStream, LatentStream
from ganbench.values import Images, Networks, Player, Stream


@dataclass
class Side:
    """One player: the parameters that are to be trained, weights computed from them, its optimizer, its streams."""

    params: list[nn.Parameter]
    parametrized: list[tuple[nn.Module, str]]
    optimizer: torch.optim.Optimizer
    evaluations: int
    lr: float
    decay: str
    latents: LatentStream
    images: ImageStream
    phase_seed: int
    updates: Tensor

    def set_rate(self, progress: float) -> None:
        """Set the learning rate for the share ``progress`` of the budget; where it is a tensor, in place."""
        rate = self.lr * decay_factor(self.decay, progress)
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def build_side(setup: Setup, networks: Networks, player: Player, train: Images | Stream, device: torch.device) -> Side:
    """Return the side of ``player``, whose networks and training images lie on ``device``."""
    recipe = setup.parts.recipe
    own = networks.discriminator if player == "discriminator" else networks.generator
    companions = [c.module for c in networks.companions.values() if c.player == player]
    modules = [module for module in (own, *companions) if module is not None]
    params = [p for module in modules for p in module.parameters() if p.requires_grad]
    optimizer = setup.parts.d_optimizer if player == "discriminator" else setup.parts.g_optimizer
    latent_key = asdict(networks.latent)
    return Side(
        params=params,
        parametrized=parametrized(modules),
        optimizer=optimizer.build(params),
        evaluations=trait(optimizer, "evaluations"),
        lr=optimizer.lr,
        decay=recipe.d_lr_decay if player == "discriminator" else recipe.g_lr_decay,
        latents=LatentStream(
            networks.latent,
            setup.train.labels,
            derive(setup.seed, f"latents/{player}", latent_key, setup.keys["dataset"]),
            device,
        ),
        images=ImageStream(
            train,
            setup.data,
            recipe.batch_size,
            derive(setup.seed, f"data order/{player}", setup.keys["dataset"]),
            device,
        ),
        phase_seed=derive(setup.seed, f"phase/{player}"),
        updates=torch.zeros((), device=device),
    )


def decay_factor(decay: str, progress: float) -> float:
    """Return the factor on the learning rate after the share ``progress`` of the budget."""
    if decay == "linear":
        return 1 - progress
    if decay == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0


def all_modules(networks: Networks) -> list[nn.Module]:
    """Return all networks that there are."""
    companions = (companion.module for companion in networks.companions.values())
    return [m for m in (networks.generator, networks.discriminator, *companions) if m is not None]


def drops_out(network: nn.Module | None) -> bool:
    """Whether ``network`` has dropout, which draws other masks for two batches at once than for one after the other."""
    layers = () if network is None else network.modules()
    return any(isinstance(layer, nn.modules.dropout._DropoutNd) and layer.p > 0 for layer in layers)


def require_gradient(params: Iterable[nn.Parameter], required: bool) -> None:
    """Let ``params`` require a gradient, or freeze them."""
    for p in params:
        p.requires_grad_(required)


def parametrized(modules: Sequence[nn.Module]) -> list[tuple[nn.Module, str]]:
    """Return every module with the name of a weight of it that is computed from others, as by spectral norm."""
    return [
        (module, name)
        for top in modules
        for module in top.modules()
        if parametrize.is_parametrized(module)
        for name in cast(nn.ModuleDict, module.parametrizations)
    ]
