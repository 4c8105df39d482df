"""The engine: evaluates the phases of a move, steps the players, and keeps everything that a run's state consists of.

It owns backward, step, precision and devices. It waits for the device nowhere: divergence is noted in a tensor on the
device (`Engine.first_bad`) that the loop reads every so many rounds. A move falls into pieces of work that touch only
tensors of the device; what the host counts stays outside of them, so that a piece can be recorded and played again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganbench.components import trait
from ganbench.seeds import derive, mix
from ganbench.training.ema import Ema
from ganbench.training.game import Draws, Players, differentiates_weights, due_regularizers
from ganbench.training.kernels import Kernels
from ganbench.training.meter import Counters, Meter
from ganbench.training.phase import Evaluation, States, Task
from ganbench.training.precision import products, region
from ganbench.training.runner import Eager, Runner
from ganbench.training.setup import Setup, build_networks
from ganbench.training.side import all_modules, build_side, drops_out, require_gradient
from ganbench.training.stream import LatentStream, place, select
from ganbench.training.value import PROBE_SIZE, Probe
from ganbench.training.ways import adopt
from ganbench.values import Images, Player, Stream

MOVES: dict[str, tuple[Player, ...]] = {
    "D": ("discriminator",),
    "G": ("generator",),
    "DG": ("discriminator", "generator"),
}


class Engine:
    """One run in flight: networks, optimizers, states, counters.

    ``differentiate`` evaluates a phase and leaves its gradient in the parameters; ``runner`` carries out the work;
    ``without`` says which of the chosen kernels there cannot be, and why.
    """

    def __init__(self, setup: Setup, device: torch.device, kernels: Kernels | None = None) -> None:
        self.setup, self.device, self.kernels = setup, device, kernels or Kernels()
        self.counters, self.meter = Counters(), Meter()
        self.differentiate: Callable[[Task], Evaluation]
        self.runner: Runner
        self.without: dict[str, str] = {}
        networks = build_networks(setup)
        layout = torch.channels_last if self.kernels.channels_last else torch.preserve_format
        for module in all_modules(networks):
            module.to(device).to(memory_format=layout).train()
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
            joint=self.kernels.joint and not drops_out(networks.discriminator),
        )
        train = place(setup.train, device)
        self.sides = {player: build_side(setup, networks, player, train, device) for player in self._moving()}
        weights = {player: tuple(side.params) for player, side in self.sides.items()}
        self.players = replace(self.players, weights=weights)
        trained = {p for side in self.sides.values() for p in side.params}
        require_gradient((p for m in all_modules(networks) for p in m.parameters() if p not in trained), False)
        self.constraints = [(c, self._constraint_state(c)) for c in setup.parts.constraints]
        self.ema = Ema(networks.generator, setup.parts.recipe.ema_halflife_images, setup.parts.recipe.ema_rampup)
        self.progress = torch.zeros((), device=device)
        self.round = torch.zeros((), dtype=torch.int64, device=device)
        self.first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        self._region = partial(region, setup.parts.recipe.precision, device)
        adopt(self, self.kernels)

    @property
    def fallbacks(self) -> dict[str, str]:
        """Which chosen kernels could not be used, by what fell back, and why."""
        told = [getattr(part, "fallbacks", {}) for part in (self.differentiate, self.runner)]
        return {what: why for found in (self.without, *told) for what, why in found.items()}

    @property
    def taken(self) -> Kernels:
        """The kernels without those that could not be used at all."""
        usual = Kernels().as_json()
        return replace(self.kernels, **{name: usual[name] for name in usual.keys() & self.fallbacks.keys()})

    def used(self) -> dict[str, Any]:
        """Return the kernels that were used and what fell back, as JSON, for the run's environment."""
        told = self.fallbacks
        if self.setup.parts.recipe.precision == "tf32" and self.device.type != "cuda":
            told["tf32"] = f"TF32 products exist on CUDA alone, not on {self.device.type}"
        return self.taken.as_json() | ({"fallbacks": told} if told else {})

    # Building

    def _moving(self) -> list[Player]:
        """The players that have something to minimise, D first."""
        both: tuple[Player, ...] = ("discriminator", "generator")
        scheduled = {player for move in self.setup.parts.recipe.schedule for player in MOVES[move]}
        return [p for p in both if hasattr(self.setup.parts.loss, p) and p in scheduled]

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

    def _some(self, images: Images | Stream, seed: int) -> tuple[Tensor, Tensor | None]:
        """Return whole packs out of ``images``, at most `PROBE_SIZE` of them, in network range, and their labels."""
        pac = self.setup.parts.recipe.pac
        n = min(PROBE_SIZE, len(images)) // pac * pac
        index = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:n]
        chosen = select(images, index)
        labels = None if chosen.labels is None else chosen.labels.to(self.device)
        return self.setup.data.decode(chosen.pixels).to(self.device), labels

    # Playing

    def play_round(self, progress: float) -> None:
        """Make all moves of the schedule once; ``progress`` is the share of the budget spent, in [0, 1]."""
        self.progress.fill_(progress)
        seen = self.counters.images_seen
        for side in self.sides.values():
            side.set_rate(progress)
        for move in self.setup.parts.recipe.schedule:
            self.play_move(move)
        due = self._due_constraints("round", self.counters.rounds + 1)
        weight = self.ema.weight(self.counters.images_seen - seen, self.counters.images_seen)
        self._run(("round", due), partial(self._end_round, due, self.runner.number("ema", weight)))
        self.counters.rounds += 1

    def play_move(self, move: str) -> None:
        """Evaluate every mover of ``move`` at the same point, then step all; twice where one extrapolates first."""
        movers = [player for player in MOVES[move] if player in self.sides]
        evaluations = max((self.sides[player].evaluations for player in movers), default=0)
        for evaluation in range(evaluations):
            last = evaluation == evaluations - 1
            active = [p for p in movers if last or self.sides[p].evaluations > 1]
            constraints = {p: self._due_constraints(p, getattr(self.counters, p) + 1) for p in movers}
            for player in active:
                side, k = self.sides[player], getattr(self.counters, player)
                due = due_regularizers(self.setup.parts.regularizers, player, k)
                draws = self.runner.draws(side, k, self.setup.parts.recipe.batch_size)
                steps = active if player == active[-1] else []
                work = partial(self._work, player, due, draws, last, steps, constraints)
                names = (move, evaluation, player, tuple(map(id, due)), tuple(constraints.items()))
                self.seed(mix(side.phase_seed, k))
                self._run(names, work)
                self.counters.gradient_evaluations += 1
        for player in movers:
            self._count(player)

    def _run(self, key: tuple[Any, ...], work: Callable[[], None]) -> None:
        with products(self.setup.parts.recipe.precision):
            self.runner.run(key, work)

    def _work(
        self,
        player: Player,
        due: tuple[Any, ...],
        draws: Draws,
        last: bool,
        steps: Sequence[Player],
        constraints: dict[Player, tuple[int, ...]],
    ) -> None:
        """Leave the gradient of a phase in the player's parameters, then step (or extrapolate) ``steps``."""
        self._gradient(player, due, draws, last)
        for stepping in steps:
            side = self.sides[stepping]
            if last:
                side.optimizer.step()
            else:
                cast(Any, side.optimizer).extrapolate()
        for stepping in steps if last else ():
            self.sides[stepping].updates.add_(1)
            self._constrain(constraints[stepping])

    def gradient(self, player: Player) -> None:
        """Leave the gradient of the player's next phase in its parameters, and step nothing."""
        side, k = self.sides[player], getattr(self.counters, player)
        draws = Eager(self.kernels.channels_last).draws(side, k, self.setup.parts.recipe.batch_size)
        self.seed(mix(side.phase_seed, k))
        self._gradient(player, due_regularizers(self.setup.parts.regularizers, player, k), draws, last=False)

    def _gradient(self, player: Player, due: tuple[Any, ...], draws: Draws, last: bool) -> None:
        """Leave the gradient of a phase in the player's parameters; the other player's weights are frozen.

        Unless a due regularizer differentiates by both players' weights: then they only get no gradient of their own.
        """
        side, both = self.sides[player], differentiates_weights(due)
        for owner, other in self.sides.items():
            require_gradient(other.params, both or owner == player)
        side.optimizer.zero_grad(set_to_none=True)
        clock = side.updates, self.progress
        with parametrize.cached():  # one power iteration of spectral norm a phase, on every path
            for touched in self.sides.values() if both else (side,):
                for module, name in touched.parametrized:
                    getattr(module, name)  # with gradient: a first use under no_grad would be kept without
            found = self.differentiate(Task(player, self.players, due, draws, clock, self._region, side.params, both))
        if last:
            self._renew(found.states)
        norm = torch.nn.utils.get_total_norm([p.grad for p in side.params if p.grad is not None])
        self._note_bad(found.value.detach() + norm)
        prefix = player[0]
        values = {f"{prefix}_loss": found.value, f"{prefix}_gradient_norm": norm}
        self.meter.add(values | {f"{prefix}/{name}": value for name, value in found.logs.items()})

    @torch.no_grad()
    def _renew(self, states: States) -> None:
        for number, tensors in states:
            for key, value in tensors.items():
                self.players.states[number][1][key].copy_(value)

    def _count(self, player: Player) -> None:
        setattr(self.counters, player, getattr(self.counters, player) + 1)
        if player == "discriminator" or "discriminator" not in self.sides:
            self.counters.images_seen += self.setup.parts.recipe.batch_size

    def _due_constraints(self, after: str, count: int) -> tuple[int, ...]:
        """Return the numbers of the constraints that act after what has now happened ``count`` times."""
        return tuple(
            number
            for number, (constraint, _) in enumerate(self.constraints)
            if constraint.after == after and count % trait(constraint, "every") == 0
        )

    @torch.no_grad()
    def _constrain(self, numbers: Iterable[int]) -> None:
        for constraint, state in (self.constraints[number] for number in numbers):
            constraint(self._constrained(constraint), state)

    def _end_round(self, constraints: tuple[int, ...], weight: float | Tensor) -> None:
        self._constrain(constraints)
        self._note_bad(torch.nn.utils.get_total_norm([p for side in self.sides.values() for p in side.params]))
        self.round.add_(1)
        self.ema.move(weight)

    def seed(self, seed: int) -> None:
        """Set torch's global streams, from which networks and components draw: done anew before every phase."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)
        elif self.device.type == "mps":
            torch.mps.manual_seed(seed)

    @torch.no_grad()
    def _note_bad(self, value: Tensor) -> None:
        """Note the current round in `first_bad` if ``value`` is not finite and nothing was noted before."""
        keep = value.detach().isfinite() | (self.first_bad >= 0)
        self.first_bad.copy_(torch.where(keep, self.first_bad, self.round))
