"""Addressed draws: batch k of a stream is the same whenever it is asked for, so resuming needs no sampler state."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.seeds import mix
from ganbench.values import DataSpec, Images, Latent


class ImageStream:
    """Batches of one split in an order that is shuffled anew each epoch; the last batch of an epoch runs into the next.

    The pixels stay on ``device`` as stored; a batch is gathered and brought into network range there.
    """

    def __init__(self, images: Images, data: DataSpec, batch_size: int, seed: int) -> None:
        self._images, self._data, self._n, self._seed = images, data, batch_size, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def batch(self, k: int) -> tuple[Tensor, Tensor | None]:
        """Return batch ``k``: images (N, *shape) in network range and labels int64 (N,) or None."""
        index = self._positions(k * self._n, (k + 1) * self._n)
        labels = self._images.labels
        return self._data.decode(self._images.pixels[index]), None if labels is None else labels[index]

    def _positions(self, start: int, stop: int) -> Tensor:
        size, parts = len(self._images), []
        while start < stop:
            epoch, offset = divmod(start, size)
            if epoch != self._epoch:
                shuffle = torch.Generator().manual_seed(mix(self._seed, epoch))
                self._order = torch.randperm(size, generator=shuffle).to(self._images.pixels.device)
                self._epoch = epoch
            parts.append(self._order[offset : offset + stop - start])
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
        z = self._latent.draw(n, self._generator).to(self._device, non_blocking=True)
        if self._labels is None:
            return z, None
        index = torch.randint(len(self._labels), (n,), generator=self._generator)
        return z, self._labels[index].to(self._device, non_blocking=True)
