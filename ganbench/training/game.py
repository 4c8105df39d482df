"""The game: what losses, regularizers and augmentations see of one phase, evaluated when first read.

`ganbench.components.Game` documents every attribute for plugin authors; this is the engine's implementation of it. One
object lives for one evaluation of one player's phase. It reads networks and draws; it never steps, seeds or moves data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ganbench.components import trait
from ganbench.values import Critique, Latent, Networks, Player, Sample

T = TypeVar("T")


@dataclass(frozen=True)
class Draws:
    """Where a phase gets its data: each callable draws once, from the stream of this phase.

    ``real`` gives images (N, *shape) in network range with labels, ``latents`` z with labels.
    """

    real: Callable[[], tuple[Tensor, Tensor | None]]
    latents: Callable[[], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Players:
    """What stays the same over a run: networks, packing, components with their states (filed by role)."""

    networks: Networks
    pac: int
    loss: Any
    regularizers: tuple[Any, ...]
    augmentations: tuple[Any, ...]
    states: tuple[tuple[Any, dict[str, Tensor]], ...] = ()
    weights: Mapping[Player, tuple[nn.Parameter, ...]] = field(default_factory=dict)
    """The trained parameters of each player."""
    joint: bool = True
    """Whether one discriminator pass may cover real and fake, where nothing forbids it."""

    @property
    def latent(self) -> Latent:
        """The latent of the generator."""
        return self.networks.latent


class Game:
    """One phase of one player; see `ganbench.components.Game`."""

    def __init__(
        self,
        phase: Player,
        players: Players,
        draws: Draws,
        due: Sequence[Any],
        clock: tuple[Tensor, Tensor],
        attached: bool = False,
    ) -> None:
        self._attached = attached  # fakes keep the generator's graph in either phase
        self._graph = attached or phase == "generator"
        self.phase: Player = phase
        self.step, self.progress = clock
        self.logs: dict[str, Tensor] = {}
        self.players, self.due, self._draws = players, tuple(due), draws
        self._differentiated = {name for component in due for name in trait(component, "differentiates")}
        self._joint = (
            players.joint
            and phase == "discriminator"
            and players.networks.batch_coupling == "none"
            and not self._differentiated & {"real", "fake"}
        )
        self._kept: dict[tuple[int, str], Any] = {}
        self._memo: dict[str, Any] = {}  # not functools.cached_property: that does not trace on Python 3.11

    def _once(self, key: str, make: Callable[[], T]) -> T:
        if key not in self._memo:
            self._memo[key] = make()
        value: T = self._memo[key]
        return value

    def knowing(self, attributes: Mapping[str, Any]) -> Game:
        """Let ``attributes``, by name, be what they were found to be elsewhere: they are not evaluated; return self."""
        self._memo |= attributes
        return self

    # Real and generated samples

    @property
    def clean_real(self) -> Tensor:  # noqa: D102  documented in the protocol
        return self._once("real drawn", self._draws.real)[0]

    @property
    def real_labels(self) -> Tensor | None:  # noqa: D102
        return self._once("real drawn", self._draws.real)[1]

    @property
    def real(self) -> Tensor:  # noqa: D102
        return self._once("real", lambda: self._leaf("real", self._augmented("real", self.clean_real)))

    @property
    def latents(self) -> Tensor:  # noqa: D102
        return self._once("latents", self._move_latents)

    @property
    def fake_labels(self) -> Tensor | None:  # noqa: D102
        return self._once("latents drawn", self._draws.latents)[1]

    @property
    def sample(self) -> Sample:  # noqa: D102
        return self._once("sample", self._generate_phase)

    @property
    def clean_fake(self) -> Tensor:  # noqa: D102
        return self.sample.images

    @property
    def fake(self) -> Tensor:  # noqa: D102
        return self._once("fake", self._augmented_fake)

    def _move_latents(self) -> Tensor:
        z = self._once("latents drawn", self._draws.latents)[0]
        if "latents" in self._differentiated:
            z = z.detach().requires_grad_(True)
        for component in self.due:
            if hasattr(component, "latents"):
                z = component.latents(self, z)
        return z

    def _generate_phase(self) -> Sample:
        latents, labels = self.latents, self.fake_labels  # a component may need gradients to move them
        with torch.set_grad_enabled(self._graph):
            return self.generate(latents, labels)

    def _augmented_fake(self) -> Tensor:
        fake = self._augmented("fake", self.clean_fake)
        return self._leaf("fake", fake) if self.phase == "discriminator" and not self._attached else fake

    def _augmented(self, side: str, x: Tensor) -> Tensor:  # noqa: ARG002  a part of a batch notes when it draws for which
        return self.augment(x)

    def _leaf(self, side: str, x: Tensor) -> Tensor:
        return x.detach().requires_grad_(side in self._differentiated)

    # What the discriminator says of them

    @property
    def real_critique(self) -> Critique:  # noqa: D102
        return self._once("real_critique", lambda: self._select("real", self.judged("real")))

    @property
    def fake_critique(self) -> Critique:  # noqa: D102
        return self._once("fake_critique", lambda: self._select("fake", self.judged("fake")))

    @property
    def real_logits(self) -> Tensor:  # noqa: D102
        return self.real_critique.logits

    @property
    def fake_logits(self) -> Tensor:  # noqa: D102
        return self.fake_critique.logits

    def judged(self, side: str) -> Critique:
        """Return the critique of "real" or "fake" before any component selects from it."""
        return self._once(f"{side} judged", lambda: self._judge(side))

    def _judge(self, side: str) -> Critique:
        if self._joint:
            return self._once("both", self._judge_both)[side]
        if side == "real":
            return self.critic(self.real, self.real_labels)
        return self.critic(self.fake, self.fake_labels)

    def _judge_both(self) -> Mapping[str, Critique]:
        labels = None
        if self.real_labels is not None and self.fake_labels is not None:
            labels = torch.cat([self.real_labels, self.fake_labels])
        both = self.critic(torch.cat([self.real, self.fake]), labels)
        units = both.logits.shape[0] // 2
        return {"real": _rows(both, slice(None, units)), "fake": _rows(both, slice(units, None))}

    def _select(self, side: str, critique: Critique) -> Critique:
        for component in self.due:
            if hasattr(component, "select"):
                critique = component.select(self, critique, side)
        return critique

    # What components call

    def critic(self, x: Tensor, labels: Tensor | None = None) -> Critique:
        """Judge ``x`` (N, *shape) as given, packing it if the run packs.

        Raises:
            ValueError: there is no discriminator, or its logits are not one number a decision.
        """
        discriminator = self.players.networks.discriminator
        if discriminator is None:
            raise ValueError("this combination has no discriminator to ask")
        m = self.players.pac
        units = x.shape[0] // m
        if m > 1:
            x = x.reshape(units, m * x.shape[1], *x.shape[2:])
            labels = None if labels is None else labels.reshape(units, m)
        out = discriminator(x, labels)
        critique = out if isinstance(out, Critique) else Critique(out)
        if critique.logits.shape != (units,):
            found = tuple(critique.logits.shape)
            raise ValueError(f"the discriminator gave logits of shape {found}; wants one a decision, ({units},)")
        return _widened(critique)

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Sample:
        """Run the generator on ``z`` (N, latent.size)."""
        out = self.players.networks.generator(z, labels)
        sample = out if isinstance(out, Sample) else Sample(out)
        return Sample(_wide(sample.images), sample.style)  # a widened copy of the style would not lead to the images

    def augment(self, x: Tensor) -> Tensor:
        """Apply the run's augmentations to ``x``, in the order in which the suite names them."""
        for augmentation in self.players.augmentations:
            x = augmentation(x, self)
        return x

    def companion(self, name: str) -> nn.Module:
        """Return the architecture's companion network of this name."""
        return self.players.networks.companions[name].module

    def weights(self, player: Player) -> tuple[nn.Parameter, ...]:
        """Return the trained parameters of ``player``, companions included; in this phase, its own have gradients."""
        return self.players.weights[player]

    def objective(self, player: Player) -> Tensor:
        """Return what ``player``'s loss is on this phase's samples, with a graph to both players' weights.

        Raises:
            ValueError: no component of the phase declares that it differentiates by weights.
        """
        if "weights" not in self._differentiated:
            raise ValueError("objective() wants both players' weights with gradient: declare it in `differentiates`")
        draws = Draws(lambda: (self.clean_real, self.real_labels), lambda: (self.latents, self.fake_labels))
        clock = self.step, self.progress
        view = Game(player, replace(self.players, joint=False), draws, (), clock, attached=True)
        view._memo = self._once("attached", dict)  # both players' views judge the same samples once
        value: Tensor = getattr(self.players.loss, player)(view)
        return value

    def state(self, component: Any) -> Mapping[str, Tensor]:
        """Return the tensors that the engine keeps for ``component``; equal components do not share theirs."""
        for owner, tensors in self.players.states:
            if owner is component:
                return tensors
        raise ValueError(f"{getattr(component, 'name', component)!r} keeps no state: it defines no state()")

    def keep(self, component: Any, name: str, value: Any) -> None:
        """Keep ``value`` for a later method of ``component`` in this phase."""
        self._kept[id(component), name] = value

    def kept(self, component: Any, name: str) -> Any:
        """Return what ``component`` kept under ``name`` in this phase. Raises ValueError if it kept nothing so."""
        if (id(component), name) not in self._kept:
            raise ValueError(f"{getattr(component, 'name', component)!r} kept no {name!r} in this phase")
        return self._kept[id(component), name]

    def slope(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return d logits / d x as float32 (units, -1), with a graph for double backward.

        Raises:
            ValueError: ``x`` requires no gradient.
        """
        if not x.requires_grad:
            raise ValueError("slope() wants an input with gradient: declare it in `differentiates`, or use mix()")
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return gradient.float().reshape(logits.shape[0], -1)

    def mix(self, a: Tensor, b: Tensor) -> Tensor:
        """Return uniform points between ``a`` and ``b``, one weight a decision, as a leaf that requires gradient."""
        m = self.players.pac
        weight = self.uniform(a.shape[0] // m, *([1] * (a.dim() - 1))).repeat_interleave(m, dim=0)
        return torch.lerp(b.detach(), a.detach(), weight.to(a.dtype)).requires_grad_(True)

    def uniform(self, *shape: int) -> Tensor:
        """Draw float32 from U[0, 1) out of the phase's own stream."""
        return torch.rand(shape, device=self.step.device)

    def normal(self, *shape: int) -> Tensor:
        """Draw float32 from N(0, 1) out of the phase's own stream."""
        return torch.randn(shape, device=self.step.device)

    def log(self, name: str, value: Tensor) -> None:
        """Record the mean of ``value`` under ``name`` for the curves."""
        self.logs[name] = value.detach().float().mean()


def evaluate_phase(game: Game) -> Tensor:
    """Return what the phase's player minimises: its loss, plus each due penalty times its ``every``.

    The discriminator's phase draws real and fake first, in that order, so that no component changes what another sees.
    """
    if game.phase == "discriminator":
        _ = game.real, game.fake
    value: Tensor = getattr(game.players.loss, game.phase)(game)
    for component in game.due:
        if hasattr(component, "penalty"):
            value = value + trait(component, "every") * component.penalty(game)
    return value


def differentiates_weights(due: Sequence[Any]) -> bool:
    """Whether any of the due regularizers needs the gradient by both players' weights."""
    return any("weights" in trait(component, "differentiates") for component in due)


def due_regularizers(regularizers: Sequence[Any], phase: Player, updates: int) -> tuple[Any, ...]:
    """Return the regularizers that act in this player's update number ``updates`` (from 0)."""
    return tuple(
        component
        for component in regularizers
        if phase in trait(component, "phases") and updates % trait(component, "every") == 0
    )


def _wide(tensor: Tensor) -> Tensor:
    """Return half-precision numbers as float32: components compute in no less."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _widened(critique: Critique) -> Critique:
    return map_critique(_wide, critique)


def _rows(critique: Critique, rows: slice) -> Critique:
    return map_critique(lambda tensor: tensor[rows], critique)


def map_critique(change: Callable[[Tensor], Tensor], critique: Critique) -> Critique:
    """Return ``critique`` with ``change`` applied to every tensor of it."""

    def one(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else change(tensor)

    return Critique(
        change(critique.logits),
        tuple(change(tensor) for tensor in critique.features),
        one(critique.class_logits),
        tuple(change(tensor) for tensor in critique.codes),
        one(critique.embedding),
        one(critique.reconstruction),
    )
