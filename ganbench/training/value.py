"""The value function on a held-out probe: one curve on which all losses can be read.

V(D, G) = E_x[log D(x)] + E_z[log(1 - D(G(z)))], D = sigmoid(logit) (Goodfellow 2014, arXiv:1406.2661, equation 1). At
the best D for a given G, V + log 4 is twice the Jensen-Shannon divergence, so for any D it is a lower bound on that.
Losses other than minimax leave the logits on scales of their own; ``v_calibrated`` fits sigmoid(a logit + b) first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[np.float64]

PROBE_SIZE = 256


@dataclass(frozen=True)
class Probe:
    """Real images in network range and fixed latents, at most `PROBE_SIZE` of each, whole packs.

    ``real`` is held out from training, ``train`` was trained on; ``latents`` are as many as ``real``.
    """

    real: Tensor
    real_labels: Tensor | None
    latents: Tensor
    fake_labels: Tensor | None
    train: Tensor
    train_labels: Tensor | None


def value_of_logits(real: Array, fake: Array) -> dict[str, float | None]:
    """Return V of logits (n,) as they are, and after calibration on their first halves, read on the second."""
    if not (len(real) and len(fake) and np.isfinite(real).all() and np.isfinite(fake).all()):
        return {"v_raw": None, "v_calibrated": None}
    r, f = len(real) // 2, len(fake) // 2
    a, b = fit_sigmoid(real[:r], fake[:f])
    return {"v_raw": _value(real, fake), "v_calibrated": _value(a * real[r:] + b, a * fake[f:] + b)}


def _value(real: Array, fake: Array) -> float:
    return float(-np.logaddexp(0, -real).mean() - np.logaddexp(0, fake).mean())


def fit_sigmoid(real: Array, fake: Array, steps: int = 50, ridge: float = 1e-3) -> tuple[float, float]:
    """Return a and b of sigmoid(a logit + b), fitted to tell real from fake, both (n,); 0 and 0 where nothing tells.

    Logistic regression on the standardised logit: Newton's method, damped by a ridge.
    """
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
