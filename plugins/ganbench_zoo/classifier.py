"""Small classifiers whose last hidden layer serves as the feature space of a data set too far from ImageNet.

A feature is the hidden layer before its activation, so that no unit is cut off at zero, standardised by mean and
standard deviation over the training images: a distance of 1 is one standard deviation of real data along one feature.
Weights lie in a folder as ``<name>.safetensors`` beside ``<name>.json``, the card that `ganbench_zoo.trainers` writes:
data, seed, command, accuracy, and the SHA-256 that is checked before the weights are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench import DataSpec, Features, ImageSpec
from ganbench_zoo.pixels import exact_float32

FOLDER = Path(__file__).parent / "extractors" / "weights"
CHANNELS = {1: "one channel", 3: "three channels"}


@dataclass(frozen=True)
class Plan:
    """The shape of a classifier: images of ``shape`` (C, H, W) to ``width`` features and ``classes`` logits.

    ``channels`` and ``strides`` are those of its 3x3 convolutions.

    Raises:
        ValueError: a number is not positive, or channels and strides are not equally many.
    """

    shape: tuple[int, int, int]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    width: int
    classes: int

    def __post_init__(self) -> None:
        numbers = (*self.shape, *self.channels, *self.strides, self.width, self.classes)
        if len(self.shape) != 3 or not all(isinstance(number, int) and number > 0 for number in numbers):
            raise ValueError(f"a classifier's shape is made of positive whole numbers, not {self}")
        if not self.channels or len(self.channels) != len(self.strides):
            raise ValueError(f"a classifier has a stride for each convolution, not {self}")

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON has it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """Return the plan that `to_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        shape, channels, strides = (tuple(data[key]) for key in ("shape", "channels", "strides"))
        return cls(shape, channels, strides, data["width"], data["classes"])


class Classifier(nn.Module):
    """3x3 convolutions with SiLU, one hidden layer, one linear head; each image is judged by itself."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        layers, (before, height, width) = list[nn.Module](), plan.shape
        for channels, stride in zip(plan.channels, plan.strides, strict=True):
            layers += [nn.Conv2d(before, channels, 3, stride, 1), nn.SiLU()]
            before, height, width = channels, (height - 1) // stride + 1, (width - 1) // stride + 1
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.hidden = nn.Linear(before * height * width, plan.width)
        self.head = nn.Linear(plan.width, plan.classes)
        self.register_buffer("feature_mean", torch.zeros(plan.width))
        self.register_buffer("feature_std", torch.ones(plan.width))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map float (N, C, H, W) in [-1, 1] to raw features (N, width) and logits (N, classes)."""
        hidden = self.hidden(self.body(x))
        return hidden, self.head(F.silu(hidden))


def preprocess(stored: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Map uint8 (N, C, h, w), or floats in [0, 255], to float32 (N, *shape) in [-1, 1].

    A whole multiple of ``shape`` is averaged over blocks, anything else larger is cropped around the centre.
    """
    x = stored.float().div(127.5).sub(1)
    (height, width), (h, w) = shape[1:], x.shape[2:]
    if (h, w) == (height, width):
        return x
    if h % height == 0 and w % width == 0:
        return F.avg_pool2d(x, (h // height, w // width))
    top, left = (h - height) // 2, (w - width) // 2
    return x[..., top : top + height, left : left + width]


@dataclass(frozen=True)
class ClassifierNetwork:
    """A loaded classifier: the `FeatureNetwork` of every `ClassifierExtractor`."""

    module: Classifier
    shape: tuple[int, int, int]
    provenance: Mapping[str, Any]
    canonical: bool = False

    @torch.no_grad()
    def __call__(self, stored: Tensor) -> Features:
        """Map stored (N, C, H, W) to standardised features (N, width) and logits (N, classes), float32."""
        with exact_float32():
            raw, logits = self.module(preprocess(stored.to(self.module.feature_mean.device), self.shape))
        return Features((raw - self.module.feature_mean) / self.module.feature_std, logits)


@dataclass(frozen=True)
class ClassifierExtractor:
    """Features and class logits of the classifier ``name`` in ``folder``; what all such extractors share.

    ``sizes`` are the (H, W) that it accepts beside its plan's own; ``remedy`` says what to do where a file is missing
    or is not the one that the card describes.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    domains: ClassVar[frozenset[str] | None]
    continuous: ClassVar[bool] = True
    plan: ClassVar[Plan]
    sizes: ClassVar[tuple[tuple[int, int], ...]] = ()
    folder: ClassVar[Path] = FOLDER
    remedy: ClassVar[str] = "reinstall ganbench"

    def accepts(self, data: DataSpec) -> str | None:
        return refusal(self.name, data, self.plan, self.sizes)

    def available(self) -> str | None:
        return missing(self.name, self.folder, self.remedy)

    def load(self, device: torch.device) -> ClassifierNetwork:
        """Return the network. Raises ValueError where its weights are missing or of another SHA-256 or shape."""
        module, sha256 = load_weights(self.name, self.plan, self.folder, self.remedy)
        size = _by(self.plan.shape[1:])
        channels = CHANNELS.get(self.plan.shape[0], f"{self.plan.shape[0]} channels")
        provenance = {
            "network": self.name,
            "layer": "hidden, before its activation, standardised",
            "width": self.plan.width,
            "logits": self.plan.classes,
            "weights_sha256": sha256,
            "preprocessing": {
                "input": f"uint8, {channels}, to [-1, 1] by x / 127.5 - 1, {size}",
                "resize": "block average where the side is a multiple, else centre crop" if self.sizes else "none",
            },
        }
        return ClassifierNetwork(module.to(device), self.plan.shape, provenance)


def refusal(name: str, data: DataSpec, plan: Plan, sizes: tuple[tuple[int, int], ...] = ()) -> str | None:
    """Say why ``data`` is not images of the plan's channels and of its size or one of ``sizes``, or None."""
    if not isinstance(data, ImageSpec):
        return f"{name} takes images, not points of shape {data.shape}"
    channels, *size = plan.shape
    accepted = (tuple(size), *sizes)
    if data.shape[0] != channels or data.shape[1:] not in accepted:
        wanted = f"{CHANNELS.get(channels, f'{channels} channels')} of {' or '.join(map(_by, accepted))}"
        return f"{name} takes {wanted}, not {_by(data.shape)}"
    return None


def read_card(name: str, folder: Path = FOLDER, remedy: str = ClassifierExtractor.remedy) -> dict[str, Any]:
    """Read the card of the classifier ``name``.

    Raises:
        ValueError: it is missing or no JSON object.
    """
    path = folder / f"{name}.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"its card {path} cannot be read ({error}); {remedy}") from error
    if not isinstance(found, dict):
        raise ValueError(f"its card {path} is no JSON object; {remedy}")
    return found


def missing(name: str, folder: Path = FOLDER, remedy: str = ClassifierExtractor.remedy) -> str | None:
    """Say which file of the classifier ``name`` is not there, or None."""
    for path in (folder / f"{name}.json", folder / f"{name}.safetensors"):
        if not path.is_file():
            return f"{path} is missing; {remedy}"
    return None


def load_weights(name: str, plan: Plan, folder: Path, remedy: str) -> tuple[Classifier, str]:
    """Return the classifier ``name`` in eval mode and the SHA-256 of its weights, which its card must state.

    Raises:
        ValueError: weights or card are missing, or the weights are not the ones that the card describes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    reason = missing(name, folder, remedy)
    if reason:
        raise ValueError(reason)
    facts, path = read_card(name, folder, remedy), folder / f"{name}.safetensors"
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != facts.get("sha256"):
        raise ValueError(f"{path} has SHA-256 {sha256}, its card says {facts.get('sha256')}; {remedy}")
    module = Classifier(plan)
    try:
        module.load_state_dict(load(content))
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path} holds weights of another shape than {plan}; {remedy}") from error
    module.eval().requires_grad_(False)
    return module, sha256


def _by(sizes: tuple[int, ...]) -> str:
    return "x".join(map(str, sizes))
