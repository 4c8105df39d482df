"""DINOv2: Learning robust visual features without supervision, M. Oquab et al., 2023, arXiv:2304.07193.

The class token of the four released transformers without registers, with the preprocessing of torch-fidelity 0.4:
TF1-style bilinear resize to 224x224, ImageNet's mean and deviation. As a feature space for generated images: G. Stein
et al., "Exposing flaws of generative model evaluation metrics", 2023, arXiv:2306.04675.

Differs: the network is `ganbench_zoo.dinov2`, where torch-fidelity runs the authors' code as torch.hub downloads it;
features agree with theirs. Stein et al. resize by bicubic interpolation with antialiasing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

import ganbench
from ganbench_zoo import dinov2
from ganbench_zoo.dinov2 import Size
from ganbench_zoo.pretrained import IMAGENET, Colours, Pretrained
from ganbench_zoo.weights import Release

SOURCE = "https://dl.fbaipublicfiles.com/dinov2"


def released(name: str, file: str, size: int, sha256: str) -> Release:
    """Return the facts about one of the released files."""
    return Release(
        extractor=name,
        variable=f"GANBENCH_{name.upper()}",
        url=f"{SOURCE}/{file}/{file}_pretrain.pth",
        size=size,
        sha256=sha256,
        files=(f"{file}_pretrain.pth",),
    )


@dataclass(frozen=True)
class Dinov2(Pretrained):
    """What the transformers of DINOv2 share."""

    paper: ClassVar[str] = "arXiv:2304.07193"
    layer: ClassVar[str] = "dinov2"
    side: ClassVar[int] = 224
    colours: ClassVar[tuple[Colours, Colours]] = IMAGENET
    size: ClassVar[Size]

    def build(self, state: Mapping[str, Tensor], device: torch.device) -> nn.Module:
        return dinov2.build(self.size, state).to(device)


@dataclass(frozen=True)
class Dinov2VitS14(Dinov2):
    """DINOv2's ViT-S/14: 384 features of images at 224x224, no logits."""

    name: ClassVar[str] = "dinov2_vit_s_14"
    network: ClassVar[str] = "dinov2-vit-s-14"
    width: ClassVar[int] = 384
    size: ClassVar[Size] = Size(width=384, depth=12, heads=6)
    release: ClassVar[Release] = released(
        "dinov2_vit_s_14",
        "dinov2_vits14",
        88_283_115,
        "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
    )


@dataclass(frozen=True)
class Dinov2VitB14(Dinov2):
    """DINOv2's ViT-B/14: 768 features of images at 224x224, no logits."""

    name: ClassVar[str] = "dinov2_vit_b_14"
    network: ClassVar[str] = "dinov2-vit-b-14"
    width: ClassVar[int] = 768
    size: ClassVar[Size] = Size(width=768, depth=12, heads=12)
    release: ClassVar[Release] = released(
        "dinov2_vit_b_14",
        "dinov2_vitb14",
        346_378_731,
        "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
    )


@dataclass(frozen=True)
class Dinov2VitL14(Dinov2):
    """DINOv2's ViT-L/14: 1,024 features of images at 224x224, no logits."""

    name: ClassVar[str] = "dinov2_vit_l_14"
    network: ClassVar[str] = "dinov2-vit-l-14"
    width: ClassVar[int] = 1024
    size: ClassVar[Size] = Size(width=1024, depth=24, heads=16)
    release: ClassVar[Release] = released(
        "dinov2_vit_l_14",
        "dinov2_vitl14",
        1_217_586_395,
        "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    )


@dataclass(frozen=True)
class Dinov2VitG14(Dinov2):
    """DINOv2's ViT-g/14: 1,536 features of images at 224x224, no logits."""

    name: ClassVar[str] = "dinov2_vit_g_14"
    network: ClassVar[str] = "dinov2-vit-g-14"
    width: ClassVar[int] = 1536
    size: ClassVar[Size] = Size(width=1536, depth=40, heads=24, gated=True)
    release: ClassVar[Release] = released(
        "dinov2_vit_g_14",
        "dinov2_vitg14",
        4_546_108_579,
        "baf8467e50af277596bbbafa06887c177ee899ab46033649c383577d7e9309d3",
    )


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer DINOv2's four transformers."""
    return [Dinov2VitS14, Dinov2VitB14, Dinov2VitL14, Dinov2VitG14]
