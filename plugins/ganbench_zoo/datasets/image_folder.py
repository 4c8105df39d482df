"""Any images of one's own, from a folder or a zip archive; no publication.

Layout: if a top-level folder is called train, val or test, all of them must be, and they are the splits; otherwise 20 %
of the images (at least one), ranked by the SHA-256 of ``image_folder:<name>``, are held out as "test" and the rest is
"train". The next level are the classes, in alphabetical order; deeper folders belong to their class. Images without a
class folder make a set without labels. One folder around all of it is passed over. The split "all" holds every image.
Nothing is flipped.

A split of 64 MiB or more, decoded, is kept as one array below GANBENCH_CACHE (``decoded``) and mapped into memory by
later runs, so that it is decoded once and may be larger than memory. It is known by the images' content.

Differs: sizes must agree unless ``size`` is set; then each image is cropped to its centred square and resized. How, and
how modes are converted, stands in `ganbench_zoo.decode`; what is refused, in `ganbench_zoo.members`. A set that is
named by its path alone (`OpenedFolder`) is taken as it lies, and images of mixed modes are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

import ganbench
from ganbench import Images, ImageSpec
from ganbench.values import Stream
from ganbench_zoo.decode import Decoder, look
from ganbench_zoo.decoded import load_whole, open_rows
from ganbench_zoo.members import Source, open_source, resolve
from ganbench_zoo.rows import ImageRows
from ganbench_zoo.splits import ranked, require

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Layout:
    """The images of each split as (name, class name or None), and the class names of "train" in order."""

    splits: dict[str, list[tuple[str, str | None]]]
    classes: tuple[str, ...]

    def everything(self) -> list[tuple[str, str | None]]:
        """Return the images of all splits, sorted by name."""
        return sorted((image for images in self.splits.values() for image in images), key=lambda image: image[0])

    def first(self, source: Source) -> str:
        """Return the image that gives the size of all."""
        return self.splits["train"][0][0] if "train" in self.splits else source.names[0]


@dataclass(frozen=True)
class ImageFolder:
    """Images of your own: a folder or zip at ``path``, with ``channels`` 1 or 3, cropped and resized to ``size``.

    A relative ``path`` is looked for in the working directory, then in the data root. ``cache=False`` keeps no decoded
    images on disk.
    """

    name: ClassVar[str] = "image_folder"
    paper: ClassVar[str] = "your own images, no publication"
    extractor: ClassVar[str] = "inception_v3"
    domain: ClassVar[str] = "image_folder"

    path: str = field(metadata={"location": True})
    size: int | None = None
    channels: int = 3
    cache: bool = field(default=True, metadata={"location": True})

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("image_folder: path is empty; it must name a folder or a zip archive")
        if self.size is not None and not 1 <= self.size <= 8000:
            raise ValueError(f"image_folder: size is {self.size!r}, not between 1 and 8000")
        if self.channels not in {1, 3}:
            raise ValueError(f"image_folder: channels is {self.channels!r}, neither 1 nor 3")

    @classmethod
    def opening(cls, path: Path) -> OpenedFolder | None:
        """Open a folder or a .zip of images, as they lie.

        Raises:
            ValueError: there is no image, or something that must not be trusted.
        """
        if not path.is_dir() and path.suffix.lower() != ".zip":
            return None
        source = open_source(path)
        header = look(source, source.names[0])
        return OpenedFolder(path=str(path), channels=1 if header.mode == "grey" else 3)

    def spec(self, root: Path) -> ImageSpec:
        """Return (channels, size, size), or the height and width of the first image, and the number of classes."""
        return self._spec(*self._read(root))

    def load(self, root: Path, split: str) -> Images:
        """Return one split: uint8 (N, C, H, W), int64 labels or None; decoded as a whole.

        Raises:
            ValueError: there is no such split; the set is empty, of mixed sizes, broken, or too large for memory.
        """
        rows, labels = self._rows(root, split)
        remedy = "set a smaller size or use fewer images"
        return Images(load_whole(rows, str(rows.decoder.source.path), remedy, self.cache), labels)

    def stream(self, root: Path, split: str) -> Stream:
        """Return one split whose images are decoded as they are asked for; a small or a kept one is decoded at once.

        Raises:
            ValueError: there is no such split; the set is empty or broken.
        """
        rows, labels = self._rows(root, split)
        return Stream(open_rows(rows, self.cache), labels)

    def fingerprint(self, root: Path) -> str:
        """Return the SHA-256 of the images: over names, sizes and CRC-32 (zip) or content hashes (folder)."""
        return self._read(root)[0].fingerprint()

    def _read(self, root: Path) -> tuple[Source, Layout]:
        source = open_source(resolve(self.path, root))
        return source, arrange(source)

    def _rows(self, root: Path, split: str) -> tuple[ImageRows, Tensor | None]:
        source, layout = self._read(root)
        require(split, (*layout.splits, "all"), str(source.path))
        images = layout.everything() if split == "all" else layout.splits[split]
        rows = ImageRows(self._decoder(source, layout), [name for name, _ in images])
        if not layout.classes:
            return rows, None
        index = {kind: number for number, kind in enumerate(layout.classes)}
        return rows, torch.tensor([index[kind] for _, kind in images if kind is not None])

    def _decoder(self, source: Source, layout: Layout) -> Decoder:
        return Decoder(source, self._spec(source, layout).shape, layout.first(source), self.size)

    def _spec(self, source: Source, layout: Layout) -> ImageSpec:
        height = width = self.size
        if height is None or width is None:
            header = look(source, layout.first(source))
            height, width = header.height, header.width
        return ImageSpec((self.channels, height, width), classes=len(layout.classes) or None)


@dataclass(frozen=True)
class OpenedFolder(ImageFolder):
    """Images as they lie at ``path``: all of the first one's mode and size, labels only where each has a class."""

    cache: bool = field(default=False, init=False)

    def _read(self, root: Path) -> tuple[Source, Layout]:
        source = open_source(resolve(self.path, root))
        try:
            layout = arrange(source)
        except ValueError:  # folders that mean nothing to us are no fault of the images
            layout = Layout({"all": [(name, None) for name in source.names]}, ())
        return source, Layout({"all": layout.everything()}, layout.classes)

    def _decoder(self, source: Source, layout: Layout) -> Decoder:
        decoder = super()._decoder(source, layout)
        return replace(decoder, mode=look(source, decoder.first).mode)


