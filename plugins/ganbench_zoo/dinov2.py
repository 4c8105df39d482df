"""The vision transformer of DINOv2, as its released weights want it.

M. Oquab et al., "DINOv2: Learning robust visual features without supervision", 2023, arXiv:2304.07193, after
A. Dosovitskiy et al., "An image is worth 16x16 words", 2020, arXiv:2010.11929, with layer scale (H. Touvron et al.,
2021, arXiv:2103.17239): a block maps x to x + g1 attention(norm(x)), then to x + g2 mlp(norm(x)).

Differs: torch-fidelity runs the authors' code, which torch.hub downloads unchecked; this runs none that is downloaded.
Tensors have the names of the released files, and the features are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 14
TRAINED = 37  # patches a side in the last phase of training, at 518 pixels
EPSILON = 1e-6


@dataclass(frozen=True)
class Size:
    """The size of a transformer: ``width`` of a token, ``depth`` in blocks, ``heads``; ``gated`` for a SwiGLU."""

    width: int
    depth: int
    heads: int
    gated: bool = False


class Attention(nn.Module):
    """Self-attention of all tokens with all."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, d) to (N, T, d)."""
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (N, heads, T, d / heads)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))


class Mlp(nn.Module):
    """Two layers with a GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, d) to (N, T, d)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Gated(nn.Module):
    """Two layers, the first gated by a SiLU (SwiGLU, N. Shazeer, 2020, arXiv:2002.05202)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = (8 * width // 3 + 7) // 8 * 8  # as many weights as `Mlp`, in multiples of eight
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, d) to (N, T, d)."""
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(F.silu(gate) * value)


class Scale(nn.Module):
    """One factor a feature."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, d) to (N, T, d)."""
        return x * self.gamma


class Block(nn.Module):
    """Attention and a perceptron, each normalised before and scaled after."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(size.width, eps=EPSILON) for _ in range(2))
        self.attn = Attention(size.width, size.heads)
        self.mlp = (Gated if size.gated else Mlp)(size.width)
        self.ls1, self.ls2 = Scale(size.width), Scale(size.width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, d) to (N, T, d)."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class Patches(nn.Module):
    """One token a patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, H / 14 * W / 14, d), row by row."""
        return self.proj(x).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """The class token after the last block and its norm, of square images."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + TRAINED**2, size.width))
        self.mask_token = nn.Parameter(torch.empty(1, size.width))  # of the training; released with the rest
        self.patch_embed = Patches(size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.depth))
        self.norm = nn.LayerNorm(size.width, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Map normalised pixels (N, 3, side, side), the side a multiple of 14, to features (N, d)."""
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), self.patch_embed(x)], dim=1)
        x = x + self._positions(x.shape[1] - 1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x[:, 0])

    def _positions(self, patches: int) -> Tensor:
        """Return embeddings (1, 1 + patches, d): those of the training, interpolated to a smaller grid."""
        side = round(patches**0.5)
        if side == TRAINED:
            return self.pos_embed
        grid = self.pos_embed[:, 1:].unflatten(1, (TRAINED, TRAINED)).permute(0, 3, 1, 2)
        factor = (side + 0.1) / TRAINED  # the authors' offset against rounding; it shifts every embedding a little
        grid = F.interpolate(grid, scale_factor=(factor, factor), mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def build(size: Size, state: Mapping[str, Tensor]) -> VisionTransformer:
    """Return the transformer with the tensors of ``state`` as float32, in eval mode.

    Raises:
        RuntimeError: names or shapes are others.
    """
    with torch.device("meta"):  # no initial weights: the stored ones take their place
        network = VisionTransformer(size)
    network.load_state_dict(dict(state), assign=True)
    return network.float().eval().requires_grad_(False)
