"""Streaming mean and covariance in float64, bit for bit the same for any division of the rows into batches."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 1024
"""Rows that are gathered before they are added: the sums depend on this, and on no batch size."""
STRIPE = 256
"""Columns of the scatter matrix that one product fills: small enough to skip nearly all above the diagonal."""


class Moments:
    """Running mean and scatter matrix of rows, added block by block.

    Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979: each
    block is centred on its own mean, so a large common offset costs no precision. Memory is one (d, d) matrix and one
    block, on the device of the rows (mps: on the CPU), and as much again while they are read.
    """

    def __init__(self) -> None:
        self._sums: _Sums | None = None
        self._block: Tensor | None = None
        self._waiting = 0

    @property
    def count(self) -> int:
        """Rows seen."""
        return (self._sums.count if self._sums else 0) + self._waiting

    def update(self, rows: Tensor) -> None:
        """Add ``rows`` (n, d) of any float dtype; a batch without rows changes nothing.

        Raises:
            ValueError: ``rows`` is not two-dimensional, or its width differs from what was seen before.
        """
        if rows.dim() != 2:
            raise ValueError(f"moments are of rows (n, d), not of a tensor of shape {tuple(rows.shape)}")
        if len(rows) == 0:
            return
        sums = self._sums_for(rows.shape[1], rows.device)
        if self._block is None:
            self._block = torch.empty(BLOCK, rows.shape[1], dtype=torch.float64, device=sums.mean.device)
        start = 0
        while start < len(rows):
            taken = rows[start : start + BLOCK - self._waiting]
            self._block[self._waiting : self._waiting + len(taken)] = taken
            self._waiting += len(taken)
            start += len(taken)
            if self._waiting == BLOCK:
                sums.add(self._block)
                self._waiting = 0

    def merge(self, other: Moments) -> None:
        """Add all rows that ``other`` has seen, which stays as it is; equal to having seen them, to rounding.

        Raises:
            ValueError: the widths differ.
        """
        if other._sums is None:
            return
        sums = self._sums_for(len(other._sums.mean), other._sums.mean.device)
        sums.join(other._sums)
        if other._block is not None and other._waiting:
            sums.add(other._block[: other._waiting].to(sums.mean.device, copy=True))

    @property
    def mean(self) -> Tensor:
        """Mean (d,), float64 on the CPU.

        Raises:
            ValueError: no row was seen.
        """
        if self._sums is None:
            raise ValueError("no rows were seen, so they have no mean")
        mean, waiting = self._sums.mean, self._waiting
        if waiting and self._block is not None:
            mean = mean + (self._block[:waiting].mean(dim=0) - mean) * (waiting / self.count)
        return mean.to("cpu", copy=True)

    @property
    def covariance(self) -> Tensor:
        """Covariance (d, d) with ddof = 1, float64 on the CPU, exactly symmetric; NaN where only one row was seen.

        Raises:
            ValueError: no row was seen.
        """
        if self._sums is None:
            raise ValueError("no rows were seen, so they have no covariance")
        sums = self._sums
        if self._waiting and self._block is not None:
            sums = sums.copy()  # more rows may follow, and must then meet the same block
            sums.add(self._block[: self._waiting].clone())
        if sums.count == 1:
            return torch.full_like(sums.scatter, torch.nan, device="cpu")
        covariance = (sums.scatter / (sums.count - 1)).cpu()
        for start in range(0, len(covariance), STRIPE):  # in stripes, which fit the cache
            stop = start + STRIPE
            covariance[stop:, start:stop] = covariance[start:stop, stop:].T
            corner = covariance[start:stop, start:stop]
            corner.copy_(corner.triu() + corner.triu(1).T)
        return covariance

    def _sums_for(self, width: int, device: torch.device) -> _Sums:
        if self._sums is None:
            self._sums = _Sums(width, torch.device("cpu") if device.type == "mps" else device)  # mps has no float64
        if width != len(self._sums.mean):
            raise ValueError(f"rows of width {width} were added to moments of width {len(self._sums.mean)}")
        return self._sums


class _Sums:
    """Count, mean (d,) and scatter matrix (d, d), float64; below the diagonal the scatter may hold anything."""

    def __init__(self, width: int, device: torch.device) -> None:
        self.count = 0
        self.mean = torch.zeros(width, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(width, width, dtype=torch.float64, device=device)

    def add(self, block: Tensor) -> None:
        """Add the rows of ``block`` (n, d), float64, which is used up."""
        mean = block.mean(dim=0)
        block -= mean
        for start in range(0, len(mean), STRIPE):
            stripe = block[:, start : start + STRIPE]
            self.scatter[start : start + STRIPE, start:].addmm_(stripe.T, block[:, start:])
        self._shift(len(block), mean)

    def join(self, other: _Sums) -> None:
        """Add the rows of ``other``."""
        self.scatter += other.scatter.to(self.scatter.device)
        self._shift(other.count, other.mean.to(self.mean.device))

    def copy(self) -> _Sums:
        """Return sums of their own."""
        made = _Sums(0, self.mean.device)
        made.count, made.mean, made.scatter = self.count, self.mean.clone(), self.scatter.clone()
        return made

    def _shift(self, count: int, mean: Tensor) -> None:
        """Account for the distance of the means after the scatter of ``count`` further rows was added."""
        if count == 0:
            return
        delta, total = mean - self.mean, self.count + count
        self.scatter.addr_(delta, delta, alpha=self.count * count / total)
        self.mean += delta * (count / total)
        self.count = total
