"""A classifier of MNIST as a feature space, in place of Inception; no publication.

Trained by `ganbench_zoo.trainers.classifier` on the split "extractor" of `mnist` (20,000 of the 60,000 training
images), so on nothing that a GAN is trained on (unless ``mnist(disjoint=False)``) or compared with. Features and logits
are defined in `ganbench_zoo.classifier`; the card beside the weights states command, accuracy and SHA-256.

Differs: from the Inception features of FID in everything; distances are named fd/mnist_cnn, never fid. Of 32x32 images
the inner 28x28 are read, which undoes the padding of ``mnist(size=32)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import ganbench
from ganbench_zoo.classifier import ClassifierExtractor, Plan


@dataclass(frozen=True)
class MnistCnn(ClassifierExtractor):
    """Features of width 128 and ten logits of a small classifier of MNIST, for one channel of 28x28 or 32x32."""

    name: ClassVar[str] = "mnist_cnn"
    paper: ClassVar[str] = "trained by ganbench on LeCun et al. 1998; see its card"
    domains: ClassVar[frozenset[str] | None] = frozenset({"mnist"})
    plan: ClassVar[Plan] = Plan((1, 28, 28), (16, 32, 48, 64, 96), strides=(1, 2, 1, 2, 2), width=128, classes=10)
    sizes: ClassVar[tuple[tuple[int, int], ...]] = ((32, 32),)


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer `MnistCnn`."""
    return [MnistCnn]
