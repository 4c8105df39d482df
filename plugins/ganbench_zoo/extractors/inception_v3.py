"""Rethinking the Inception architecture for computer vision, Szegedy et al., 2015, arXiv:1512.00567.

The network of FID (Heusel et al. 2017, arXiv:1706.08500) as torch-fidelity 0.4 builds it, "inception-v3-compat":
TF1-style bilinear resize to 299x299, (x - 128) / 128, features "2048" after the last average pooling, and
"logits_unbiased" (1,008 logits without the head's bias), from which the Inception Score is computed.

Differs: one-channel images are repeated to three; weights are in channels-last order, which is faster and moves
features by rounding only. Weights are looked for at ``weights``, then at the variable GANBENCH_INCEPTION, then in
torch's hub cache, and else downloaded by `load`; scores may carry the names fid, is and kid only where the file's
SHA-256 is that of the released one.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import ganbench
from ganbench import DataSpec, ExtractorUnavailable, Features, ImageSpec
from ganbench_zoo.inception import SHA256, absence, fetch, file_sha256, locate

LAYERS = ("2048", "logits_unbiased")


@dataclass(frozen=True)
class InceptionNetwork:
    """The loaded Inception: the `FeatureNetwork` of `InceptionV3`."""

    module: nn.Module
    device: torch.device
    provenance: Mapping[str, Any]
    canonical: bool

    @torch.no_grad()
    def __call__(self, stored: Tensor) -> Features:
        """Map uint8 (N, 1 or 3, H, W) to features (N, 2048) and logits (N, 1008), float32."""
        layers = dict(zip(LAYERS, self.module(stored.to(self.device).expand(-1, 3, -1, -1)), strict=True))
        return Features(layers["2048"], layers["logits_unbiased"])


@dataclass(frozen=True)
class InceptionV3:
    """The Inception network of FID: 2,048 features and 1,008 logits of images with one or three channels.

    ``weights`` is a path; without it the variable GANBENCH_INCEPTION and torch's hub cache are looked at.
    """

    name: ClassVar[str] = "inception_v3"
    paper: ClassVar[str] = "arXiv:1512.00567"
    domains: ClassVar[frozenset[str] | None] = None

    weights: str | None = None

    def accepts(self, data: DataSpec) -> str | None:
        if not isinstance(data, ImageSpec):
            return f"inception_v3 takes images, not points of shape {data.shape}"
        if data.shape[0] not in {1, 3}:
            return f"inception_v3 takes one or three channels, not {data.shape[0]}"
        return None

    def available(self) -> str | None:
        return absence(locate(self.weights))

    def load(self, device: torch.device) -> InceptionNetwork:
        """Return the network, downloading its weights where they are neither given nor in torch's hub cache.

        Raises:
            ExtractorUnavailable: there are no weights and no network, or the cached file is not the released one.
            ValueError: the file that was given holds something else than this network's weights.
        """
        location = locate(self.weights)
        fetch(location)
        found = file_sha256(location.path)
        if found != SHA256 and not location.chosen:
            raise ExtractorUnavailable(
                f"inception_v3: {location.path} has SHA-256 {found}, the released weights {SHA256}; delete the file"
            )
        module = _build(location.path).to(device=device, memory_format=torch.channels_last)
        return InceptionNetwork(module, device, _provenance(found), canonical=found == SHA256)


def _build(path: Path) -> nn.Module:
    """Build torch-fidelity's network from a file that holds tensors and nothing else."""
    from torch_fidelity.utils import create_feature_extractor

    try:
        torch.load(path, map_location="cpu", weights_only=True)  # torch-fidelity itself would run any pickle
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"inception_v3: {path} is no file of torch weights (a state dict of tensors)") from error
    try:
        module: nn.Module = create_feature_extractor(
            "inception-v3-compat", list(LAYERS), cuda=False, verbose=False, feature_extractor_weights_path=str(path)
        )
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"inception_v3: {path} does not hold this network's weights: {_first(error)}") from error
    return module


def _first(error: Exception) -> str:
    """Return the beginning of an error on one line."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _provenance(sha256: str) -> dict[str, Any]:
    return {
        "network": "inception-v3-compat",
        "layer": "2048",
        "width": 2048,
        "logits_layer": "logits_unbiased",
        "logits": 1008,
        "weights_sha256": sha256,
        "preprocessing": {
            "input": "uint8, one channel repeated to three, to [-1, 1] by (x - 128) / 128",
            "resize": "bilinear to 299x299 as TensorFlow 1 does (align_corners=False, no antialiasing)",
        },
    }


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer `InceptionV3`."""
    return [InceptionV3]
