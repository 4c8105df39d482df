"""Image files to uint8 arrays: header first, explicit conversion of modes, one rule for resizing.

Conversion: 1-bit to grey; palettes and alpha over white; CMYK, YCbCr, Lab and HSV to RGB; RGB to one channel by luma
(ITU-R 601-2, as Pillow does); grey to three channels by repetition. 16-bit, 32-bit and float images are refused, not
clipped. EXIF orientation and colour profiles are not applied; of an animation the first frame counts.
Resizing: the largest centred square, or one of ``crop`` pixels, then Pillow's Lanczos filter (antialiased) to ``size``,
where the side differs.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from ganbench_zoo.members import Source

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 64_000_000
STEP = 8  # images that a thread decodes before it asks for more: few enough to share out a batch
GREY = frozenset({"1", "L"})
ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
COLOUR = frozenset({"RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

Mode = Literal["grey", "colour", "transparent"]


@dataclass(frozen=True)
class Header:
    """What an image says of itself before its pixels are decoded."""

    height: int
    width: int
    mode: Mode


@dataclass(frozen=True)
class Decoder:
    """Reads the images of one set: all to ``shape`` (C, H, W), cropped and resized to ``size`` a side unless None.

    ``crop`` is the side of the centred square that is taken before, the largest if None. Where ``mode`` is given,
    images of another one are refused, not converted. ``first`` is the image from which shape and mode were taken, for
    messages.
    """

    source: Source
    shape: tuple[int, int, int]
    first: str
    size: int | None = None
    mode: Mode | None = None
    crop: int | None = None

    def __call__(self, name: str) -> np.ndarray:
        """Return one image as uint8 (C, H, W).

        Raises:
            ValueError: the file is truncated, too large, no image, has not 8 bits a channel, or is unlike the first.
        """
        with _open(self.source, name) as image:
            mode = _mode(self.source, name, image)
            if self.mode is not None and mode != self.mode:
                raise ValueError(
                    f"{self.source.path} mixes modes: {self.first} is {self.mode}, {name} is {mode}; "
                    "convert them, or name the set as image_folder(path=..., channels=1 or 3), which converts them"
                )
            try:
                image.load()
                picture = _convert(image, self.shape[0])
            except BROKEN as error:
                raise ValueError(f"{name} in {self.source.path} cannot be decoded: {error}") from error
        if self.crop is not None and min(picture.size) < self.crop:
            sides = f"{picture.width}x{picture.height}"
            raise ValueError(f"{name} in {self.source.path} is {sides}, too small to crop {self.crop} pixels from it")
        pixels = np.asarray(_resize(picture, self.size, self.crop), dtype=np.uint8)
        pixels = pixels[None] if self.shape[0] == 1 else pixels.transpose(2, 0, 1)
        if pixels.shape != self.shape:
            raise ValueError(
                f"{self.source.path} mixes sizes: {self.first} is {_sides(self.shape)}, {name} is "
                f"{_sides(pixels.shape)}; set size, as in image_folder(path=..., size=64), to crop and resize all"
            )
        return pixels


def look(source: Source, name: str) -> Header:
    """Return what the header of an image says. Raises ValueError for no image, too large a one, or not 8 bits."""
    with _open(source, name) as image:
        return Header(image.height, image.width, _mode(source, name, image))


def threads() -> ThreadPoolExecutor:
    """Return as many threads as there are cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(cores, thread_name_prefix="decode")


def decode_all(decoder: Decoder, names: Sequence[str], pool: ThreadPoolExecutor) -> np.ndarray:
    """Return all images as uint8 (N, *shape), decoded by the threads of ``pool``.

    Raises:
        ValueError: one cannot be decoded, or is unlike the first; the message names it.
    """
    out = np.empty((len(names), *decoder.shape), dtype=np.uint8)

    def fill(start: int) -> None:
        for index in range(start, min(start + STEP, len(names))):
            out[index] = decoder(names[index])

    for _ in pool.map(fill, range(0, len(names), STEP)):
        pass
    return out


def _open(source: Source, name: str) -> Image.Image:
    """Read the header of an image; its pixels are not decoded yet."""
    try:
        image = Image.open(io.BytesIO(source.read(name)), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"{name} in {source.path} has too many pixels: {error}") from error
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"{name} in {source.path} is no image of a known format") from error
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"{name} in {source.path} has {image.width}x{image.height} pixels; "
            f"at most {MAX_PIXELS // 10**6} megapixels are allowed"
        )
    return image


def _mode(source: Source, name: str, image: Image.Image) -> Mode:
    """Return what kind of colours an image has. Raises ValueError for one without 8 bits a channel."""
    depth = image.mode if image.mode not in GREY | ALPHA | COLOUR | {"P"} else _deep(image)
    if depth:
        raise ValueError(f"{name} in {source.path} has mode {depth}; convert it to 8 bits a channel")
    if image.mode in ALPHA or "transparency" in image.info:
        return "transparent"
    return "grey" if image.mode in GREY else "colour"


def _deep(image: Image.Image) -> str | None:
    """Name the raw mode of 16-bit colours, of which Pillow would drop the lower half without a word; else None."""
    for tile in image.tile:
        parts = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        raw = next((str(part) for part in parts if isinstance(part, str) and ";16" in part), None)
        if raw:
            return raw
        if tile[0] == "ppm" and any(isinstance(part, int) and part > 255 for part in parts):
            return f"{image.mode} with values up to {max(part for part in parts if isinstance(part, int))}"
    return None


def _convert(image: Image.Image, channels: int) -> Image.Image:
    """Return the image as "L" or "RGB"."""
    if image.mode == "P" or image.mode in ALPHA or (image.mode in GREY | {"RGB"} and "transparency" in image.info):
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, coloured).convert("RGB")
    if image.mode in GREY and channels == 1:
        return image.convert("L")
    rgb = image.convert("RGB")
    return rgb if channels == 3 else rgb.convert("L")


def resize_all(images: np.ndarray, size: int) -> np.ndarray:
    """Return square images uint8 (N, 3, H, H) as (N, 3, size, size); a memory map is read bit by bit."""
    out = np.empty((len(images), 3, size, size), dtype=np.uint8)

    def fill(index: int) -> None:
        image = Image.fromarray(np.ascontiguousarray(images[index].transpose(1, 2, 0)))
        out[index] = np.asarray(_resize(image, size)).transpose(2, 0, 1)

    with threads() as pool:
        for _ in pool.map(fill, range(len(images)), chunksize=STEP):
            pass
    return out


def _resize(image: Image.Image, size: int | None, crop: int | None = None) -> Image.Image:
    if size is None:
        return image
    side = crop or min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image if image.size == (side, side) else image.crop((left, top, left + side, top + side))
    return square if side == size else square.resize((size, size), Image.Resampling.LANCZOS)


def _sides(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}x{shape[1]}"
