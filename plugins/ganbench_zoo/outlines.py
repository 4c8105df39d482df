"""Filled shapes of one colour on black: how they are drawn, and how one is recognised in an image of any origin.

A shape of size s covers the area of a disc of radius s, so that area does not tell the kind. Its angle is the direction
of one of its furthest points. A pixel is covered by clamp(1/2 - d, 0, 1), d being the signed distance in pixels of its
centre to the outline (to the lines that bound it, at corners): antialiasing that is exact along straight edges.

An image is recognised in closed form. The colour is the one of the palette that leaves the least residual, and gives
the coverage a of each pixel. Of a, without its faint part, area, centroid and the harmonic moment sum a z^m (z = x + iy
about the centroid, m the kind's symmetry) are size, place and, as arg / m, angle of a shape of each kind. The kind is
the one whose drawing is nearest; the image is of that mode where

    |image - drawing|^2 / |drawing|^2 < 0.03

Drawings of two kinds are more than four times that apart (square and cross are nearest), so a sample that is taken lies
nearer than half-way to the next mode and can be of no other. Sizes and places stay within those of the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

KINDS = ("ring", "square", "triangle", "cross")
FOLDS: Mapping[str, int] = MappingProxyType({"square": 4, "triangle": 3, "cross": 4})
UPRIGHT: Mapping[str, float] = MappingProxyType(
    {"ring": 0.0, "square": math.pi / 4, "triangle": -math.pi / 2, "cross": 0.0}
)
COLOURS = ("red", "green", "blue", "yellow", "magenta", "cyan")
PALETTE = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1))
TOLERANCE = 0.03

_RING = math.sqrt(4 / 3)  # outer radius, the inner one being half of it, of area pi
_SQUARE = math.sqrt(math.pi) / 2  # from the centre to a side, of area pi
_TRIANGLE = math.sqrt(math.pi / (3 * math.sqrt(3)))  # likewise
_CROSS = math.sqrt(math.pi / 5)  # width of an arm, of five squares of area pi
REACH = 2 * _TRIANGLE
"""How far the furthest point of any kind is from the centre, in sizes."""
_FAINT = 0.2
_BLOCK = 512


@dataclass(frozen=True)
class Placing:
    """Where shapes lie: ``x``, ``y`` of the centre (that of the first pixel is 0), ``size``, ``angle``; each (n,)."""

    x: Tensor
    y: Tensor
    size: Tensor
    angle: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Placing:
        return Placing(self.x[rows], self.y[rows], self.size[rows], self.angle[rows])


def coverage(kind: str, side: int, placing: Placing) -> Tensor:
    """Return how much of each pixel a shape covers, (n, side, side) in [0, 1]."""
    x, y, size, cos, sin = (
        t[:, None, None] for t in (placing.x, placing.y, placing.size, placing.angle.cos(), placing.angle.sin())
    )
    axis = torch.arange(side, dtype=placing.x.dtype)
    right, down = (axis - x) / size, (axis[:, None] - y) / size  # (n, 1, side), (n, side, 1)
    distance = _distance(kind, right * cos + down * sin, down * cos - right * sin)
    return (0.5 - size * distance).clamp(0, 1)


def draw(kinds: Tensor, colours: Tensor, side: int, placing: Placing) -> Tensor:
    """Draw shapes of ``kinds`` and ``colours``, int64 (n,): uint8 (n, 3, side, side)."""
    palette, out = torch.tensor(PALETTE), torch.zeros(len(kinds), 3, side, side, dtype=torch.uint8)
    for index, kind in enumerate(KINDS):
        for rows in (kinds == index).nonzero()[:, 0].split(_BLOCK):
            grey = coverage(kind, side, placing[rows]).mul(255).add(0.5).floor().byte()
            out[rows] = grey[:, None] * palette[colours[rows]].byte()[:, :, None, None]
    return out


@dataclass(frozen=True)
class Sightings:
    """The modes kind x colour of shapes of ``sizes`` on images of ``side`` pixels, turned or upright.

    Satisfies `ganbench.components.Truth`: mode kind * 6 + colour, -1 where nothing of the data is near.
    """

    side: int
    sizes: tuple[float, float]
    turned: bool

    width: None = None

    @property
    def modes(self) -> int:
        """How many pairs of a kind and a colour there are."""
        return len(KINDS) * len(COLOURS)

    def locate(self, stored: Tensor) -> tuple[Tensor, None]:
        """Return the mode of each image, uint8 (N, 3, side, side), as int64 (N,); there are no deviations."""
        parts = [self._locate(block) for block in stored.detach().cpu().split(_BLOCK)]
        return (torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)), None

    def _locate(self, stored: Tensor) -> Tensor:
        images = stored.float() / 255
        colours, covered = nearest_colour(images)  # (n,), (n, side, side)
        target = covered.clamp(0, 1)
        spent = images.square().sum((1, 2, 3))
        shades = torch.tensor(PALETTE).float()[colours]
        weight = shades.square().sum(1)  # |c|^2
        errors = []
        for kind in KINDS:
            drawn = coverage(kind, self.side, self._placing(kind, target))
            energy = weight * drawn.square().sum((1, 2))
            overlap = weight * (covered * drawn).sum((1, 2))
            errors.append((spent - 2 * overlap + energy) / energy)
        error, kinds = torch.stack(errors).min(dim=0)
        return torch.where(error < TOLERANCE, kinds * len(COLOURS) + colours, -1)

    def _placing(self, kind: str, covered: Tensor) -> Placing:
        """Return the placing of a shape of ``kind`` with the moments of ``covered`` (n, side, side), kept in bounds."""
        clear = ((covered - _FAINT) / (1 - 2 * _FAINT)).clamp(0, 1)
        area, axis = clear.sum((1, 2)).clamp(min=1), torch.arange(self.side, dtype=clear.dtype)
        x, y = (clear.sum(1) * axis).sum(1) / area, (clear.sum(2) * axis).sum(1) / area
        size = (area / math.pi).sqrt().clamp(*self.sizes)
        low, high = REACH * size, self.side - 1 - REACH * size
        if self.turned and kind in FOLDS:
            z = torch.complex(*torch.broadcast_tensors((axis - x[:, None])[:, None], (axis - y[:, None])[:, :, None]))
            power = z * z * z if FOLDS[kind] == 3 else (z * z).square()
            angle = (clear * power).sum((1, 2)).angle() / FOLDS[kind]
        else:
            angle = torch.full_like(x, UPRIGHT[kind])
        return Placing(x.clamp(low, high), y.clamp(low, high), size, angle)


def nearest_colour(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the colour whose multiples come nearest to each image (n, 3, H, W), and these multiples (n, H, W)."""
    palette = torch.tensor(PALETTE).float()
    squares = palette.square().sum(1)
    multiples = torch.einsum("nchw,kc->nkhw", images, palette) / squares[:, None, None]
    colours = (multiples.square().sum((2, 3)) * squares).argmax(1)
    return colours, multiples[torch.arange(len(images)), colours]


def _distance(kind: str, u: Tensor, v: Tensor) -> Tensor:
    """Return the signed distance of points to the outline, all in sizes; the u axis goes through a furthest point."""
    if kind == "ring":
        radius = (u.square() + v.square()).sqrt()
        return torch.maximum(radius - _RING, _RING / 2 - radius)
    u, v = (u, v.abs()) if kind == "triangle" else (u.abs(), v.abs())
    if kind == "square":
        return (u + v) / math.sqrt(2) - _SQUARE
    if kind == "triangle":
        return torch.maximum(-u, (u + math.sqrt(3) * v) / 2) - _TRIANGLE
    along = torch.maximum(u - 1.5 * _CROSS, v - 0.5 * _CROSS)
    return torch.minimum(along, torch.maximum(v - 1.5 * _CROSS, u - 0.5 * _CROSS))
