"""The engine: evaluates the phases of a move, steps the players, and keeps everything that a run's state consists of.

It owns backward, step, precision and devices. It waits for the device nowhere: divergence is noted in a tensor on the
device (`Engine.first_bad`) that the loop reads every so many rounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganbench.components import trait
from ganbench.seeds import derive, mix
from ganbench.training.ema import Ema
from ganbench.training.game import Draws, Game, Players, differentiates_weights, due_regularizers, evaluate_phase
from ganbench.training.setup import Setup, build_networks
from ganbench.training.stream import ImageStream, LatentStream
from ganbench.training.value import PROBE_SIZE, Probe
from ganbench.values import Images, Networks, Player

MOVES: dict[str, tuple[Player, ...]] = {
    "D": ("discriminator",),
    "G": ("generator",),
    "DG": ("discriminator", "generator"),
}


@dataclass
class Counters:
    """How far a run has come; every stream is addressed by these."""

    rounds: int = 0
    images_seen: int = 0
    discriminator: int = 0
    generator: int = 0
    gradient_evaluations: int = 0

    def as_json(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


class Meter:
    """Running means, kept on the device until they are read."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add one 0-dim value to the mean of ``name``."""
        value = value.detach().double() if value.device.type != "mps" else value.detach()
        self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()
        self.counts[name] = self.counts.get(name, 0) + 1

    def read(self) -> dict[str, float | None]:
        """Return the means since the last reading, null where not finite, and start again."""
        means = {name: float(total) / self.counts[name] for name, total in sorted(self.sums.items())}
        self.sums, self.counts = {}, {}
        return {name: mean if math.isfinite(mean) else None for name, mean in means.items()}


@dataclass
class Side:
    """One player: its networks, those of their parameters that are to be trained, its optimizer, its streams."""

    params: list[nn.Parameter]
    modules: list[nn.Module]
    optimizer: torch.optim.Optimizer
    evaluations: int
    lr: float
    decay: str
    latents: LatentStream
    images: ImageStream
    phase_seed: int
    updates: Tensor


