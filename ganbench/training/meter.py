"""What is counted and metered of a run: counters on the host, means on the device."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor


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
    """Running means by name, kept on the device until they are read.

    Values that come together are added as one vector (sum of each, then how often), always in place, so that adding can
    be recorded and replayed.
    """

    def __init__(self) -> None:
        self.totals: dict[tuple[str, ...], Tensor] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Add one 0-dim value to the mean of each name."""
        first = next(iter(values.values()))
        wide = torch.float64 if first.device.type != "mps" else torch.float32
        names = tuple(values)
        if names not in self.totals:
            self.totals[names] = torch.zeros(len(names) + 1, dtype=wide, device=first.device)
        ones = torch.ones((), dtype=wide, device=first.device)
        self.totals[names].add_(torch.stack([*(value.detach().to(wide) for value in values.values()), ones]))

    def read(self) -> dict[str, float | None]:
        """Return the means since the last reading, null where not finite, and start again."""
        sums: dict[str, float] = {}
        counts: dict[str, float] = {}
        for names, total in self.totals.items():
            *values, count = total.tolist()
            total.zero_()
            for name, value in zip(names, values, strict=True):
                if count:
                    sums[name], counts[name] = sums.get(name, 0.0) + value, counts.get(name, 0.0) + count
        means = {name: sums[name] / counts[name] for name in sorted(sums)}
        return {name: mean if math.isfinite(mean) else None for name, mean in means.items()}

    def is_empty(self) -> bool:
        """Whether nothing was added since the last reading; waits for the device."""
        return not any(float(total[-1]) for total in self.totals.values())

    def load(self, totals: Mapping[tuple[str, ...], Tensor], device: torch.device) -> None:
        """Take over ``totals``, in place where the names are known."""
        for names in totals.keys() - self.totals.keys():
            self.totals[names] = torch.empty_like(totals[names], device=device)
        for names, total in self.totals.items():
            total.copy_(totals[names]) if names in totals else total.zero_()
