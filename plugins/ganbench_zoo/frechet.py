"""The Frechet distance of two Gaussian fits at any rank, and what each sample contributes to it.

D. C. Dowson and B. V. Landau, "The Frechet distance between multivariate normal distributions", 1982:

    FD = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)

With any R such that S2 = R^T R the last trace is that of (R S1 R^T)^1/2: the sum of the square roots of the eigenvalues
of one symmetric matrix, which is as small as the smaller rank. Where rounding could reach the digits that count, it is
the sum of the singular values of R1 R2^T instead, which loses none to squaring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy import linalg
from threadpoolctl import threadpool_limits
from torch import Tensor

from ganbench import FeatureStore

EPS = torch.finfo(torch.float64).eps
BLOCK = 4096
"""Rows whose influence is computed at once."""
DOUBT = 1e-7
"""Share of the distance that rounding may reach before the singular values are taken."""


@dataclass(frozen=True)
class Fit:
    """Mean (d,) of ``count`` rows and their ``covariance`` (d, d; ddof = 1) or, in its place, their centred ``rows``.

    Rows take the covariance's place where they are fewer than d: it is singular then, and what is computed from the
    rows is smaller and exact. Everything is float64.
    """

    count: int
    mean: Tensor
    covariance: Tensor | None = None
    rows: Tensor | None = None

    @property
    def rank(self) -> int:
        """Rank of the covariance, from above."""
        return len(self.mean) if self.rows is None else len(self.rows) - 1

    @cached_property
    def variances(self) -> Tensor:
        """Diagonal of the covariance (d,)."""
        return self.covariance.diagonal() if self.rows is None else self.rows.square().sum(dim=0) / (self.count - 1)

    @cached_property
    def trace(self) -> float:
        """Trace of the covariance."""
        return float(self.variances.sum())

    @cached_property
    def root(self) -> Tensor:
        """R (r, d) with R^T R = covariance: of the rows, by Cholesky, or of the eigenvectors where that fails."""
        if self.rows is not None:
            return _reduced(self.rows) / math.sqrt(self.count - 1)
        with _own_threads():
            lower, failed = linalg.lapack.dpotrf(self.covariance.numpy().T, lower=True)
        return _axes(self.covariance) if failed else torch.from_numpy(lower).T

    @cached_property
    def sure_root(self) -> Tensor:
        """R (r, d) with R^T R = covariance, without the axes whose variance is below rounding; at any rank."""
        if self.rows is not None or len(self.root) < len(self.mean):
            return self.root
        rounding = float(self.variances.max()) * len(self.mean) * EPS
        sure = float(self.root.diagonal().square().min()) > 1000 * rounding
        return self.root if sure else _axes(self.covariance)

    @cached_property
    def norm(self) -> float:
        """Largest eigenvalue of the covariance, from below, by a few steps of power iteration."""
        vector, size = self.variances.sqrt(), 0.0
        for _ in range(3):
            vector = vector / vector.norm().clamp(min=torch.finfo(vector.dtype).tiny)
            vector = self.covariance @ vector if self.rows is None else self.root.T @ (self.root @ vector)
            size = float(vector.norm())
        return size

    def inner(self, root: Tensor) -> Tensor:
        """Return R S R^T (r, r) of ``root`` R (r, d) and the covariance S; only its lower triangle is filled."""
        if self.rows is not None:
            crossed = root @ self.root.T  # (r, n - 1)
            return crossed @ crossed.T
        if not _upper_triangular(root):
            return root @ self.covariance @ root.T
        with _own_threads():  # half the products of a general R; LAPACK counts rows where torch counts columns
            inner, _ = linalg.lapack.dsygst(self.covariance.numpy().T, root.numpy().T, itype=2, lower=True)
        return torch.from_numpy(inner)

    def columns(self, kept: Tensor) -> Fit:
        """Return the fit of the columns where ``kept`` (d,) is true."""
        if self.rows is not None:
            return Fit(self.count, self.mean[kept], rows=self.rows[:, kept])
        return Fit(self.count, self.mean[kept], self.covariance[kept][:, kept])


def fit_of(store: FeatureStore, side: str) -> Fit:
    """Return the Gaussian fit of a feature store; ``side`` names it in errors.

    Raises:
        ValueError: moments were not kept, are not finite, or are of fewer than two rows.
    """
    n = store.count - store.nonfinite
    if store.mean is None or store.covariance is None:
        raise ValueError(f"no moments of the {side} samples were kept")
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 samples, and there are {n} {side} ones")
    if not math.isfinite(float(store.mean.sum()) + float(store.covariance.sum())):  # one value spoils the sum
        raise ValueError(f"the moments of the {side} samples are not finite")
    if store.features is not None and len(store.features) == n < len(store.mean):
        return fit_rows(store.features)
    return Fit(n, store.mean, store.covariance)


def fit_rows(rows: Tensor) -> Fit:
    """Return the Gaussian fit of at least two ``rows`` (n, d) of any float dtype."""
    rows = rows.double()
    mean = rows.mean(dim=0)
    centred = rows - mean
    if len(rows) < rows.shape[1]:
        return Fit(len(rows), mean, rows=centred)
    return Fit(len(rows), mean, centred.T @ centred / (len(rows) - 1))


def distance(a: Fit, b: Fit) -> float:
    """Return the squared Frechet distance of two fits, exact to rounding at any rank, never below zero."""
    apart = float((a.mean - b.mean).square().sum()) + a.trace + b.trace
    return max(apart - 2 * _cross(*_alive(a, b), apart), 0.0)


def influence(a: Fit, b: Fit, rows: Tensor) -> Tensor:
    """Return by how much each of ``rows`` (n, d) of the set behind ``a`` pulls its distance to a fixed ``b``, (n,).

    That is the derivative of the distance where weight is moved to a row x, centred at m1, from all others:

        2 (m1 - m2).x + |x|^2 - x^T B x,    B = R^T (R S1 R^T)^-1/2 R,    S2 = R^T R

    less its mean; B is the derivative of twice the last trace, a pseudo-inverse where S1 has no full rank.
    """
    if a.rows is not None and len(rows) == a.count:
        values = _straight(a, b, a.rows) - _bent_rows(a, b)
    else:
        bend = _bend(a, b)
        centred = (block.double() - a.mean for block in rows.split(BLOCK))
        values = torch.cat([_straight(a, b, x) - (x @ bend).square().sum(dim=1) for x in centred])
    return values - values.mean()


def _straight(a: Fit, b: Fit, centred: Tensor) -> Tensor:
    return 2 * centred @ (a.mean - b.mean) + centred.square().sum(dim=1)


def _bend(a: Fit, b: Fit) -> Tensor:
    """Return W (d, r) with W W^T = B."""
    root = b.sure_root
    values, vectors = torch.linalg.eigh(a.inner(root))
    real = values > values[-1:].clamp(min=0.0) * (len(values) * EPS)
    return root.T @ (vectors[:, real] * values[real].pow(-0.25))


def _bent_rows(a: Fit, b: Fit) -> Tensor:
    """Return x^T B x of all rows X of ``a``, fewer than d: on the diagonal of (n - 1) (X S2 X^T / (n - 1))^1/2."""
    values, vectors = torch.linalg.eigh(b.inner(a.rows / math.sqrt(a.count - 1)))
    return (a.count - 1) * (vectors.square() @ values.clamp(min=0.0).sqrt())


def _cross(a: Fit, b: Fit, apart: float) -> float:
    """Return tr (S1 S2)^1/2, at least as exact as the distance ``apart`` - 2 tr (S1 S2)^1/2 needs it."""
    small, large = (a, b) if a.rank < b.rank else (b, a)
    if len(small.root) == 0:
        return 0.0
    values = _eigenvalues(large.inner(small.root))
    total = float(values.clamp(min=0.0).sqrt().sum())
    error = 4 * EPS * a.norm * b.norm  # of an eigenvalue, by the products and by the decomposition
    reach = float((error / (2 * values.clamp(min=error).sqrt())).sum()) if error else 0.0
    if 2 * reach <= DOUBT * (apart - 2 * total):
        return total
    return float(torch.linalg.svdvals(a.sure_root @ b.sure_root.T).sum())


def _alive(a: Fit, b: Fit) -> tuple[Fit, Fit]:
    """Return both fits without the columns that are constant, to rounding, on either side: they add nothing."""
    kept = torch.ones(len(a.mean), dtype=torch.bool)
    for fit in (a, b):
        kept &= fit.variances > torch.maximum((4 * EPS * fit.mean).square(), EPS**2 * fit.variances.max())
    return (a, b) if bool(kept.all()) else (a.columns(kept), b.columns(kept))


def _axes(covariance: Tensor) -> Tensor:
    """Return R (r, d) with R^T R = covariance from its eigenvectors, without those that hold only rounding."""
    variances, axes = torch.linalg.eigh(covariance)  # ascending
    real = variances > variances[-1:].clamp(min=0.0) * (len(variances) * EPS)
    return (axes[:, real] * variances[real].sqrt()).T


def _eigenvalues(lower: Tensor) -> Tensor:
    """Return the eigenvalues (r,) of the symmetric matrix whose ``lower`` triangle is given (r, r), ascending."""
    with _own_threads():  # scipy's LAPACK is a fifth faster than torch's
        return torch.from_numpy(linalg.eigvalsh(lower.numpy(), lower=True, overwrite_a=True))


def _own_threads() -> threadpool_limits:
    """Hold scipy's LAPACK, which has its own pool, to the threads that torch was given."""
    return threadpool_limits(limits=torch.get_num_threads(), user_api="blas")


def _upper_triangular(root: Tensor) -> bool:
    return root.shape[0] == root.shape[1] and not bool(root.tril(-1).any())


def _reduced(rows: Tensor) -> Tensor:
    """Return n - 1 rows with the same scatter as n centred ``rows`` (n, d), which are dependent, by one reflection."""
    n = len(rows)
    normal = torch.full((n,), 1 / math.sqrt(n), dtype=rows.dtype)
    normal[0] += 1.0  # maps the direction of ones, along which centred rows sum to nothing, to the first axis
    return (rows - torch.outer(normal, normal @ rows) * (2 / normal.square().sum()))[1:]
