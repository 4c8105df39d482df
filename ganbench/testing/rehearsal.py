"""Small networks on which a loss, a regularizer or an augmentation plays one phase, as the engine would let it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.nn.utils import parametrize

from ganbench.components import OF_CRITIQUES, OF_SAMPLES, companions, incompatibility, offered, trait
from ganbench.errors import CannotBeCut
from ganbench.testing.waiting import Dataless, dataless
from ganbench.training.game import Draws, Game, Players, differentiates_weights, due_regularizers, evaluate_phase
from ganbench.training.parts import in_parts
from ganbench.training.phase import Task
from ganbench.values import Cell, Companion, Critique, DataSpec, ImageSpec, Latent, Networks, Player, Sample

BATCH = 8
States = tuple[tuple[Any, dict[str, Tensor]], ...]
PLAYERS: tuple[Player, ...] = ("discriminator", "generator")


@dataclass(frozen=True)
class Scene:
    """What the caller of `check_component` gave beside the component."""

    data: DataSpec | None = None
    architecture: Any = None
    root: Path | None = None


@dataclass(frozen=True)
class Understudy:
    """The loss that plays where another component is looked at: non-saturating."""

    name: ClassVar[str] = "understudy"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def discriminator(self, game: Any) -> Tensor:
        """Return the loss of D."""
        value: Tensor = softplus(-game.real_logits).mean() + softplus(game.fake_logits).mean()
        return value

    def generator(self, game: Any) -> Tensor:
        """Return the loss of G."""
        value: Tensor = softplus(-game.fake_logits).mean()
        return value


class _Generator(nn.Module):
    def __init__(self, latent: int, data: DataSpec) -> None:
        super().__init__()
        self.shape = data.shape
        self.style, self.image = nn.Linear(latent, 8), nn.Linear(8, math.prod(data.shape))
        self.label = nn.Embedding(data.classes, 8) if data.classes else None

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Sample:
        style = torch.tanh(self.style(z))
        shifted = style if labels is None or self.label is None else style + self.label(labels)
        return Sample(self.image(shifted).tanh().view(len(z), *self.shape), style)


class _Discriminator(nn.Module):
    def __init__(self, data: DataSpec, code: int) -> None:
        super().__init__()
        size = math.prod(data.shape)
        self.body, self.logit = nn.Linear(size, 8), nn.Linear(8, 1)
        self.classes, self.code, self.back = nn.Linear(8, data.classes or 1), nn.Linear(8, code), nn.Linear(8, size)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Critique:  # noqa: ARG002
        h = torch.tanh(self.body(x.flatten(1)))
        return Critique(self.logit(h)[:, 0], (h,), self.classes(h), (self.code(h),), h, self.back(h).view(x.shape))


@dataclass(frozen=True)
class Stage:
    """Two layers a side, with every output that a component may ask for, and an encoder owned by the generator."""

    name: ClassVar[str] = "stage"
    paper: ClassVar[str] = "none"
    offers: ClassVar[frozenset[str]] = OF_SAMPLES | OF_CRITIQUES

    def latent(self, data: DataSpec) -> Latent:  # noqa: ARG002
        """Return four normal components and a code of three classes."""
        return Latent(4, categorical=(3,))

    def generator(self, data: DataSpec) -> nn.Module:
        """Return a network that gives a `Sample` with its style."""
        return _Generator(self.latent(data).size, data)

    def discriminator(self, data: DataSpec) -> nn.Module:
        """Return a network that fills every field of `Critique`."""
        return _Discriminator(data, 3)

    def companions(self, data: DataSpec) -> Mapping[str, Companion]:
        """Return an encoder from samples to latents."""
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(data.shape), self.latent(data).size))
        return {"encoder": Companion(encoder, "generator")}

    @classmethod
    def smallest(cls) -> tuple[Stage, DataSpec]:
        """Return the only instance, on 4x4 images of three classes."""
        return cls(), ImageSpec((1, 4, 4), classes=3)


@dataclass(frozen=True)
class Cast:
    """The components of one rehearsal."""

    architecture: Any
    data: DataSpec
    loss: Any = Understudy()
    regularizers: tuple[Any, ...] = ()
    constraints: tuple[Any, ...] = ()
    augmentations: tuple[Any, ...] = ()
    pac: int = 1

    def refusal(self) -> str | None:
        """Return the first reason that a component of the cast gives against it, or None."""
        architecture, data = self.architecture, self.data
        return incompatibility(
            Cell(
                data=data,
                generator=architecture,
                discriminator=architecture if hasattr(self.loss, "discriminator") else None,
                latent=architecture.latent(data),
                batch_coupling=trait(architecture, "batch_coupling"),
                companions=tuple(companions(architecture, data)),
                loss=self.loss,
                regularizers=self.regularizers,
                constraints=self.constraints,
                augmentations=self.augmentations,
                pac=self.pac,
                schedule=("D", "G"),
                batch_size=BATCH,
                offers=offered(architecture, architecture if hasattr(self.loss, "discriminator") else None),
            )
        )

    def networks(self, seed: int = 0) -> Networks:
        """Build the networks from the global random stream, seeded with ``seed``, in training mode."""
        torch.default_generator.manual_seed(seed)
        architecture, data = self.architecture, self.data
        discriminator = None
        if hasattr(self.loss, "discriminator"):
            discriminator = architecture.discriminator(data.packed(self.pac))
        return Networks(
            architecture.generator(data).train(),
            discriminator.train() if discriminator is not None else None,
            architecture.latent(data),
            companions(architecture, data),
            trait(architecture, "batch_coupling"),
        )


@dataclass(frozen=True)
class Batch:
    """What a phase draws: real samples, labels, latents, labels."""

    real: Tensor
    labels: Tensor | None
    z: Tensor
    fake_labels: Tensor | None


def draw_batch(data: DataSpec, latent: Latent, n: int = BATCH, seed: int = 1) -> Batch:
    """Draw samples in network range, latents and labels."""
    rng = torch.Generator().manual_seed(seed)
    real = torch.rand(n, *data.shape, generator=rng) * 2 - 1
    labels, fake_labels = (torch.randint(data.classes, (n,), generator=rng) if data.classes else None for _ in range(2))
    return Batch(real, labels, latent.draw(n, rng), fake_labels)


@dataclass(frozen=True)
class Outcome:
    """One phase played: the game, the value, the mover's gradients by name, the states and what becomes of them."""

    game: Game
    value: Tensor
    gradients: Mapping[str, Tensor | None]
    states: States
    renewed: tuple[Mapping[str, Tensor], ...]


