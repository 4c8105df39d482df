"""Small classifiers whose last hidden layer serves as the feature space of a data set too far from ImageNet.

A feature is the hidden layer before its activation, so that no unit is cut off at zero, standardised by mean and
standard deviation over the training images: a distance of 1 is one standard deviation of real data along one feature.
Weights lie in ``extractors/weights/<name>.safetensors`` beside ``<name>.json``, the card that `classifier_training`
writes: data, seed, command, accuracy, and the SHA-256 that is checked before the weights are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench import DataSpec, Features, ImageSpec

FOLDER = Path(__file__).parent / "extractors" / "weights"


@dataclass(frozen=True)
class Plan:
    """The shape of a classifier: one channel of ``size`` pixels a side to ``width`` features and ``classes`` logits.

    ``channels`` and ``strides`` are those of its 3x3 convolutions.
    """

    size: int
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    width: int
    classes: int


class Classifier(nn.Module):
    """3x3 convolutions with SiLU, one hidden layer, one linear head; each image is judged by itself."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        layers, before, side = list[nn.Module](), 1, plan.size
        for channels, stride in zip(plan.channels, plan.strides, strict=True):
            layers += [nn.Conv2d(before, channels, 3, stride, 1), nn.SiLU()]
            before, side = channels, (side - 1) // stride + 1
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(before * side * side, plan.width)
        self.head = nn.Linear(plan.width, plan.classes)
        self.register_buffer("feature_mean", torch.zeros(plan.width))
        self.register_buffer("feature_std", torch.ones(plan.width))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map float (N, 1, size, size) in [-1, 1] to raw features (N, width) and logits (N, classes)."""
        hidden = self.hidden(self.body(x))
        return hidden, self.head(F.silu(hidden))


def preprocess(stored: Tensor, size: int) -> Tensor:
    """Map uint8 (N, 1, H, W) to float32 (N, 1, size, size) in [-1, 1].

    A multiple of ``size`` is averaged over blocks, up to four more pixels a side are cropped off around the centre.
    """
    x = stored.float().div(127.5).sub(1)
    side = x.shape[-1]
    if side % size == 0:
        return F.avg_pool2d(x, side // size) if side > size else x
    start = (side - size) // 2
    return x[..., start : start + size, start : start + size]


@dataclass(frozen=True)
class ClassifierNetwork:
    """A loaded classifier: the `FeatureNetwork` of digits_cnn and mnist_cnn."""

    module: Classifier
    size: int
    provenance: Mapping[str, Any]
    canonical: bool = False

    @torch.no_grad()
    def __call__(self, stored: Tensor) -> Features:
        """Map uint8 (N, 1, H, W) to standardised features (N, width) and logits (N, classes), float32."""
        raw, logits = self.module(preprocess(stored.to(self.module.feature_mean.device), self.size))
        return Features((raw - self.module.feature_mean) / self.module.feature_std, logits)


def refusal(name: str, data: DataSpec, sides: tuple[int, ...]) -> str | None:
    """Say why ``data`` is not one square channel with one of these sides, or None."""
    if not isinstance(data, ImageSpec):
        return f"{name} takes images, not points of shape {data.shape}"
    if data.shape not in {(1, side, side) for side in sides}:
        wanted = " or ".join(f"{side}x{side}" for side in sides)
        return f"{name} takes one channel of {wanted}, not {'x'.join(map(str, data.shape))}"
    return None


def card(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Read the card of the classifier ``name``.

    Raises:
        ValueError: it is missing or no JSON.
    """
    path = folder / f"{name}.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: its card {path} cannot be read ({error}); reinstall ganbench") from error


def missing(name: str, folder: Path = FOLDER) -> str | None:
    """Say which shipped file of the classifier ``name`` is not there, or None."""
    for path in (folder / f"{name}.json", folder / f"{name}.safetensors"):
        if not path.is_file():
            return f"{path} is missing; reinstall ganbench"
    return None


def load_classifier(name: str, plan: Plan, device: torch.device, folder: Path = FOLDER) -> ClassifierNetwork:
    """Return the shipped classifier ``name``, its weights compared with the SHA-256 on its card.

    Raises:
        ValueError: weights or card are missing, or the weights are not the ones that the card describes.
    """
    from safetensors.torch import load

    reason = missing(name, folder)
    if reason:
        raise ValueError(f"{name}: {reason}")
    facts = card(name, folder)
    path = folder / f"{name}.safetensors"
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != facts.get("sha256"):
        raise ValueError(f"{name}: {path} has SHA-256 {found}, its card says {facts.get('sha256')}; reinstall ganbench")
    module = Classifier(plan)
    try:
        module.load_state_dict(load(content))
    except RuntimeError as error:
        raise ValueError(f"{name}: {path} holds weights of another shape than {plan}") from error
    module.eval().requires_grad_(False).to(device)
    provenance = {
        "network": name,
        "layer": "hidden, before its activation, standardised",
        "width": plan.width,
        "logits": plan.classes,
        "weights_sha256": found,
        "preprocessing": {
            "input": f"uint8, one channel, to [-1, 1] by x / 127.5 - 1, {plan.size}x{plan.size}",
            "resize": "block average where the side is a multiple, else centre crop",
        },
    }
    return ClassifierNetwork(module, plan.size, provenance)
