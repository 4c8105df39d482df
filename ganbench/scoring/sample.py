"""Where samples come from: a generator with a latent bank that is indexed by sample, or a set that already exists.

Samples are *stored* samples: uint8 (n, C, H, W) in [0, 255], or float32 points (n, d). Both sources give the same
samples for any batch size, and the first n of them for any n.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ganbench.scoring.randomness import own_randomness
from ganbench.seeds import derive, mix
from ganbench.values import DataSpec, Latent, Rows, Sample

CHUNK = 256
"""Latents drawn from one seed; part of what a seed means, so never changed."""
BLOCK = 64
"""Latents given to a generator at once, whatever the batch size; divides `CHUNK`."""


class SampleSource(Protocol):
    """A set of samples to be scored."""

    @property
    def count(self) -> int | None:
        """How many samples there are at most; None without limit."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How the set came about, as JSON; the same for all sets that share a column of a table. N is not in it."""

    def labels(self, n: int) -> Tensor | None:
        """Return the classes of the first ``n`` samples, int64 (n,), or None where they are not known."""

    def batches(self, n: int, batch_size: int) -> Iterator[Tensor]:
        """Yield the first ``n`` stored samples in batches of ``batch_size``, the last one perhaps smaller.

        Raises:
            ValueError: the samples are not finite, or one cannot be read.
        """


def generated_rule(seed: int, weights: str = "ema", checkpoint: str = "last") -> dict[str, Any]:
    """Return the rule by which sets for one table are made: the `provenance` of generators and of baselines alike.

    It names no property of a single cell (a latent's width), or no two cells could share a column.
    """
    return {
        "seed": seed,
        "latents": f"the architecture's own distribution, {CHUNK} to a seed, indexed by sample",
        "labels": "drawn from the training labels",
        "weights": weights,
        "checkpoint": checkpoint,
    }


@dataclass(frozen=True)
class GeneratorSource:
    """Samples of ``generator`` (in eval mode, on ``device``): an endless bank of latents, fixed by ``seed``.

    Latents (and labels, drawn from ``classes``, the int64 (M,) training labels, or None for an unlabelled set) come
    from a CPU generator seeded for each chunk. The generator runs in blocks of a fixed size under global random state
    of its own, so neither the batch size nor what ran before changes a sample.

    Raises:
        ValueError: the generator is in training mode.
    """

    generator: nn.Module
    latent: Latent
    data: DataSpec
    classes: Tensor | None
    seed: int
    device: torch.device
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.generator.training:
            raise ValueError("samples are drawn from a generator in eval mode, and this one is in training mode")

    @property
    def count(self) -> int | None:
        """None: a generator gives as many as one asks for."""
        return None

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The ``details`` as given."""
        return self.details

    def labels(self, n: int) -> Tensor | None:  # noqa: ARG002
        """None: the classes that a generator is given are a request; it may pay no heed to them."""
        return None

    def batches(self, n: int, batch_size: int) -> Iterator[Tensor]:
        """Yield the first ``n`` samples, stored, on the CPU.

        Raises:
            ValueError: the generator gives NaN or infinity, which uint8 would hide.
        """
        return _rebatched(self._blocks(n), batch_size)

    def images(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Return what the generator makes of latents (n, latent.size), as it comes: float (n, *shape) on its device."""
        with torch.no_grad():
            made = self.generator(z.to(self.device), None if labels is None else labels.to(self.device))
        return made.images if isinstance(made, Sample) else made

    def _blocks(self, n: int) -> Iterator[Tensor]:
        base = derive(self.seed, "latents")
        for start in range(0, n, BLOCK):
            z, labels = self._latents(base, start // CHUNK)
            offset = start % CHUNK
            rows = slice(offset, offset + BLOCK)
            with own_randomness(mix(base, start // CHUNK, offset), self.device):
                images = self.images(z[rows], None if labels is None else labels[rows])
            broken = int((~torch.isfinite(images.flatten(1))).any(dim=1).sum())
            if broken:
                raise ValueError(
                    f"the generator gave {broken} samples with NaN or infinity "
                    f"among samples {start} to {start + len(images) - 1}"
                )
            yield self.data.encode(images)[: n - start].cpu()

    def _latents(self, base: int, chunk: int) -> tuple[Tensor, Tensor | None]:
        rng = torch.Generator().manual_seed(mix(base, chunk))
        z = self.latent.draw(CHUNK, rng)
        return z, self.draw_labels(CHUNK, rng)

    def draw_labels(self, n: int, rng: torch.Generator) -> Tensor | None:
        """Draw int64 (n,) out of the training labels; None for an unlabelled set."""
        if self.classes is None:
            return None
        return self.classes.cpu()[torch.randint(len(self.classes), (n,), generator=rng)]


@dataclass(frozen=True)
class TensorSource:
    """A set that exists: ``stored`` samples, with ``classes`` int64 (M,) or None, in a fixed order drawn from ``seed``.

    The order matters where fewer are asked for than there are: the first n are then a random subset, also of a set
    that is sorted by class. The first ``skip`` are left to somebody else.
    """

    stored: Tensor | Rows
    details: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    skip: int = 0
    classes: Tensor | None = None

    @property
    def count(self) -> int | None:
        """How many samples the set holds beyond those skipped."""
        return max(len(self.stored) - self.skip, 0)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The ``details`` as given."""
        return self.details

    def labels(self, n: int) -> Tensor | None:
        """Return the classes of the first ``n`` samples of the permuted set."""
        return None if self.classes is None else self.classes[self._rows(n)]

    def batches(self, n: int, batch_size: int) -> Iterator[Tensor]:
        """Yield the first ``n`` samples of the permuted set; what must be read is read one batch ahead."""
        rows = self._rows(n)
        parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        return (self.stored[part] for part in parts) if isinstance(self.stored, Tensor) else _ahead(self.stored, parts)

    def _rows(self, n: int) -> Tensor:
        return permutation(len(self.stored), self.seed)[self.skip : self.skip + n]


def permutation(n: int, seed: int) -> Tensor:
    """Return the fixed order of ``n`` rows under ``seed``, int64 (n,): subsets are its first rows."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(derive(seed, "rows", n)))


def _ahead(stored: Rows, parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the rows of each part; the next one is read by a thread while the caller works on the last."""
    with ThreadPoolExecutor(1, thread_name_prefix="read") as reader:
        coming: Future[Tensor] | None = None
        for part in parts:
            last, coming = coming, reader.submit(stored.__getitem__, part)
            if last is not None:
                yield last.result()
        if coming is not None:
            yield coming.result()


def _rebatched(blocks: Iterator[Tensor], batch_size: int) -> Iterator[Tensor]:
    """Regroup ``blocks`` into batches of ``batch_size``, in order."""
    held: list[Tensor] = []
    for block in blocks:
        held.append(block)
        while sum(len(part) for part in held) >= batch_size:
            joined = torch.cat(held)
            yield joined[:batch_size]
            held = [joined[batch_size:]]
    if any(len(part) for part in held):
        yield torch.cat(held)
