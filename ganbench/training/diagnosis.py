"""Diagnostics: what the networks say on the probe, as numbers that mean the same for every loss.

All is read on clean samples in eval mode, and leaves weights, buffers and random streams as they were. A decision is a
sample, or a pack of them. A number is null without a discriminator, or where it is not finite; only ``sample_spread``
needs none.

- ``v_raw``, ``v_calibrated``: the value function (`ganbench.training.value`).
- ``d_accuracy_train``, ``d_accuracy_held_out``, ``d_accuracy_fake``: shares of decisions on the right side of one
  threshold, see `accuracies`. The first less the second is how far D has learned its training images by heart.
- ``d_lipschitz``: a lower estimate of the critic's Lipschitz constant, see `lipschitz`.
- ``g_signal``: how much of a gradient the loss lets through to the logits of the fakes, see `generator_signal`.
- ``sample_spread``: how spread the fakes are, as a share of the data's spread, see `sample_spread`.

The norms of both players' gradients are not read here but metered in training itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ganbench.scoring.randomness import own_randomness
from ganbench.training.game import Draws, Game, Players
from ganbench.training.value import Array, Probe, fit_sigmoid, value_of_logits
from ganbench.values import Critique, Networks, Sample

Reading = dict[str, float | None]
Clock = tuple[Tensor, Tensor]  # `Game.step` and `Game.progress`

AT_ONCE = 64  # samples whose gradients are taken together: training itself holds no fewer
OF_CRITIC = (
    "v_raw",
    "v_calibrated",
    "d_accuracy_train",
    "d_accuracy_held_out",
    "d_accuracy_fake",
    "d_lipschitz",
    "g_signal",
)


def read_probe(players: Players, probe: Probe, clock: Clock | None = None) -> Reading:
    """Return every diagnostic by name; ``clock`` is what a loss reads as `Game.step` and `Game.progress`."""
    device = probe.real.device
    with torch.no_grad(), own_randomness(0, device), _in_eval_mode(players.networks):
        zero = torch.zeros((), device=device)
        found = _read(players, probe, clock or (zero, zero)) if len(probe.latents) else {}
    names = (*OF_CRITIC, "sample_spread")
    return {name: _finite(found.get(name)) for name in names}


def _read(players: Players, probe: Probe, clock: Clock) -> Reading:
    draws = Draws(lambda: (probe.real, probe.real_labels), lambda: (probe.latents, probe.fake_labels))
    game = Game("discriminator", players, draws, (), clock)
    sample = game.generate(probe.latents, probe.fake_labels)
    spread = {"sample_spread": sample_spread(sample.images, probe.real)}
    if players.networks.discriminator is None:
        return spread
    real = game.critic(probe.real, probe.real_labels)
    fake = game.critic(sample.images, probe.fake_labels)
    train = game.critic(probe.train, probe.train_labels)
    held_out, made, learned = (critique.logits.cpu().double().numpy() for critique in (real, fake, train))
    return {
        **value_of_logits(held_out, made),
        **accuracies(learned, held_out, made),
        "d_lipschitz": lipschitz(game, probe.real, sample.images, probe.real_labels),
        "g_signal": generator_signal(players, draws, clock, (sample, real, fake)),
        **spread,
    }


def accuracies(train: Array, held_out: Array, fake: Array) -> Reading:
    """Return the shares of logits (n,) on the right side of the threshold where real and fake are equally likely.

    sigmoid(a l + b) is fitted to tell real training images from fakes on the first halves of ``train`` and ``fake``
    (equally many of each); right is a l + b > 0 for real and < 0 for fake, and 0 counts half. Train and fake are read
    on what was not fitted, held-out images on all that there are.
    """
    logits = {"d_accuracy_train": train, "d_accuracy_held_out": held_out, "d_accuracy_fake": fake}
    if not all(len(part) and np.isfinite(part).all() for part in logits.values()):
        return dict.fromkeys(logits)
    n = min(len(train), len(fake)) // 2
    a, b = fit_sigmoid(train[:n], fake[:n])
    read = {"d_accuracy_train": (train[n:], 1), "d_accuracy_held_out": (held_out, 1), "d_accuracy_fake": (fake[n:], -1)}
    return {name: float((np.sign(a * part + b) * side + 1).mean() / 2) for name, (part, side) in read.items()}


@torch.no_grad()
def lipschitz(game: Game, a: Tensor, b: Tensor, labels: Tensor | None = None) -> float:
    """Return the largest norm of a logit's gradient by its input over points between ``a`` and ``b`` (N, *shape).

    No Lipschitz constant (of logits, by the Euclidean norm, in network range) can be smaller; a larger slope elsewhere
    is not seen. Decision k of n lies the share k / (n - 1) of the way from b to a, so that the points are the same for
    every loss but for the fakes; under packing its input is the whole pack.
    """
    m = game.players.pac
    units = len(a) // m
    weight = torch.linspace(0, 1, units, device=a.device).repeat_interleave(m).view(-1, *[1] * (a.dim() - 1))
    points, norms = torch.lerp(b, a, weight.to(a.dtype)), []
    for part in torch.arange(units).tensor_split(min(units, math.ceil(units * m / AT_ONCE))):
        rows = slice(int(part[0]) * m, (int(part[-1]) + 1) * m)
        x = points[rows].clone().requires_grad_(True)
        with torch.enable_grad():
            logits = game.critic(x, None if labels is None else labels[rows]).logits
            (gradient,) = torch.autograd.grad(logits.sum(), x)
        norms.append(gradient.float().reshape(len(part), -1).norm(dim=1))
    return float(torch.cat(norms).max())


def generator_signal(
    players: Players, draws: Draws, clock: Clock, judged: tuple[Sample, Critique, Critique]
) -> float | None:
    """Return the sum of |d L_G / d logit| over the fakes: for a mean over fakes, the mean slope of its summand.

    ``judged`` holds the fakes and what D says of real and fake. 1 for wasserstein and hinge, sigmoid(l) for minimax,
    1 - sigmoid(l) for non_saturating; near 0 the generator no longer learns, since D is sure of itself or is fooled.
    Penalties are left out. None where the loss does not go through the logits, or cannot be evaluated on the probe.
    """
    sample, real, fake = judged
    logits = fake.logits.detach().requires_grad_(True)
    known = {
        "real": draws.real()[0],
        "latents": draws.latents()[0],
        "sample": sample,
        "fake": sample.images,
        "real_critique": real,
        "fake_critique": replace(fake, logits=logits),
    }
    game = Game("generator", players, draws, (), clock).knowing(known)
    try:
        with torch.enable_grad():
            value = players.loss.generator(game)
            (gradient,) = torch.autograd.grad(value, logits, allow_unused=True) if value.requires_grad else (None,)
    except (RuntimeError, ValueError):  # a loss that wants the generator's graph, or as many samples as a batch has
        return None
    return None if gradient is None else float(gradient.float().abs().sum())


def sample_spread(fake: Tensor, real: Tensor) -> float | None:
    """Return the standard deviation of ``fake`` over that of ``real``, each the root mean square over coordinates.

    Coordinates are those that D sees, pixels or numbers of a point: training knows no extractor. 1 is as spread as the
    data, 0 a generator that always draws the same. A few samples far apart are as spread as many: recall and coverage
    tell these.
    """
    of_fake, of_real = (x.float().flatten(1).var(dim=0, correction=0).mean().sqrt() for x in (fake, real))
    return float(of_fake / of_real) if float(of_real) > 0 else None


@contextmanager
def _in_eval_mode(networks: Networks) -> Iterator[None]:
    """Put all networks in eval mode, and each module back into its own after."""
    others = (companion.module for companion in networks.companions.values())
    tops = [top for top in (networks.generator, networks.discriminator, *others) if top is not None]
    modes = [(module, module.training) for top in tops for module in top.modules()]
    try:
        for top in tops:
            top.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
