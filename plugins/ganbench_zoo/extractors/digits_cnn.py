"""A classifier of scikit-learn's digits as a feature space, in place of Inception; no publication.

Trained by `ganbench_zoo.trainers.classifier` on the split "extractor" of `digits` (599 images), so on nothing that a
GAN is trained on or compared with. Features and logits are defined in `ganbench_zoo.classifier`; the card beside the
weights states command, accuracy, seed and SHA-256.

Differs: from the Inception features of FID in everything; distances are named fd/digits_cnn, never fid. 32x32 digits
are averaged over 2x2 blocks, which gives the 16x16 ones up to rounding, since both are bilinear enlargements of 8x8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import ganbench
from ganbench_zoo.classifier import ClassifierExtractor, Plan


@dataclass(frozen=True)
class DigitsCnn(ClassifierExtractor):
    """Features of width 64 and ten logits of a small classifier of digits, for one channel of 16x16 or 32x32."""

    name: ClassVar[str] = "digits_cnn"
    paper: ClassVar[str] = "trained by ganbench on Alpaydin and Kaynak 1998; see its card"
    domains: ClassVar[frozenset[str] | None] = frozenset({"digits"})
    plan: ClassVar[Plan] = Plan((1, 16, 16), channels=(12, 24, 32), strides=(1, 2, 2), width=64, classes=10)
    sizes: ClassVar[tuple[tuple[int, int], ...]] = ((32, 32),)


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer `DigitsCnn`."""
    return [DigitsCnn]
