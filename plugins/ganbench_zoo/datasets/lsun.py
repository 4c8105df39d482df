"""LSUN: Construction of a Large-scale Image Dataset using Deep Learning with Humans in the Loop.

F. Yu, A. Seff, Y. Zhang, S. Song, T. Funkhouser, J. Xiao, 2015, arXiv:1506.03365; one category of scenes, from the LMDB
databases that the authors offer (``<root>/lsun/bedroom_train_lmdb`` and others, which have to be put there by hand, as
for torchvision; reading them needs the package lmdb). Three channels; no labels, since a category is one class. Nothing
is flipped. What is decoded is kept on disk for later runs (`ganbench_zoo.decoded`) unless ``cache=False``.

Differs: the authors' own validation set has 300 images, too few to compare with. So 10,000 images of the training
database (a fifth of a small one), ranked by the SHA-256 of ``lsun:<key>``, are held out as "test"; "train" is the rest,
or its first ``limit`` in the same order; "val" is the authors' own. Images are cropped to their centred square and
resized to ``size`` with Pillow's Lanczos filter. torchvision's class is not used: it unpickles a list of keys that it
finds in the working directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import ganbench
from ganbench import Images, ImageSpec
from ganbench.values import Stream
from ganbench_zoo.decode import Decoder
from ganbench_zoo.decoded import load_whole, open_rows
from ganbench_zoo.rows import ImageRows
from ganbench_zoo.splits import ranked, require

CATEGORIES = (
    "bedroom", "bridge", "church_outdoor", "classroom", "conference_room", "dining_room", "kitchen", "living_room",
    "restaurant", "tower",
)  # fmt: skip
HELD_OUT = 10_000


@dataclass(frozen=True)
class LmdbSource:
    """The image files in an LMDB database, by their keys: `ganbench_zoo.members.Source`."""

    path: Path
    names: tuple[str, ...]
    environment: Any

    def read(self, name: str) -> bytes:
        """Return one image file. Raises ValueError where it is not there."""
        with self.environment.begin(write=False) as transaction:
            content = transaction.get(name.encode())
        if content is None:
            raise ValueError(f"{self.path} holds no {name}")
        return bytes(content)

    def fingerprint(self) -> str:
        """Return the SHA-256 over all keys and the length of the database: reading all of it would take minutes."""
        said = "\n".join([str((self.path / "data.mdb").stat().st_size), *self.names])
        return hashlib.sha256(said.encode()).hexdigest()


@dataclass(frozen=True)
class Lsun:
    """Scenes of one ``category`` as squares of ``size`` pixels a side, at most ``limit`` of them in "train"."""

    name: ClassVar[str] = "lsun"
    paper: ClassVar[str] = "arXiv:1506.03365"
    extractor: ClassVar[str] = "inception_v3"
    domain: ClassVar[str] = "lsun"

    category: str = "bedroom"
    size: int = 64
    limit: int | None = None
    cache: bool = field(default=True, metadata={"location": True})

    def __post_init__(self) -> None:
        if self.category not in CATEGORIES:
            raise ValueError(f"lsun: category is {self.category!r}, not one of {', '.join(CATEGORIES)}")
        if not 1 <= self.size <= 512:
            raise ValueError(f"lsun: size is {self.size!r}, not between 1 and 512")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"lsun: limit is {self.limit!r}; it must be at least 1")

    def spec(self, root: Path) -> ImageSpec:
        """Return three channels of ``size`` x ``size``, without classes."""
        return ImageSpec((3, self.size, self.size))

    def load(self, root: Path, split: str) -> Images:
        """Return one split: uint8 (N, 3, size, size) without labels, decoded as a whole.

        Raises:
            ValueError: there is no such split, the database is missing or broken, or memory does not suffice.
        """
        remedy = "set limit, as in lsun(limit=100000), or a smaller size"
        return Images(load_whole(self._rows(root, split), f"lsun, {self.category}", remedy, self.cache))

    def stream(self, root: Path, split: str) -> Stream:
        """Return one split whose images are decoded as they are asked for; small or kept ones at once.

        Raises as `load`.
        """
        return Stream(open_rows(self._rows(root, split), self.cache))

    def _rows(self, root: Path, split: str) -> ImageRows:
        require(split, ("train", "val", "test"), self.name)
        source = open_database(root / "lsun" / f"{self.category}_{'val' if split == 'val' else 'train'}_lmdb")
        names = list(source.names)
        if split != "val":
            order = ranked(names, self.name)
            held_out = min(HELD_OUT, max(1, len(order) // 5))
            names = sorted(order[:held_out] if split == "test" else order[held_out:][: self.limit])
        if not names:
            raise ValueError(f"lsun: {source.path} holds too few images for the split {split!r}")
        return ImageRows(Decoder(source, (3, self.size, self.size), names[0], self.size), names)


def open_database(path: Path) -> LmdbSource:
    """Open the LMDB database in the folder ``path`` for reading.

    Raises:
        ValueError: it is not there, cannot be read, or the package lmdb is missing.
    """
    if not (path / "data.mdb").is_file():
        raise ValueError(
            f"lsun: data.mdb was looked for in {path} and is not there; download and unpack the category from the "
            "authors' site (https://github.com/fyu/lsun), or name a data root that has it"
        )
    try:
        import lmdb
    except ImportError as error:
        raise ValueError("lsun: reading the databases needs the package lmdb; run 'pip install lmdb'") from error
    try:
        environment = _environment(path.resolve())
        with environment.begin(write=False) as transaction:
            names = tuple(key.decode("ascii") for key in transaction.cursor().iternext(keys=True, values=False))
    except (lmdb.Error, UnicodeDecodeError) as error:
        raise ValueError(f"lsun: {path} is no database of images ({error})") from error
    return LmdbSource(path, names, environment)


@cache
def _environment(path: Path) -> Any:
    """Return the open database; a process may open one only once."""
    import lmdb

    return lmdb.open(str(path), readonly=True, lock=False, readahead=False, meminit=False)


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Lsun`."""
    return [Lsun]
