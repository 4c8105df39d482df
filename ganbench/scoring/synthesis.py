"""A generator and an extractor as one smooth function: what a path through the latent space is measured by."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.components import FeatureNetwork
from ganbench.scoring.randomness import own_randomness
from ganbench.scoring.sample import BLOCK, GeneratorSource
from ganbench.values import ImageSpec, Latent


@dataclass(frozen=True)
class GeneratorSynthesis:
    """The `ganbench.components.Synthesis` of ``source``, whose images ``network`` sees before they are rounded."""

    source: GeneratorSource
    network: FeatureNetwork
    seed: int

    @property
    def latent(self) -> Latent:
        """What the generator draws from."""
        return self.source.latent

    def labels(self, n: int, rng: torch.Generator) -> Tensor | None:
        """Draw int64 (n,) out of the training labels; None for an unlabelled set."""
        return self.source.draw_labels(n, rng)

    def features(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Return the features float32 (n, d), on the CPU, of the images of ``z`` (n, latent.size).

        A generator that draws noise of its own draws the same for every block of latents.

        Raises:
            ValueError: the images or their features are not finite.
        """
        found = []
        for start in range(0, len(z), BLOCK):
            rows = slice(start, start + BLOCK)
            with own_randomness(self.seed, self.source.device):
                images = self.source.images(z[rows], None if labels is None else labels[rows]).float()
            if isinstance(self.source.data, ImageSpec):
                images = images.clamp(-1, 1).add(1).mul(127.5)  # [0, 255], not rounded
            found.append(self.network(images).features.float().cpu())
        features = torch.cat(found)
        if not torch.isfinite(features).all():
            raise ValueError("the features of some generated images are not finite")
        return features
