"""Batches of what does not lie on the device: threads read and decode the next ones while the device works.

What is read ahead changes no batch: each is known by its number, and what nobody asks for is dropped.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from ganbench.errors import DatasetError
from ganbench.values import Images, Stream

WORKERS = 4
"""Threads of one feed; as many batches are read ahead."""

Stored = tuple[Tensor, Tensor | None]
"""Stored samples (n, *shape) and their labels, int64 (n,), or None."""


class Feed:
    """Batches of ``source`` by their number, on the CPU, read ahead by ``workers`` threads, or by the caller if none.

    ``order`` gives the rows of a batch, int64 (n,), on the CPU. With ``pinned`` batches lie in memory from which a CUDA
    device copies on its own. A step between the numbers asked for (every fourth, say) is taken to go on.
    """

    def __init__(
        self, source: Images | Stream, order: Callable[[int], Tensor], workers: int = WORKERS, pinned: bool = False
    ) -> None:
        self._source, self._order, self._workers, self._pinned = source, order, workers, pinned
        self._coming: dict[int, Future[Stored]] = {}
        self._last: int | None = None
        self._step = 1
        self._threads: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def batch(self, k: int) -> Stored:
        """Return batch ``k``, and see to it that those which should come next are read; it stays until then.

        Raises:
            DatasetError: a sample of it cannot be read.
        """
        if not self._workers:
            return read(self._source, self._order(k), self._pinned)
        if self._last is not None and k != self._last:
            self._step = max(1, k - self._last)
        self._last = k
        wanted = range(k, k + (self._workers + 1) * self._step, self._step)
        threads = self._running()
        for number in [number for number in self._coming if number not in wanted]:
            self._coming.pop(number).cancel()
        for number in wanted:
            if number not in self._coming:
                self._coming[number] = threads.submit(read, self._source, self._order(number), self._pinned)
        return self._coming[k].result()

    def close(self) -> None:
        """End the threads, each after what it reads now; a feed that is not needed any more does that by itself."""
        self._coming = {}
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def _running(self) -> ThreadPoolExecutor:
        """Return the threads, which a process forked since has to start anew."""
        if self._threads is None or self._process != os.getpid():
            self._coming, self._process = {}, os.getpid()
            self._threads = ThreadPoolExecutor(self._workers, thread_name_prefix="feed")
        return self._threads


def read(source: Images | Stream, rows: Tensor, pinned: bool = False) -> Stored:
    """Return some samples of ``source`` and their labels.

    Raises:
        DatasetError: one cannot be read; it says what the source said.
    """
    try:
        pixels = source.pixels[rows].contiguous()
    except (ValueError, OSError) as error:
        raise DatasetError(str(error)) from error
    labels = None if source.labels is None else source.labels[rows]
    if pinned:
        return pixels.pin_memory(), None if labels is None else labels.pin_memory()
    return pixels, labels


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Return ``tensor``, which lies on the CPU, on ``device``, without waiting for what the device does."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
