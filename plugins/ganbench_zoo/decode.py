"""Image files to uint8 arrays: header first, explicit conversion of modes, one rule for resizing.

Conversion: 1-bit to grey; palettes and alpha over white; CMYK, YCbCr, Lab and HSV to RGB; RGB to one channel by luma
(ITU-R 601-2, as Pillow does); grey to three channels by repetition. 16-bit, 32-bit and float images are refused, not
clipped. EXIF orientation and colour profiles are not applied; of an animation the first frame counts.
Resizing: the largest centred square, then Pillow's Lanczos filter (antialiased) to ``size``, where the side differs.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from ganbench_zoo.members import Source

FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_PIXELS = 64_000_000
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


def dimensions(source: Source, name: str) -> tuple[int, int]:
    """Return (height, width) from the header of an image. Raises ValueError where it is none or too large."""
    with _open(source, name) as image:
        return image.height, image.width


def decode(source: Source, name: str, *, size: int | None, channels: int) -> np.ndarray:
    """Return one image as uint8 (channels, height, width), cropped and resized to ``size`` a side unless None.

    Raises:
        ValueError: the file is truncated, too large, no image, or of a mode that has no 8 bits a channel.
    """
    with _open(source, name) as image:
        try:
            image.load()
            picture = _convert(image, channels)
        except BROKEN as error:
            raise ValueError(f"image_folder: {name} in {source.path} cannot be decoded: {error}") from error
    if picture is None:
        raise ValueError(f"image_folder: {name} in {source.path} has mode {image.mode}; convert it to 8 bits a channel")
    pixels = np.asarray(_resize(picture, size), dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def decode_all(source: Source, names: list[str], *, shape: tuple[int, int, int], size: int | None) -> np.ndarray:
    """Return all images as uint8 (N, *shape), decoded by as many threads as there are cores.

    Raises:
        ValueError: one cannot be decoded, or has another size than the first; the message names both.
    """
    out = np.empty((len(names), *shape), dtype=np.uint8)

    def fill(start: int) -> None:
        for index in range(start, min(start + 256, len(names))):
            pixels = decode(source, names[index], size=size, channels=shape[0])
            if pixels.shape != shape:
                raise ValueError(
                    f"image_folder: {source.path} mixes sizes: {names[0]} is {_sides(shape)}, "
                    f"{names[index]} is {_sides(pixels.shape)}; set size to crop and resize all"
                )
            out[index] = pixels

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for _ in pool.map(fill, range(0, len(names), 256)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
    return out


def _open(source: Source, name: str) -> Image.Image:
    """Read the header of an image; its pixels are not decoded yet."""
    try:
        image = Image.open(io.BytesIO(source.read(name)), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"image_folder: {name} in {source.path} has too many pixels: {error}") from error
    except (OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"image_folder: {name} in {source.path} is no image of a known format") from error
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"image_folder: {name} in {source.path} has {image.width}x{image.height} pixels; "
            f"at most {MAX_PIXELS // 10**6} megapixels are allowed"
        )
    return image


def _convert(image: Image.Image, channels: int) -> Image.Image | None:
    """Return the image as "L" or "RGB", or None for a mode without 8 bits a channel."""
    if image.mode == "P" or image.mode in ALPHA or (image.mode in GREY | {"RGB"} and "transparency" in image.info):
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, coloured).convert("RGB")
    elif image.mode not in GREY | COLOUR:
        return None
    if image.mode in GREY and channels == 1:
        return image.convert("L")
    rgb = image.convert("RGB")
    return rgb if channels == 3 else rgb.convert("L")


def _resize(image: Image.Image, size: int | None) -> Image.Image:
    if size is None:
        return image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image if image.width == image.height else image.crop((left, top, left + side, top + side))
    return square if side == size else square.resize((size, size), Image.Resampling.LANCZOS)


def _sides(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}x{shape[1]}"
