"""Addressed draws: batch k of a stream is the same whenever it is asked for, so resuming needs no sampler state.

A split that fits stays on the device as it is stored, and batches are gathered there by index; what does not fit is
read ahead by threads (`ganbench.training.feed`). Batches and their order are the same either way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.seeds import mix
from ganbench.training.feed import WORKERS, Feed, Stored, read, send
from ganbench.values import DataSpec, Images, Latent, Stream

SHARE = 0.25
"""Share of a CUDA device's free memory that a split may take: the rest is for the networks and for other runs."""
CPU = torch.device("cpu")
CHUNK = 1024  # samples that are read at once on their way to the device


class ImageStream:
    """Batches of one split in an order that is shuffled anew each epoch; the last batch of an epoch runs into the next.

    ``source`` is what `place` returned. Samples travel as they are stored and are brought into network range on
    ``device``, which is where the source lies if nothing is said. Threads (``workers``) read what does not lie there.
    """

    def __init__(
        self,
        source: Images | Stream,
        data: DataSpec,
        batch_size: int,
        seed: int,
        device: torch.device | None = None,
        workers: int = WORKERS,
    ) -> None:
        here = source.pixels.device if isinstance(source, Images) else CPU
        self._data, self._device = data, here if device is None else device
        self._batches: _Gathered | Feed
        if isinstance(source, Images) and here.type == self._device.type:
            self._batches = _Gathered(source, Order(len(source), batch_size, seed, here))
        else:
            order = Order(len(source), batch_size, seed, CPU)
            self._batches = Feed(source, order.batch, workers, pinned=self._device.type == "cuda")

    def batch(self, k: int) -> tuple[Tensor, Tensor | None]:
        """Return batch ``k``: images (N, *shape) in network range and labels int64 (N,) or None, on the device.

        Raises:
            DatasetError: a sample of it cannot be read.
        """
        stored, labels = self._batches.batch(k)
        return self._data.decode(self._moved(stored)), None if labels is None else self._moved(labels)

    def close(self) -> None:
        """End the threads that read ahead, where there are any; they also end with the stream."""
        self._batches.close()

    def _moved(self, tensor: Tensor) -> Tensor:
        """Return ``tensor`` on the device: from pinned memory without waiting for it, or as it is where it is there."""
        return tensor.to(self._device, non_blocking=self._device.type == "cuda")


class _Gathered:
    """Batches of ``images``, gathered where these lie."""

    def __init__(self, images: Images, order: Order) -> None:
        self._images, self._order = images, order

    def batch(self, k: int) -> Stored:
        """Return the stored samples of batch ``k`` and their labels."""
        index, labels = self._order.batch(k), self._images.labels
        return self._images.pixels[index], None if labels is None else labels[index]

    def close(self) -> None:
        """Do nothing: there are no threads."""


class Order:
    """Which of ``size`` samples the batches hold, as int64 on ``device``: all once an epoch, shuffled by ``seed``."""

    def __init__(self, size: int, batch_size: int, seed: int, device: torch.device) -> None:
        self._size, self._n, self._seed, self._device = size, batch_size, seed, device
        self._epoch, self._shuffled = -1, torch.empty(0, dtype=torch.int64)

    def batch(self, k: int) -> Tensor:
        """Return the rows of batch ``k``, int64 (N,)."""
        start, stop, parts = k * self._n, (k + 1) * self._n, []
        while start < stop:
            epoch, offset = divmod(start, self._size)
            if epoch != self._epoch:
                generator = torch.Generator().manual_seed(mix(self._seed, epoch))
                self._shuffled = send(torch.randperm(self._size, generator=generator), self._device)
                self._epoch = epoch
            parts.append(self._shuffled[offset : offset + stop - start])
            start += len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class LatentStream:
    """Latents with labels: drawn on the CPU, so that every device sees the same; labels follow the training data."""

    def __init__(self, latent: Latent, labels: Tensor | None, seed: int, device: torch.device) -> None:
        self._latent, self._seed, self._device = latent, seed, device
        self._labels = None if labels is None else labels.cpu()
        self._generator = torch.Generator()

    def batch(self, k: int, n: int) -> tuple[Tensor, Tensor | None]:
        """Return draw ``k``: z (n, size) and labels int64 (n,) or None."""
        self._generator.manual_seed(mix(self._seed, k))
        z = send(self._latent.draw(n, self._generator), self._device)
        if self._labels is None:
            return z, None
        index = torch.randint(len(self._labels), (n,), generator=self._generator)
        return z, send(self._labels[index], self._device)


def place(source: Images | Stream, device: torch.device) -> Images | Stream:
    """Return ``source`` as the streams of all players share it: as a whole on ``device`` where it fits, else as it is.

    What the CPU is to hold as a whole are `Images` already.

    Raises:
        DatasetError: a sample cannot be read.
    """
    if device.type == "cpu" or not fits(source, device):
        return source
    labels = None if source.labels is None else source.labels.to(device)
    if isinstance(source, Images):
        return Images(source.pixels.to(device), labels)
    one = select(source, torch.zeros(1, dtype=torch.int64)).pixels
    pixels = torch.empty((len(source), *one.shape[1:]), dtype=one.dtype, device=device)
    for start in range(0, len(source), CHUNK):
        stop = min(start + CHUNK, len(source))
        pixels[start:stop] = select(source, torch.arange(start, stop)).pixels
    return Images(pixels, labels)


def fits(source: Images | Stream, device: torch.device) -> bool:
    """Say whether all samples of ``source`` may lie on ``device``: on CUDA in `SHARE` of what is free there now."""
    if device.type != "cuda":
        return device.type != "cpu" or isinstance(source, Images)
    one = select(source, torch.zeros(1, dtype=torch.int64)).pixels  # (1, *shape)
    return len(source) * one.nbytes <= SHARE * torch.cuda.mem_get_info(device)[0]


def select(source: Images | Stream, rows: Tensor) -> Images:
    """Return the samples at ``rows``, int64 (n,) on the CPU, with their labels.

    Raises:
        DatasetError: one cannot be read.
    """
    return Images(*read(source, rows))
