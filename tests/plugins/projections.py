"""A real plugin of toy extractors: fixed random projections, for tests of scoring. No publication.

Differs: from a trained extractor in everything but its interface.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import ganbench
from ganbench import DataSpec, Features


@dataclass(frozen=True)
class ProjectionNetwork:
    """Features (N, width) of the flattened sample, and logits (N, 10) unless ``bare``; counts its calls."""

    features: nn.Linear
    logits: nn.Linear
    bare: bool
    provenance: Mapping[str, Any]
    canonical: bool
    calls: list[int] = field(default_factory=list)

    @torch.no_grad()
    def __call__(self, stored: Tensor) -> Features:
        self.calls.append(len(stored))
        x = stored.float().flatten(1)
        x = x / 127.5 - 1 if stored.dtype == torch.uint8 else x
        return Features(torch.tanh(self.features(x)), None if self.bare else self.logits(x))


@dataclass(frozen=True)
class Projection:
    """A fixed random projection of images or points of any shape."""

    seed: int = 0
    width: int = 8
    inputs: int = 16
    bare: bool = False
    claims: str = ""

    name: ClassVar[str] = "projection"
    paper: ClassVar[str] = "none"
    domains: ClassVar[frozenset[str] | None] = frozenset({"toy"})

    def accepts(self, data: DataSpec) -> str | None:
        size = int(torch.tensor(data.shape).prod())
        return None if size == self.inputs else f"projection takes {self.inputs} values, not {size}"

    def available(self) -> str | None:
        return None

    def load(self, device: torch.device) -> ProjectionNetwork:
        """Return the network; its layers draw their weights from torch's global stream, as most do."""
        if self.width < 1:
            raise ValueError(f"projection of width {self.width} has no weights")
        torch.manual_seed(self.seed)
        layers = [nn.Linear(self.inputs, self.width), nn.Linear(self.inputs, 10)]
        provenance = {"layer": "tanh", "width": self.width, "weights_sha256": self.claims or f"seed {self.seed}"}
        return ProjectionNetwork(layers[0].to(device), layers[1].to(device), self.bare, provenance, bool(self.claims))


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer `Projection`."""
    return [Projection]
