"""Three digits of MNIST as red, green and blue: a set with 1,000 known modes.

"Unrolled Generative Adversarial Networks", L. Metz, B. Poole, D. Pfau, J. Sohl-Dickstein, 2016, arXiv:1611.02163;
"VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", A. Srivastava, L. Valkov, C. Russell,
M. U. Gutmann, C. Sutton, 2017, arXiv:1705.07761; "PacGAN: The power of two samples in generative adversarial networks",
Z. Lin, A. Khetan, G. Fanti, S. Oh, 2017, arXiv:1712.04086, whose 128,000 random triples are the default.

Its truth: a classifier of digits tells each channel, and a sample is of mode 100 r + 10 g + b (metrics modes and
mode_kl, published for 26,000 samples). Every image is of some mode, so hq says nothing here. Labels are the modes.

Differs: published triples are of all 70,000 digits. Here those to train on are of the 40,000 that `mnist` trains on,
which neither the classifier (mnist_cnn) nor "test" has seen, or of all 60,000 training digits with ``disjoint=False``;
those to test on are of MNIST's 10,000 test digits. Triples are drawn once, from (split, number of the triple) alone.
The classifier is ganbench's own, so counts depend on it as published ones do on theirs; MNIST's digits are not equally
frequent, and a perfect model shows a mode_kl of about 0.0043 beside the bias of counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.classifier import ClassifierNetwork
from ganbench_zoo.counted import integers
from ganbench_zoo.datasets.mnist import Mnist
from ganbench_zoo.extractors.mnist_cnn import MnistCnn
from ganbench_zoo.idx import SIZES
from ganbench_zoo.splits import require

MODES = 1000
_PLACES = (100, 10, 1)
_BLOCK = 512


@dataclass(frozen=True)
class Stacks:
    """The modes of three digits. Satisfies `ganbench.components.Truth`."""

    modes: int = MODES
    width: None = None

    @cached_property
    def _classifiers(self) -> dict[torch.device, ClassifierNetwork]:
        return {}

    def locate(self, stored: Tensor) -> tuple[Tensor, None]:
        """Return the mode of each image, uint8 (N, 3, H, W), as int64 (N,) on the CPU; there are no deviations."""
        blocks = stored.detach().split(_BLOCK) if len(stored) else ()
        parts = [self._digits(block).cpu() @ torch.tensor(_PLACES) for block in blocks]
        return torch.cat([torch.zeros(0, dtype=torch.int64), *parts]), None

    def _digits(self, stored: Tensor) -> Tensor:
        """Return the digit of each channel, int64 (n, 3)."""
        if stored.device not in self._classifiers:
            self._classifiers[stored.device] = MnistCnn().load(stored.device)
        logits = self._classifiers[stored.device](stored.flatten(0, 1)[:, None]).logits  # (3 n, 10)
        return logits.argmax(1).view(-1, 3)


@dataclass(frozen=True)
class StackedMnist:
    """``triples`` of MNIST's digits to train on and ``test`` to compare with, ``size`` 28 or 32 (zero-padded).

    ``disjoint=False`` draws from all of MNIST's training digits, also those that the truth's classifier has seen.
    """

    name: ClassVar[str] = "stacked_mnist"
    paper: ClassVar[str] = "arXiv:1712.04086"
    extractor: ClassVar[str] = "random_conv"
    domain: ClassVar[str] = "stacked_mnist"

    triples: int = 128_000
    test: int = 26_000
    size: int = 28
    disjoint: bool = True

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"stacked_mnist: size is {self.size!r}, not one of {SIZES}")
        for field, number in (("triples", self.triples), ("test", self.test)):
            if number < 1:
                raise ValueError(f"stacked_mnist: {field} is {number!r}; it must be at least 1")

    def spec(self, root: Path) -> ImageSpec:
        """Return three channels of ``size`` x ``size``, 1,000 classes."""
        return ImageSpec((3, self.size, self.size), classes=MODES)

    def load(self, root: Path, split: str) -> Images:
        """Return one split: uint8 (N, 3, size, size), int64 labels 0 to 999.

        Raises:
            ValueError: ``split`` is neither "train" nor "test", or MNIST's files are missing or broken.
        """
        require(split, ("train", "test"), self.name)
        digits = Mnist(size=self.size, disjoint=self.disjoint).load(root, split)
        rows = np.arange(self.triples if split == "train" else self.test)
        chosen = torch.from_numpy(integers(f"stacked_mnist:{split}", rows, 3, len(digits)))  # (N, 3)
        return Images(digits.pixels[:, 0][chosen], digits.labels[chosen] @ torch.tensor(_PLACES))

    def truth(self, root: Path) -> Stacks:
        """Return what tells the modes of images."""
        return Stacks()


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `StackedMnist`."""
    return [StackedMnist]