class Engine:
    """One run in flight: networks, optimizers, states, counters."""

    def __init__(self, setup: Setup, device: torch.device) -> None:
        self.setup, self.device, self.counters, self.meter = setup, device, Counters(), Meter()
        networks = build_networks(setup)
        for module in _modules(networks):
            module.to(device).train()
        states = tuple(
            (component, {key: tensor.to(device) for key, tensor in component.state().items()})
            for component in setup.roles
            if hasattr(component, "state")
        )
        self.players = Players(
            networks,
            setup.parts.recipe.pac,
            setup.parts.loss,
            setup.parts.regularizers,
            setup.parts.augmentations,
            states,
        )
        self._train = _on_device(setup.train, device)
        self.sides = {player: self._side(player) for player in self._moving()}
        weights = {player: tuple(side.params) for player, side in self.sides.items()}
        self.players = replace(self.players, weights=weights)
        trained = {p for side in self.sides.values() for p in side.params}
        _require_gradient((p for m in _modules(networks) for p in m.parameters() if p not in trained), False)
        self.constraints = [(c, self._constraint_state(c)) for c in setup.parts.constraints]
        self.ema = Ema(networks.generator, setup.parts.recipe.ema_halflife_images, setup.parts.recipe.ema_rampup)
        self.progress = torch.zeros((), device=device)
        self.first_bad = torch.full((), -1, dtype=torch.int64, device=device)

    # Building

    def _moving(self) -> list[Player]:
        """The players that have something to minimise, D first."""
        both: tuple[Player, ...] = ("discriminator", "generator")
        scheduled = {player for move in self.setup.parts.recipe.schedule for player in MOVES[move]}
        return [p for p in both if hasattr(self.setup.parts.loss, p) and p in scheduled]

    def _side(self, player: Player) -> Side:
        setup, recipe, networks = self.setup, self.setup.parts.recipe, self.players.networks
        own = networks.discriminator if player == "discriminator" else networks.generator
        companions = [c.module for c in networks.companions.values() if c.player == player]
        modules = [module for module in (own, *companions) if module is not None]
        params = [p for module in modules for p in module.parameters() if p.requires_grad]
        optimizer = setup.parts.d_optimizer if player == "discriminator" else setup.parts.g_optimizer
        latent_key = asdict(networks.latent)
        return Side(
            params=params,
            modules=modules,
            optimizer=optimizer.build(params),
            evaluations=trait(optimizer, "evaluations"),
            lr=optimizer.lr,
            decay=recipe.d_lr_decay if player == "discriminator" else recipe.g_lr_decay,
            latents=LatentStream(
                networks.latent,
                setup.train.labels,
                derive(setup.seed, f"latents/{player}", latent_key, setup.keys["dataset"]),
                self.device,
            ),
            images=ImageStream(
                self._train,
                setup.data,
                recipe.batch_size,
                derive(setup.seed, f"data order/{player}", setup.keys["dataset"]),
            ),
            phase_seed=derive(setup.seed, f"phase/{player}"),
            updates=torch.zeros((), device=self.device),
        )

    def _constraint_state(self, constraint: Any) -> dict[str, Tensor]:
        state = getattr(constraint, "state", None)
        return dict(state(self._constrained(constraint))) if state else {}

    def _constrained(self, constraint: Any) -> list[nn.Parameter]:
        if constraint.after == "round":
            return [p for side in self.sides.values() for p in side.params]
        return self.sides[constraint.after].params if constraint.after in self.sides else []

    def probe(self) -> Probe:
        """Return the probe: the same images for every loss, the same latents for every architecture."""
        seed = derive(self.setup.seed, "probe", self.setup.keys["dataset"])
        held_out = self.setup.held_out
        real, labels = self._some(held_out, seed)
        train, train_labels = self._some(self.setup.train, derive(seed, "train"))
        latents = LatentStream(self.players.latent, held_out.labels, derive(seed, "latents"), self.device)
        z, fake_labels = latents.batch(0, len(real))
        return Probe(real, labels, z, fake_labels, train, train_labels)

    def _some(self, images: Images, seed: int) -> tuple[Tensor, Tensor | None]:
        """Return whole packs out of ``images``, at most `PROBE_SIZE` of them, in network range, and their labels."""
        pac = self.setup.parts.recipe.pac
        n = min(PROBE_SIZE, len(images)) // pac * pac
        index = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:n]
        labels = None if images.labels is None else images.labels[index].to(self.device)
        return self.setup.data.decode(images.pixels[index]).to(self.device), labels

    # Playing

    def play_round(self, progress: float) -> None:
        """Make all moves of the schedule once; ``progress`` is the share of the budget spent, in [0, 1]."""
        self.progress.fill_(progress)
        seen = self.counters.images_seen
        for side in self.sides.values():
            for group in side.optimizer.param_groups:
                group["lr"] = side.lr * decay_factor(side.decay, progress)
        for move in self.setup.parts.recipe.schedule:
            movers = [player for player in MOVES[move] if player in self.sides]
            if movers:
                self._move(movers)
        self._constrain("round", self.counters.rounds + 1)
        self._note_bad(side.params for side in self.sides.values())
        self.counters.rounds += 1
        self.ema.update(self.counters.images_seen - seen, self.counters.images_seen)

    def _move(self, movers: Sequence[Player]) -> None:
        """Evaluate every mover at the same point, then step them all; twice where an optimizer extrapolates first."""
        evaluations = max(self.sides[player].evaluations for player in movers)
        for evaluation in range(evaluations):
            last = evaluation == evaluations - 1
            active = [p for p in movers if last or self.sides[p].evaluations > 1]
            games = [self._gradient(player) for player in active]
            for player, game in zip(active, games, strict=True):
                side = self.sides[player]
                if not last:
                    cast(Any, side.optimizer).extrapolate()
                    continue
                self._update_states(game)
                side.optimizer.step()
        for player in movers:
            self._count(player)
            self._constrain(player, getattr(self.counters, player))

    def _gradient(self, player: Player) -> Game:
        """Leave the gradient of the player's phase in its parameters; the other player's weights are frozen.

        Unless a due regularizer differentiates by both players' weights: then they only get no gradient of their own.
        """
        side, counters = self.sides[player], self.counters
        k = getattr(counters, player)
        due = due_regularizers(self.setup.parts.regularizers, player, k)
        both = differentiates_weights(due)
        for owner, other in self.sides.items():
            _require_gradient(other.params, both or owner == player)
        self.seed(mix(side.phase_seed, k))
        n = self.setup.parts.recipe.batch_size
        draws = Draws(lambda: side.images.batch(k), lambda: side.latents.batch(k, n))
        game = Game(player, self.players, draws, due, (side.updates, self.progress))
        side.optimizer.zero_grad(set_to_none=True)
        with parametrize.cached():  # one power iteration of spectral norm a phase, on every path
            for touched in self.sides.values() if both else (side,):
                _touch_parametrizations(touched.modules)
            value = evaluate_phase(game)
            value.backward(inputs=side.params if both else None)  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.get_total_norm([p.grad for p in side.params if p.grad is not None])
        self._note_bad([value.detach(), norm])
        prefix = player[0]
        self.meter.add(f"{prefix}_loss", value)
        self.meter.add(f"{prefix}_gradient_norm", norm)
        for name, logged in game.logs.items():
            self.meter.add(f"{prefix}/{name}", logged)
        counters.gradient_evaluations += 1
        return game

    @torch.no_grad()
    def _update_states(self, game: Game) -> None:
        """Let stateful components that took part in the phase renew their tensors."""
        taking_part = (self.setup.parts.loss, *game.due, *self.setup.parts.augmentations)
        for component, tensors in self.players.states:
            if hasattr(component, "update") and any(component is one for one in taking_part):
                for key, value in component.update(game, tensors).items():
                    tensors[key].copy_(value)

    def _count(self, player: Player) -> None:
        setattr(self.counters, player, getattr(self.counters, player) + 1)
        self.sides[player].updates.add_(1)
        if player == "discriminator" or "discriminator" not in self.sides:
            self.counters.images_seen += self.setup.parts.recipe.batch_size

    @torch.no_grad()
    def _constrain(self, after: str, count: int) -> None:
        for constraint, state in self.constraints:
            if constraint.after == after and count % trait(constraint, "every") == 0:
                constraint(self._constrained(constraint), state)

    def seed(self, seed: int) -> None:
        """Set torch's global streams, from which networks and components draw: done anew before every phase."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(seed)

    @torch.no_grad()
    def _note_bad(self, tensors: Iterable[Tensor | Sequence[Tensor]]) -> None:
        """Note the current round in `first_bad` if any of these is not finite and nothing was noted before."""
        norms = [t if isinstance(t, Tensor) else torch.nn.utils.get_total_norm(t) for t in tensors]
        finite = torch.stack([norm.float() for norm in norms]).isfinite().all()
        self.first_bad.copy_(torch.where(finite | (self.first_bad >= 0), self.first_bad, self.counters.rounds))


def decay_factor(decay: str, progress: float) -> float:
    """Return the factor on the learning rate after the share ``progress`` of the budget."""
    if decay == "linear":
        return 1 - progress
    if decay == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0


def _modules(networks: Networks) -> list[nn.Module]:
    """Return all networks that there are."""
    companions = (companion.module for companion in networks.companions.values())
    return [m for m in (networks.generator, networks.discriminator, *companions) if m is not None]


def _on_device(images: Images, device: torch.device) -> Images:
    return Images(images.pixels.to(device), None if images.labels is None else images.labels.to(device))


def _require_gradient(params: Iterable[nn.Parameter], required: bool) -> None:
    for p in params:
        p.requires_grad_(required)


def _touch_parametrizations(modules: Iterable[nn.Module]) -> None:
    """Compute each parametrized weight once with gradient, so that no first use under no_grad caches it without."""
    for top in modules:
        for module in top.modules():
            if parametrize.is_parametrized(module):
                for name in cast(nn.ModuleDict, module.parametrizations):
                    getattr(module, name)
