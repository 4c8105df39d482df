"""Decoded images, kept as one uint8 array on disk: what was decoded once is mapped into memory the next time.

An array is known by the content of the image files and by how they were read, so a changed set is decoded anew. It is
written whole or not at all, by one process while others wait. Mapped pages are shared between processes and given back
when memory is short, so a set may be larger than memory. Arrays that are not needed any more may be deleted.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor

from ganbench import ImageSpec
from ganbench.files import write_atomically
from ganbench.folders import cache_folder
from ganbench.stored import content_sha
from ganbench.values import Rows
from ganbench_zoo.originals import check_memory
from ganbench_zoo.rows import CHUNK, SMALL, ImageRows, held

WORTH = 2**26
"""Decoded bytes from which a split is kept: fewer are decoded in about the time that it takes to look."""
VERSION = 1


class Kept:
    """The images of ``rows``, decoded: `ganbench.values.Rows`, and as a ``whole`` a tensor on disk."""

    def __init__(self, rows: ImageRows, array: np.ndarray) -> None:
        self.whole, self._rows = torch.from_numpy(array), rows

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return a copy of some images, uint8 (n, C, H, W)."""
        return self.whole[rows]

    @cached_property
    def fingerprint(self) -> str:
        """The same SHA-256 as that of the images that are decoded as they are asked for."""
        if self._rows.nbytes > SMALL:
            return self._rows.fingerprint
        return content_sha(ImageSpec(self._rows.decoder.shape), len(self), self._chunks())

    def _chunks(self) -> Iterator[Tensor]:
        yield from self.whole.split(CHUNK)


def load_whole(rows: ImageRows, name: str, remedy: str, cache: bool) -> Tensor:
    """Return all images of ``rows``, uint8 (N, C, H, W): on disk where ``cache`` allows it, else in memory.

    Raises:
        ValueError: an image cannot be decoded, or ``name`` is too large for memory; the sentence ends on ``remedy``.
    """
    on_disk = kept(rows) if cache else None
    if on_disk is not None:
        return on_disk.whole
    check_memory(name, rows.nbytes, remedy)
    return rows[torch.arange(len(rows))]


def open_rows(rows: ImageRows, cache: bool) -> Rows:
    """Return ``rows``, decoded on disk where ``cache`` allows it, in memory where they are few, else as they are."""
    on_disk = kept(rows) if cache else None
    return held(rows) if on_disk is None else on_disk


def kept(rows: ImageRows) -> Kept | None:
    """Return the images of ``rows`` decoded, from the cache folder or into it.

    None where they are too few to be worth it, or the disk has no room for them or cannot be written.

    Raises:
        ValueError: an image cannot be read or decoded, or is unlike the first.
    """
    if rows.nbytes < WORTH:
        return None
    path, shape = cache_folder() / "decoded" / f"{_key(rows)}.npy", (len(rows), *rows.decoder.shape)
    try:
        array = _mapped(path, shape)
        if array is None:
            array = _decoded(rows, path, shape)
    except OSError:
        return None
    return None if array is None else Kept(rows, array)


def _decoded(rows: ImageRows, path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Decode all images into ``path``, unless another process has meanwhile, and map it; None without room."""
    from filelock import FileLock

    def write(temporary: Path) -> None:
        out = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        for numbers in torch.arange(len(rows)).split(CHUNK):
            out[int(numbers[0]) : int(numbers[-1]) + 1] = rows[numbers].numpy()
        out.flush()

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        array = _mapped(path, shape)
        if array is None and shutil.disk_usage(path.parent).free > 2 * rows.nbytes:
            write_atomically(path, write)
            array = _mapped(path, shape)
    return array


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the array at ``path``, mapped; None where it is missing, cut off or another."""
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)  # torch wants to be able to write
    except (OSError, ValueError, EOFError):
        return None
    return array if array.dtype == np.uint8 and array.shape == shape else None


def _key(rows: ImageRows) -> str:
    """Return the SHA-256 over the image files, which of them are taken, and how they are read."""
    decoder = rows.decoder
    how = [VERSION, PIL.__version__, decoder.shape, decoder.size, decoder.mode, decoder.crop]
    said = json.dumps([*how, decoder.source.fingerprint(), rows.names])
    return hashlib.sha256(said.encode()).hexdigest()
