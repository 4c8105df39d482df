"""Learning transferable visual models from natural language supervision, A. Radford et al., 2021, arXiv:2103.00020.

The image encoders of CLIP as torch-fidelity 0.4 builds them: TF1-style bilinear resize to the encoder's resolution,
CLIP's own mean and deviation, the embedding that is compared with that of a text, before it is normalised. As a feature
space for generated images: Kynkäänniemi et al. 2022, arXiv:2203.06026.

Differs: from CLIP's own preprocessing, which resizes the shorter side by bicubic interpolation and crops the centre.
The released half-precision weights are computed with in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

import ganbench
from ganbench_zoo.pretrained import ORDER, Colours, Pretrained
from ganbench_zoo.weights import Release

COLOURS: tuple[Colours, Colours] = (
    (255 * 0.48145466, 255 * 0.4578275, 255 * 0.40821073),
    (255 * 0.26862954, 255 * 0.26130258, 255 * 0.27577711),
)
SOURCE = "https://openaipublic.azureedge.net/clip/models"
STEM = 3  # pixels a side of the first convolution of the residual networks


def released(name: str, file: str, size: int, sha256: str) -> Release:
    """Return the facts about one of the released TorchScript archives."""
    return Release(
        extractor=name,
        variable=f"GANBENCH_{name.upper()}",
        url=f"{SOURCE}/{sha256}/{file}.pt",
        size=size,
        sha256=sha256,
        files=(f"{name.replace('_', '-')}-{sha256}.pt",),
        script=True,
    )


@dataclass(frozen=True)
class Clip(Pretrained):
    """What CLIP's image encoders share; ``patch`` is the side of the first convolution, in pixels."""

    paper: ClassVar[str] = "arXiv:2103.00020"
    layer: ClassVar[str] = "clip"
    colours: ClassVar[tuple[Colours, Colours]] = COLOURS
    patch: ClassVar[int]

    def build(self, state: Mapping[str, Tensor], device: torch.device) -> nn.Module:
        from torch_fidelity.feature_extractor_clip import build_model

        seen = {name: value for name, value in state.items() if name.startswith("visual.")}
        if not seen:
            raise ValueError("it has no tensor called visual.*")
        width = torch.empty(0, self.width)  # the text encoder's projection, of which only the width is read
        encoder = build_model({**seen, "text_projection": width}, torch.float32).visual
        found = (encoder.output_dim, encoder.input_resolution, encoder.conv1.kernel_size[0])
        if found != (self.width, self.side, self.patch):
            raise ValueError(f"width, resolution and first kernel are {found}, not {self.width, self.side, self.patch}")
        return encoder.to(device=device, memory_format=ORDER)


@dataclass(frozen=True)
class ClipRn50(Clip):
    """CLIP's ResNet-50: 1,024 features of images at 224x224, no logits."""

    name: ClassVar[str] = "clip_rn50"
    network: ClassVar[str] = "clip-rn50"
    width: ClassVar[int] = 1024
    side: ClassVar[int] = 224
    patch: ClassVar[int] = STEM
    release: ClassVar[Release] = released(
        "clip_rn50", "RN50", 255_827_503, "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"
    )


@dataclass(frozen=True)
class ClipRn101(Clip):
    """CLIP's ResNet-101: 512 features of images at 224x224, no logits."""

    name: ClassVar[str] = "clip_rn101"
    network: ClassVar[str] = "clip-rn101"
    width: ClassVar[int] = 512
    side: ClassVar[int] = 224
    patch: ClassVar[int] = STEM
    release: ClassVar[Release] = released(
        "clip_rn101", "RN101", 291_791_292, "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"
    )


@dataclass(frozen=True)
class ClipRn50x4(Clip):
    """CLIP's ResNet-50 of 4 times the cost: 640 features of images at 288x288, no logits."""

    name: ClassVar[str] = "clip_rn50x4"
    network: ClassVar[str] = "clip-rn50x4"
    width: ClassVar[int] = 640
    side: ClassVar[int] = 288
    patch: ClassVar[int] = STEM
    release: ClassVar[Release] = released(
        "clip_rn50x4", "RN50x4", 421_854_225, "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"
    )


@dataclass(frozen=True)
class ClipRn50x16(Clip):
    """CLIP's ResNet-50 of 16 times the cost: 768 features of images at 384x384, no logits."""

    name: ClassVar[str] = "clip_rn50x16"
    network: ClassVar[str] = "clip-rn50x16"
    width: ClassVar[int] = 768
    side: ClassVar[int] = 384
    patch: ClassVar[int] = STEM
    release: ClassVar[Release] = released(
        "clip_rn50x16", "RN50x16", 661_125_706, "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"
    )


@dataclass(frozen=True)
class ClipRn50x64(Clip):
    """CLIP's ResNet-50 of 64 times the cost: 1,024 features of images at 448x448, no logits."""

    name: ClassVar[str] = "clip_rn50x64"
    network: ClassVar[str] = "clip-rn50x64"
    width: ClassVar[int] = 1024
    side: ClassVar[int] = 448
    patch: ClassVar[int] = STEM
    release: ClassVar[Release] = released(
        "clip_rn50x64", "RN50x64", 1_353_500_174, "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"
    )


@dataclass(frozen=True)
class ClipVitB32(Clip):
    """CLIP's ViT-B/32: 512 features of images at 224x224, no logits."""

    name: ClassVar[str] = "clip_vit_b_32"
    network: ClassVar[str] = "clip-vit-b-32"
    width: ClassVar[int] = 512
    side: ClassVar[int] = 224
    patch: ClassVar[int] = 32
    release: ClassVar[Release] = released(
        "clip_vit_b_32", "ViT-B-32", 353_976_522, "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
    )


@dataclass(frozen=True)
class ClipVitB16(Clip):
    """CLIP's ViT-B/16: 512 features of images at 224x224, no logits."""

    name: ClassVar[str] = "clip_vit_b_16"
    network: ClassVar[str] = "clip-vit-b-16"
    width: ClassVar[int] = 512
    side: ClassVar[int] = 224
    patch: ClassVar[int] = 16
    release: ClassVar[Release] = released(
        "clip_vit_b_16", "ViT-B-16", 350_837_078, "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"
    )


@dataclass(frozen=True)
class ClipVitL14(Clip):
    """CLIP's ViT-L/14: 768 features of images at 224x224, no logits."""

    name: ClassVar[str] = "clip_vit_l_14"
    network: ClassVar[str] = "clip-vit-l-14"
    width: ClassVar[int] = 768
    side: ClassVar[int] = 224
    patch: ClassVar[int] = 14
    release: ClassVar[Release] = released(
        "clip_vit_l_14", "ViT-L-14", 932_768_134, "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"
    )


@dataclass(frozen=True)
class ClipVitL14At336(Clip):
    """CLIP's ViT-L/14 at a higher resolution: 768 features of images at 336x336, no logits."""

    name: ClassVar[str] = "clip_vit_l_14_336px"
    network: ClassVar[str] = "clip-vit-l-14-336px"
    width: ClassVar[int] = 768
    side: ClassVar[int] = 336
    patch: ClassVar[int] = 14
    release: ClassVar[Release] = released(
        "clip_vit_l_14_336px",
        "ViT-L-14-336px",
        934_088_680,
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    )


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer CLIP's nine image encoders."""
    residual = [ClipRn50, ClipRn101, ClipRn50x4, ClipRn50x16, ClipRn50x64]
    return [*residual, ClipVitB32, ClipVitB16, ClipVitL14, ClipVitL14At336]
