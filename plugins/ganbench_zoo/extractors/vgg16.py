"""Very deep convolutional networks for large-scale image recognition, K. Simonyan and A. Zisserman, 2014,
arXiv:1409.1556, configuration D.

The feature space of precision and recall in Kynkäänniemi et al. 2019, arXiv:1904.06991, as torch-fidelity 0.4 builds it
from torchvision's weights: TF1-style bilinear resize to 224x224, ImageNet's mean and deviation, and the layer
"fc2_relu": 4,096 features after the second fully connected layer and its ReLU.

Differs: from that paper's code, whose VGG-16 is another conversion of the authors' weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

import ganbench
from ganbench_zoo.pretrained import IMAGENET, ORDER, Colours, Pretrained
from ganbench_zoo.weights import Release


@dataclass(frozen=True)
class Vgg16(Pretrained):
    """VGG-16: 4,096 features of images with one or three channels, no logits.

    ``weights`` is a path; without it the variable GANBENCH_VGG16 and torch's hub cache are looked at.
    """

    name: ClassVar[str] = "vgg16"
    paper: ClassVar[str] = "arXiv:1409.1556"
    network: ClassVar[str] = "vgg16"
    layer: ClassVar[str] = "fc2_relu"
    width: ClassVar[int] = 4096
    side: ClassVar[int] = 224
    colours: ClassVar[tuple[Colours, Colours]] = IMAGENET
    release: ClassVar[Release] = Release(
        extractor="vgg16",
        variable="GANBENCH_VGG16",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        size=553_433_881,
        sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        files=("vgg16-397923af.pth",),
    )

    def build(self, state: Mapping[str, Tensor], device: torch.device) -> nn.Module:
        from torchvision.models import vgg16

        with torch.device("meta"):  # no initial weights: the stored ones take their place
            network = vgg16()
        network.load_state_dict(dict(state), assign=True)
        head = network.classifier
        layers = [network.features, network.avgpool, nn.Flatten(), *head[:2], *head[3:5]]  # no dropout, no last layer
        whole = nn.Sequential(*layers).float().eval().requires_grad_(False)
        return whole.to(device=device, memory_format=ORDER)


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer `Vgg16`."""
    return [Vgg16]
