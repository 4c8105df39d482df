"""Streaming mean and covariance in float64, the same for any division of the rows into batches."""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """Running mean and scatter matrix of rows, merged pairwise.

    Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979: each
    batch is centred on its own mean, so a large common offset costs no precision. Memory is one (d, d) matrix.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Tensor | None = None
        self._scatter: Tensor | None = None

    def update(self, rows: Tensor) -> None:
        """Add ``rows`` (n, d) of any float dtype; a batch without rows changes nothing.

        Raises:
            ValueError: ``rows`` is not two-dimensional, or its width differs from what was seen before.
        """
        if rows.dim() != 2:
            raise ValueError(f"moments are of rows (n, d), not of a tensor of shape {tuple(rows.shape)}")
        if len(rows) == 0:
            return
        rows = (rows.cpu() if rows.device.type == "mps" else rows).to(torch.float64)  # mps has no float64
        mean = rows.mean(dim=0)
        centred = rows - mean
        self._add(len(rows), mean, centred.T @ centred)

    def merge(self, other: Moments) -> None:
        """Add all rows that ``other`` has seen.

        Raises:
            ValueError: the widths differ.
        """
        if other._mean is not None and other._scatter is not None:
            self._add(other.count, other._mean.clone(), other._scatter.clone())

    def _add(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        if self._mean is None or self._scatter is None:
            self.count, self._mean, self._scatter = count, mean, scatter
            return
        if mean.shape != self._mean.shape:
            raise ValueError(f"rows of width {len(mean)} were added to moments of width {len(self._mean)}")
        total = self.count + count
        delta = mean.to(self._mean.device) - self._mean
        self._scatter += scatter.to(self._scatter.device)
        self._scatter.addr_(delta, delta, alpha=self.count * count / total)
        self._mean += delta * (count / total)
        self.count = total

    @property
    def mean(self) -> Tensor:
        """Mean (d,), float64 on the CPU.

        Raises:
            ValueError: no row was seen.
        """
        if self._mean is None:
            raise ValueError("no rows were seen, so they have no mean")
        return self._mean.cpu()

    @property
    def covariance(self) -> Tensor:
        """Covariance (d, d) with ddof = 1, float64 on the CPU, exactly symmetric; NaN where only one row was seen.

        Raises:
            ValueError: no row was seen.
        """
        if self._scatter is None:
            raise ValueError("no rows were seen, so they have no covariance")
        if self.count == 1:
            return torch.full_like(self._scatter, torch.nan, device="cpu")
        return ((self._scatter + self._scatter.T) / (2 * (self.count - 1))).cpu()
