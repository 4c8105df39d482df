"""Top-k training: the generator learns only from those of its samples that the discriminator scores best.

Samarth Sinha, Zhengli Zhao, Anirudh Goyal, Colin Raffel, Augustus Odena, "Top-k Training of GANs: Improving GAN
Performance by Throwing Away Bad Samples", 2020, arXiv:2002.06224, section 3 and algorithm 1.

All rows stay. Those selected pass N / k times their gradient and the others none, so that the gradient of a mean over N
rows is that of the mean over the best k; the numbers themselves do not change, and the generator's loss in the curves
is still that of the whole batch.

Differs: k falls geometrically from the whole batch to ``share`` of it over the first part ``anneal`` of the budget,
where the paper multiplies it by 0.99 an epoch until it is half. Only logits are changed: a loss that reads other
outputs of the discriminator (a reconstruction, an embedding) still learns from all rows, and one that compares a row
with others (relativistic averages) still compares with all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch

from ganbench import Critique, Game, hookimpl


@dataclass(frozen=True)
class TopK:
    """Keeps the gradient of the best-scored part of the fakes: from all of them down to ``share``.

    ``anneal`` is the share of the budget after which ``share`` is reached; 0 has it from the start.
    """

    name: ClassVar[str] = "top_k"
    paper: ClassVar[str] = "arXiv:2002.06224"
    formula: ClassVar[str] = "G: its loss on the k = N share^min(1, t / anneal) fakes of highest D, t the budget spent"
    phases: ClassVar[frozenset[str]] = frozenset({"generator"})

    share: float = 0.5
    anneal: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"top_k needs share in (0, 1], not {self.share}")
        if not 0 <= self.anneal <= 1:
            raise ValueError(f"top_k needs anneal in [0, 1], not {self.anneal}")

    def select(self, game: Game, critique: Critique, which: Literal["real", "fake"]) -> Critique:
        if which == "real":
            return critique
        logits, values = critique.logits, critique.logits.detach()
        spent = game.progress / self.anneal if self.anneal else torch.ones_like(game.progress)
        k = (len(logits) * self.share ** spent.clamp(max=1)).round().clamp(min=1)  # 0-dim
        ranks = values.argsort(descending=True, stable=True).argsort()  # 0 for the best, (N,)
        scale = (ranks < k) * (len(logits) / k)
        return replace(critique, logits=values + scale * (logits - values))


@hookimpl
def regularizers() -> list[type]:
    """Offer `TopK`."""
    return [TopK]
