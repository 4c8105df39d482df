"""Image files and arrays as rows that are read when they are asked for, so that memory does not grow with their number.

The fingerprint of a set is that of its stored samples, in whatever form they lie. Only for image files that decode to
more than `SMALL` bytes it is over the files, since decoding all of them once more would cost more than it tells. Which
of the two it is does not depend on the machine.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ganbench import ImageSpec, PointSpec
from ganbench.memory import available_bytes
from ganbench.stored import Form, Held, content_sha
from ganbench_zoo.decode import Decoder, decode_all, threads

SMALL = 2**30
CHUNK = 1024
CHUNK_BYTES = 2**24


class ImageRows:
    """The images ``names`` of one set, decoded by threads as rows are asked for: `ganbench.values.Rows`."""

    def __init__(self, decoder: Decoder, names: list[str]) -> None:
        self.decoder, self.names = decoder, names
        self._threads: tuple[int, ThreadPoolExecutor] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return uint8 (n, C, H, W). Raises ValueError for an image that cannot be decoded or is unlike the first."""
        return torch.from_numpy(decode_all(self.decoder, [self.names[row] for row in rows.tolist()], self._pool))

    @property
    def _pool(self) -> ThreadPoolExecutor:
        """The threads, of which a process that was forked since needs its own."""
        if self._threads is None or self._threads[0] != os.getpid():
            self._threads = os.getpid(), threads()
        return self._threads[1]

    @property
    def nbytes(self) -> int:
        """How much memory all of it would take, decoded."""
        return len(self.names) * math.prod(self.decoder.shape)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the pixels of a small set, over the files of a large one."""
        if self.nbytes <= SMALL:
            return content_sha(ImageSpec(self.decoder.shape), len(self), self._chunks())
        crop = "" if self.decoder.crop is None else f", crop {self.decoder.crop}"
        reading = f"{len(self)} files as {self.decoder.shape}, size {self.decoder.size}{crop}\n"
        sha = hashlib.sha256(reading.encode())
        for start in range(0, len(self), CHUNK):
            for digest in self._pool.map(self._digest, self.names[start : start + CHUNK]):
                sha.update(digest)
        return sha.hexdigest()

    def _digest(self, name: str) -> bytes:
        return hashlib.sha256(self.decoder.source.read(name)).digest()

    def _chunks(self) -> Iterator[Tensor]:
        for rows in torch.arange(len(self)).split(CHUNK):
            yield self[rows]


class ArrayRows:
    """Rows of an array, all or those ``chosen``, stored as ``form`` says when asked for: `ganbench.values.Rows`."""

    def __init__(self, array: np.ndarray, form: Form, chosen: Tensor | None = None) -> None:
        self.array, self.form = array, form
        self.chosen = torch.arange(len(array)) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return stored samples. Raises ValueError for NaN and for what is outside the range."""
        numbers = self.chosen[rows]
        return self.form.store(self._rows(numbers), numbers)

    @property
    def nbytes(self) -> int:
        """How much memory all of it would take, stored."""
        return len(self) * math.prod(self.form.data.shape) * (4 if isinstance(self.form.data, PointSpec) else 1)

    def read(self) -> Tensor:
        """Return all rows, stored. Raises as `fingerprint`."""
        dtype = torch.float32 if isinstance(self.form.data, PointSpec) else torch.uint8
        out, filled = torch.empty((len(self), *self.form.data.shape), dtype=dtype), 0
        for chunk in self._chunks():
            out[filled : filled + len(chunk)] = chunk
            filled += len(chunk)
        return out

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over type, shape and values of the stored samples, all of which are looked at.

        Raises:
            ValueError: one cannot be stored, or no float is negative where the range is not known.
        """
        return content_sha(self.form.data, len(self), self._chunks())

    def _chunks(self) -> Iterator[Tensor]:
        lowest = math.inf
        for numbers in self.chosen.split(max(1, CHUNK_BYTES // max(1, self.array[:1].nbytes))):
            rows = self._rows(numbers)
            lowest = min(lowest, self.form.lowest(rows))
            yield self.form.store(rows, numbers)
        self.form.check_lowest(lowest)

    def _rows(self, numbers: Tensor) -> Tensor:
        """Return a copy of some rows in this machine's byte order."""
        rows = self.array[numbers.numpy()]
        return torch.from_numpy(rows.astype(rows.dtype.newbyteorder("="), copy=False))


def may_be_held(nbytes: int) -> bool:
    """Say whether a set of ``nbytes`` stored bytes is small, also beside the memory that is available."""
    available = available_bytes()
    return nbytes <= SMALL and (available is None or nbytes <= available / 4)


def held(rows: ImageRows) -> ImageRows | Held:
    """Return ``rows`` decoded into memory where they are few, else as they are."""
    if not may_be_held(rows.nbytes):
        return rows
    return Held(rows[torch.arange(len(rows))], ImageSpec(rows.decoder.shape))
