"""Any images of one's own, from a folder or a zip archive; no publication.

Layout: if a top-level folder is called train, val or test, all of them must be, and they are the splits; otherwise 20 %
of the images (at least one), ranked by the SHA-256 of ``image_folder:<name>``, are held out as "test" and the rest is
"train". The next level are the classes, in alphabetical order; deeper folders belong to their class. Images without a
class folder make a set without labels. One folder around all of it is passed over.

Differs: sizes must agree unless ``size`` is set; then each image is cropped to its centred square and resized. How, and
how modes are converted, stands in `ganbench_zoo.decode`; what is refused, in `ganbench_zoo.members`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.decode import decode_all, dimensions
from ganbench_zoo.members import Source, open_source
from ganbench_zoo.memory import available_bytes
from ganbench_zoo.splits import ranked, require

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Layout:
    """The images of each split as (name, class name or None), and the class names of "train" in order."""

    splits: dict[str, list[tuple[str, str | None]]]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ImageFolder:
    """Images of your own: a folder or zip at ``path``, with ``channels`` 1 or 3, cropped and resized to ``size``.

    A relative ``path`` is looked for in the working directory, then in the data root.
    """

    name: ClassVar[str] = "image_folder"
    paper: ClassVar[str] = "your own images, no publication"
    extractor: ClassVar[str] = "inception_v3"
    domain: ClassVar[str] = "image_folder"

    path: str = field(metadata={"location": True})
    size: int | None = None
    channels: int = 3

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("image_folder: path is empty; it must name a folder or a zip archive")
        if self.size is not None and not 1 <= self.size <= 8000:
            raise ValueError(f"image_folder: size is {self.size!r}, not between 1 and 8000")
        if self.channels not in {1, 3}:
            raise ValueError(f"image_folder: channels is {self.channels!r}, neither 1 nor 3")

    def spec(self, root: Path) -> ImageSpec:
        """Return (channels, size, size), or the height and width of the first image, and the number of classes."""
        return self._spec(*self._read(root))

    def load(self, root: Path, split: str) -> Images:
        """Return one split: uint8 (N, C, H, W), int64 labels or None; decoded as a whole into memory.

        Raises:
            ValueError: there is no such split; the set is empty, of mixed sizes, broken, or too large for memory.
        """
        source, layout = self._read(root)
        require(split, tuple(layout.splits), f"{self.name}({source.path})")
        images, spec = layout.splits[split], self._spec(source, layout)
        _check_memory(source, len(images) * spec.shape[0] * spec.shape[1] * spec.shape[2])
        pixels = decode_all(source, [name for name, _ in images], shape=spec.shape, size=self.size)
        labels = torch.tensor([layout.classes.index(kind) for _, kind in images]) if layout.classes else None
        return Images(torch.from_numpy(pixels), labels)

    def fingerprint(self, root: Path) -> str:
        """Return the SHA-256 of the images: over names, sizes and CRC-32 (zip) or content hashes (folder)."""
        return self._read(root)[0].fingerprint()

    def _read(self, root: Path) -> tuple[Source, Layout]:
        source = open_source(_resolve(self.path, root))
        return source, arrange(source)

    def _spec(self, source: Source, layout: Layout) -> ImageSpec:
        first = layout.splits["train"][0][0] if "train" in layout.splits else source.names[0]
        height, width = (self.size, self.size) if self.size else dimensions(source, first)
        return ImageSpec((self.channels, height, width), classes=len(layout.classes) or None)


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
            raise ValueError(f"image_folder: {source.path} has splits, but {stray} lies in none of {', '.join(SPLITS)}")
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
        raise ValueError(f"image_folder: {source.path} has classes, but {loose} lies in no class folder")
    known = {kind for _, kind in splits.get("train", ())} or set(kinds.values())
    for name, kind in kinds.items():
        if kind not in known:
            raise ValueError(f"image_folder: {source.path} has no training images of the class of {name}")
    return tuple(sorted(kind for kind in known if kind is not None))


def _resolve(path: str, root: Path) -> Path:
    """Return ``path`` from the working directory if it exists there, else from the data root."""
    given = Path(path).expanduser()
    return given if given.is_absolute() or given.exists() else root / given


def _check_memory(source: Source, needed: int) -> None:
    """Refuse a split that would take more than half of the memory that is available."""
    available = available_bytes()
    if available is not None and needed > available / 2:
        raise ValueError(
            f"image_folder: {source.path} needs {needed / 2**30:.1f} GiB decoded, more than half of the "
            f"{available / 2**30:.1f} GiB of memory available; set a smaller size or use fewer images"
        )


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `ImageFolder`."""
    return [ImageFolder]