def play(cast: Cast, player: Player, step: int = 0) -> Outcome:
    """Play one phase up to its gradients, with the engine's game."""
    networks = cast.networks()
    return _play(cast, networks, _states(cast), draw_batch(cast.data, networks.latent), (player, step))


def play_in_parts(cast: Cast, player: Player, parts: int) -> Mapping[str, Tensor | None] | None:
    """Return the mover's gradients by name of one phase whose batch is cut into ``parts``; None where it cannot be."""
    networks = cast.networks()
    batch = draw_batch(cast.data, networks.latent)
    game = _game(cast, networks, _states(cast), batch, (player, 0))
    params = dict(_named_parameters(networks, player))
    other: Player = "generator" if player == "discriminator" else "discriminator"
    for frozen in dict(_named_parameters(networks, other)).values():
        frozen.requires_grad_(False)
    clock = game.step, game.progress
    task = Task(player, game.players, game.due, _draws(batch), clock, nullcontext, list(params.values()))
    try:
        with parametrize.cached():
            in_parts(task, parts)
    except CannotBeCut:
        return None
    return {name: p.grad for name, p in params.items()}


def opened(cast: Cast, player: Player) -> Game:
    """Return the game of a phase in which nothing was evaluated yet."""
    networks = cast.networks()
    return _game(cast, networks, _states(cast), draw_batch(cast.data, networks.latent), (player, 0))


def play_dataless(cast: Cast, player: Player, label: str) -> None:
    """Play one phase on tensors without data. Raises ComponentFault where that cannot be done."""
    world, networks = Dataless(), cast.networks()
    batch = draw_batch(cast.data, networks.latent)
    copies = Networks(
        world.module(networks.generator),
        None if networks.discriminator is None else world.module(networks.discriminator),
        networks.latent,
        {key: Companion(world.module(one.module), one.player) for key, one in networks.companions.items()},
        networks.batch_coupling,
    )
    states = tuple((owner, dataless(tensors, world)) for owner, tensors in _states(cast))
    empty = Batch(*dataless((batch.real, batch.labels, batch.z, batch.fake_labels), world))
    world.run(label, lambda: _play(cast, copies, states, empty, (player, 0)))


def _states(cast: Cast) -> States:
    roles = (cast.loss, *cast.regularizers, *cast.augmentations)
    return tuple((one, dict(one.state())) for one in roles if hasattr(one, "state"))


def _play(
    cast: Cast,
    networks: Networks,
    states: States,
    batch: Batch,
    moment: tuple[Player, int],
) -> Outcome:
    player = moment[0]
    params = dict(_named_parameters(networks, player))
    other: Player = "generator" if player == "discriminator" else "discriminator"
    both = differentiates_weights(due_regularizers(cast.regularizers, player, 0))
    for frozen in dict(_named_parameters(networks, other)).values():
        frozen.requires_grad_(both)
    game = _game(cast, networks, states, batch, moment)
    with parametrize.cached():
        value = evaluate_phase(game)
        if isinstance(value, Tensor) and value.shape == () and value.requires_grad:
            value.backward(inputs=list(params.values()) if both else None)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        renewed = tuple(owner.update(game, tensors) for owner, tensors in states if hasattr(owner, "update"))
    return Outcome(game, value, {name: p.grad for name, p in params.items()}, states, renewed)


def _game(
    cast: Cast,
    networks: Networks,
    states: States,
    batch: Batch,
    moment: tuple[Player, int],
) -> Game:
    player, step = moment
    weights = {name: tuple(dict(_named_parameters(networks, name)).values()) for name in PLAYERS}
    players = Players(networks, cast.pac, cast.loss, cast.regularizers, cast.augmentations, states, weights)
    clock = torch.full((), float(step)), torch.full((), 0.5)
    torch.default_generator.manual_seed(2)
    return Game(player, players, _draws(batch), due_regularizers(cast.regularizers, player, 0), clock)


def _draws(batch: Batch) -> Draws:
    return Draws(lambda: (batch.real, batch.labels), lambda: (batch.z, batch.fake_labels))


def _named_parameters(networks: Networks, player: Player) -> list[tuple[str, nn.Parameter]]:
    own = networks.discriminator if player == "discriminator" else networks.generator
    modules = {player: own, **{key: one.module for key, one in networks.companions.items() if one.player == player}}
    return [(f"{key}.{name}", p) for key, module in modules.items() if module for name, p in module.named_parameters()]