def arrange(source: Source) -> Layout:
    """Read splits and classes off the names of the images.

    Raises:
        ValueError: splits and other folders, or labelled and unlabelled images, stand side by side.
    """
    paths = _without_wrapper([tuple(name.split("/")) for name in source.names])
    named = dict(zip(source.names, paths, strict=True))
    if any(path[0] in SPLITS for path in paths if len(path) > 1):
        stray = next((name for name, path in named.items() if path[0] not in SPLITS or len(path) == 1), None)
        if stray:
            raise ValueError(f"{source.path} has splits, but {stray} lies in none of {', '.join(SPLITS)}")
        groups = {split: [name for name, path in named.items() if path[0] == split] for split in SPLITS}
        named = {name: path[1:] for name, path in named.items()}
    else:
        order = ranked(source.names, "image_folder")
        held = frozenset(order[: max(1, len(order) // 5)])
        groups = {
            "train": [name for name in source.names if name not in held],
            "test": [name for name in source.names if name in held],
        }
    kinds = {name: path[0] if len(path) > 1 else None for name, path in named.items()}
    splits = {split: [(name, kinds[name]) for name in names] for split, names in groups.items() if names}
    return Layout(splits, _classes(source, splits, kinds))


def _without_wrapper(paths: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Drop a first level that is one folder around splits, or around several classes."""
    inner = {path[1] for path in paths if len(path) > 2}
    if len({path[0] for path in paths}) > 1 or any(len(path) < 3 for path in paths) or paths[0][0] in SPLITS:
        return paths
    return [path[1:] for path in paths] if len(inner) > 1 or inner & set(SPLITS) else paths


def _classes(
    source: Source, splits: dict[str, list[tuple[str, str | None]]], kinds: dict[str, str | None]
) -> tuple[str, ...]:
    """Return the class names, which "train" must all know; none where no image lies in a class folder."""
    if all(kind is None for kind in kinds.values()):
        return ()
    loose = next((name for name, kind in kinds.items() if kind is None), None)
    if loose:
        raise ValueError(f"{source.path} has classes, but {loose} lies in no class folder")
    known = {kind for _, kind in splits.get("train", ())} or set(kinds.values())
    for name, kind in kinds.items():
        if kind not in known:
            raise ValueError(f"{source.path} has no training images of the class of {name}")
    return tuple(sorted(kind for kind in known if kind is not None))


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `ImageFolder`."""
    return [ImageFolder]
