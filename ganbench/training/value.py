"""The value function on a held-out probe: one curve on which all losses can be read.

V(D, G) = E_x[log D(x)] + E_z[log(1 - D(G(z)))], D = sigmoid(logit) (Goodfellow 2014, arXiv:1406.2661, equation 1). At
the best D for a given G, V + log 4 is twice the Jensen-Shannon divergence, so for any D it is a lower bound on that.
Losses other than minimax leave the logits on scales of their own; ``v_calibrated`` fits sigmoid(a logit + b) first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ganbench.training.game import Draws, Game, Players

Array = npt.NDArray[np.float64]

PROBE_SIZE = 256


@dataclass(frozen=True)
class Probe:
    """Held-out real images in network range and fixed latents, at most `PROBE_SIZE` of each, whole packs."""

    real: Tensor
    real_labels: Tensor | None
    latents: Tensor
    fake_labels: Tensor | None


@torch.no_grad()
def read_value(players: Players, probe: Probe) -> dict[str, float | None]:
    """Return ``v_raw`` and ``v_calibrated``; null without a discriminator, logits, or finite ones.

    All networks are in eval mode meanwhile: no random stream is drawn from, no buffer changes.
    """
    networks = players.networks
    if networks.discriminator is None:
        return {"v_raw": None, "v_calibrated": None}
    modules: list[nn.Module] = [networks.generator, networks.discriminator]
    modes = [(module, module.training) for top in modules for module in top.modules()]
    clock = torch.zeros((), device=probe.real.device)
    draws = Draws(lambda: (probe.real, probe.real_labels), lambda: (probe.latents, probe.fake_labels))
    game = Game("discriminator", players, draws, (), (clock, clock))
    try:
        for module in modules:
            module.eval()
        fake = game.generate(probe.latents, probe.fake_labels).images
        real_logits = game.critic(probe.real, probe.real_labels).logits
        fake_logits = game.critic(fake, probe.fake_labels).logits
    finally:
        for module, mode in modes:
            module.training = mode
    return value_of_logits(real_logits.cpu().double().numpy(), fake_logits.cpu().double().numpy())


def value_of_logits(real: Array, fake: Array) -> dict[str, float | None]:
    """Return V of logits (n,) as they are, and after calibration on their first halves, read on the second."""
    if not (len(real) and len(fake) and np.isfinite(real).all() and np.isfinite(fake).all()):
        return {"v_raw": None, "v_calibrated": None}
    r, f = len(real) // 2, len(fake) // 2
    a, b = _fit_sigmoid(real[:r], fake[:f])
    return {"v_raw": _value(real, fake), "v_calibrated": _value(a * real[r:] + b, a * fake[f:] + b)}


def _value(real: Array, fake: Array) -> float:
    return float(-np.logaddexp(0, -real).mean() - np.logaddexp(0, fake).mean())


def _fit_sigmoid(real: Array, fake: Array, steps: int = 50, ridge: float = 1e-3) -> tuple[float, float]:
    """Fit real from fake by logistic regression on the standardised logit: Newton's method, damped by a ridge."""
    x = np.concatenate([real, fake])
    y = np.concatenate([np.ones(len(real)), np.zeros(len(fake))])
    if len(x) == 0 or x.std() < 1e-12:
        return 0.0, 0.0
    centre, spread = x.mean(), x.std()
    design = np.stack([(x - centre) / spread, np.ones_like(x)], axis=1)
    theta = np.zeros(2)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(design @ theta, -500, 500)))
        gradient = design.T @ (p - y) + ridge * theta
        hessian = (design * (p * (1 - p))[:, None]).T @ design + ridge * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        theta -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    a = theta[0] / spread
    return float(a), float(theta[1] - a * centre)
