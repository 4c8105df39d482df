"""Rethinking the Inception architecture for computer vision, Szegedy et al., 2015, arXiv:1512.00567.

The network of FID (Heusel et al. 2017, arXiv:1706.08500) as torch-fidelity 0.4 builds it, "inception-v3-compat":
TF1-style bilinear resize to 299x299, (x - 128) / 128, features "2048" after the last average pooling, and
"logits_unbiased" (1,008 logits without the head's bias), from which the Inception Score is computed.

Differs: one-channel images are repeated to three; images that were not rounded are taken too; batch normalisation is
folded into the convolutions, which is faster and moves features by rounding only. Scores may carry the names fid, is
and kid only where the weights have the SHA-256 of the released file and ``precision`` is float32, which never means
TF32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import ganbench
from ganbench_zoo import inception
from ganbench_zoo.pretrained import Colours, Pretrained
from ganbench_zoo.weights import Release

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class InceptionV3(Pretrained):
    """The Inception network of FID: 2,048 features and 1,008 logits of images with one or three channels.

    ``weights`` is a path; without it the variable GANBENCH_INCEPTION and torch's hub cache are looked at.
    ``precision`` is "float32" or "bf16"; the latter is faster, rounds features coarsely and so is another metric.
    """

    name: ClassVar[str] = "inception_v3"
    paper: ClassVar[str] = "arXiv:1512.00567"
    release: ClassVar[Release] = inception.RELEASE
    network: ClassVar[str] = inception.NETWORK
    layer: ClassVar[str] = inception.LAYERS[0]
    width: ClassVar[int] = 2048
    side: ClassVar[int] = inception.SIDE
    colours: ClassVar[tuple[Colours, Colours]] = ((128.0,) * 3, (128.0,) * 3)
    published: ClassVar[bool] = True

    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be {' or '.join(PRECISIONS)}, not {self.precision!r}")

    @property
    def dtype(self) -> torch.dtype:
        return PRECISIONS[self.precision]

    def build(self, state: Mapping[str, Tensor], device: torch.device) -> nn.Module:
        return inception.build(state, device, self.dtype)

    def facts(self, sha256: str) -> dict[str, Any]:
        return super().facts(sha256) | {"logits_layer": inception.LAYERS[1], "logits": 1008}


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer `InceptionV3`."""
    return [InceptionV3]
