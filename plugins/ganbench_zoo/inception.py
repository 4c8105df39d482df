"""The Inception network of FID: where its weights lie, and a form of it that is fast on a processor.

The file is the one that torch-fidelity downloads: Inception v3 of 2015-12-05, converted from TensorFlow. Its name holds
the first eight digits of its SHA-256; the whole of it stands below and is compared before the weights are trusted.

Blocks and their order are torch-fidelity's. Each of their convolutions takes in the batch normalisation that follows,
computed in float64: W' = W g / sqrt(v + eps), b' = beta - m g / sqrt(v + eps) with running mean m and variance v. Where
torch has oneDNN, weights are stored as its kernels read them and a kernel applies the ReLU before it writes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench_zoo.pretrained import ORDER
from ganbench_zoo.weights import Release

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
RELEASE = Release(
    extractor="inception_v3",
    variable="GANBENCH_INCEPTION",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    size=95_628_359,
    sha256=SHA256,
    files=("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth"),
)
NETWORK = "inception-v3-compat"
LAYERS = ("2048", "logits_unbiased")
SIDE = 299
STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2")
BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c")


class Convolution(nn.Module):
    """A convolution with bias and ReLU, made of a convolution and the batch normalisation that follows it."""

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = convolution.weight.double() * scale[:, None, None, None]
        bias = norm.bias.double() - norm.running_mean.double() * scale
        self.weight = nn.Parameter(weight.float().contiguous(memory_format=ORDER), requires_grad=False)
        self.bias = nn.Parameter(bias.float(), requires_grad=False)
        self.stride, self.padding = list(convolution.stride), list(convolution.padding)
        self.packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        if self.packed is None:
            return F.conv2d(x, self.weight, self.bias, self.stride, self.padding).relu_()
        return _fused(x, self.packed, self.bias, self.stride, self.padding)

    def pack(self, x: Tensor, plain: Tensor) -> None:
        """Store the weights as oneDNN reads them for inputs like ``x``, of which ``plain`` is the output.

        Nothing is stored where torch has no such kernels, or where they give another result.
        """
        try:
            given = (self.weight, self.padding, self.stride, [1, 1], 1, list(x.shape))
            packed = torch.ops.mkldnn._reorder_convolution_weight(*given)
            found = _fused(x, packed, self.bias, self.stride, self.padding)
        except (AttributeError, RuntimeError, TypeError):  # the kernels are torch's own and may change without notice
            return
        if torch.allclose(found, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max())):
            self.packed = packed


def _fused(x: Tensor, packed: Tensor, bias: Tensor, stride: list[int], padding: list[int]) -> Tensor:
    """Return relu(convolution + bias) from one oneDNN kernel."""
    return torch.ops.mkldnn._convolution_pointwise(x, packed, bias, padding, stride, [1, 1], 1, "relu", [], "")


class Inception(nn.Module):
    """Features (N, 2048) after the last average pooling and logits (N, 1008) without the head's bias.

    ``source`` is torch-fidelity's network; its blocks are taken over and changed in place.
    """

    def __init__(self, source: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        _fold(source)
        names = (*STEM, *(f"Mixed_{block}" for block in BLOCKS), "AvgPool")
        self.body = nn.Sequential(*(getattr(source, name) for name in names), nn.Flatten()).to(dtype)
        self.head = nn.Parameter(source.fc.weight.detach().float(), requires_grad=False)
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map pixels (N, 3, 299, 299) in [-1, 1) to features and logits, float32."""
        features = self.body(x).float()
        return features, features @ self.head.T


def _fold(module: nn.Module) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import BasicConv2d

    for name, child in module.named_children():
        if isinstance(child, BasicConv2d):
            setattr(module, name, Convolution(child.conv, child.bn))
        else:
            _fold(child)


def build(state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> Inception:
    """Return the network with the tensors of ``state`` on ``device``, in eval mode.

    Raises:
        RuntimeError, TypeError or AttributeError: the tensors are not those of this network.
    """
    from torch_fidelity.utils import create_feature_extractor

    file = io.BytesIO()  # torch-fidelity unpickles whatever it is given: here, tensors that were read safely
    torch.save(dict(state), file)
    file.seek(0)
    given = {"cuda": False, "verbose": False, "feature_extractor_weights_path": file}
    network = Inception(create_feature_extractor(NETWORK, list(LAYERS), **given), dtype)
    network = network.to(device=device, memory_format=ORDER)
    if device.type == "cpu" and dtype == torch.float32 and torch.backends.mkldnn.is_available():
        _pack(network)
    return network


def _pack(network: Inception) -> None:
    """Pack every convolution for the size of input that it meets."""

    def pack(convolution: nn.Module, given: tuple[Tensor, ...], plain: Tensor) -> None:
        convolution.pack(given[0], plain)

    hooks = [module.register_forward_hook(pack) for module in network.modules() if isinstance(module, Convolution)]
    with torch.no_grad():
        network.body(torch.linspace(-1, 1, 3 * SIDE * SIDE).view(1, 3, SIDE, SIDE).contiguous(memory_format=ORDER))
    for hook in hooks:
        hook.remove()
