"""One pass of an extractor over a set of samples, keeping the union of what all metrics need."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench.components import FeatureNetwork
from ganbench.scoring.moments import Moments
from ganbench.scoring.sample import SampleSource
from ganbench.values import Features, FeatureStore

CAP = 50_000
"""Rows of features and logits kept at most; moments are over all rows."""


def extract(
    source: SampleSource,
    network: FeatureNetwork,
    needs: frozenset[str],
    n: int,
    *,
    batch_size: int = 128,
    cap: int = CAP,
) -> FeatureStore:
    """Give the first ``n`` samples of ``source`` to ``network`` and keep what ``needs`` names.

    ``needs`` is a subset of {"moments", "features", "logits"}; features and logits are kept for the first ``cap``
    finite rows. Memory does not grow with ``n`` beyond that.

    Raises:
        ValueError: the source has fewer samples, its samples are not finite, or the network's answer has no meaning.
    """
    seen = nonfinite = 0
    moments, features, logits = Moments(), _Rows(min(n, cap)), _Rows(min(n, cap))
    with torch.no_grad():
        for batch in source.batches(n, batch_size):
            given = network(batch)
            finite = _finite(given, len(batch))
            seen += len(batch)
            nonfinite += len(batch) - int(finite.sum())
            if "moments" in needs:
                moments.update(given.features[finite])
            if "features" in needs:
                features.add(given.features[finite])
            if "logits" in needs and given.logits is not None:
                logits.add(given.logits[finite])
    if seen != n:
        raise ValueError(f"{n} samples were asked for and the source gave {seen}")
    return FeatureStore(
        count=seen,
        nonfinite=nonfinite,
        mean=moments.mean if moments.count else None,
        covariance=moments.covariance if moments.count else None,
        features=features.taken(),
        logits=logits.taken(),
    )


def _finite(given: Features, rows: int) -> Tensor:
    """Return bool (rows,): which rows hold neither NaN nor infinity, after checking the shapes."""
    finite = torch.ones(rows, dtype=torch.bool, device=given.features.device)
    for name, values in (("features", given.features), ("logits", given.logits)):
        if values is None:
            continue
        if values.dim() != 2 or len(values) != rows:
            raise ValueError(f"the extractor gave {name} of shape {tuple(values.shape)} for {rows} samples")
        finite &= torch.isfinite(values).all(dim=1)
    return finite


class _Rows:
    """The first ``limit`` rows of a stream, as float32 on the CPU, in memory taken once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._filled = 0
        self._kept: Tensor | None = None

    def add(self, rows: Tensor) -> None:
        """Keep as many of ``rows`` (n, d) as there is room for."""
        if self._kept is None:
            self._kept = torch.empty(self._limit, rows.shape[1], dtype=torch.float32)
        room = rows[: self._limit - self._filled]
        self._kept[self._filled : self._filled + len(room)] = room
        self._filled += len(room)

    def taken(self) -> Tensor | None:
        """Return what was kept, None where nothing was ever added."""
        return None if self._kept is None else self._kept[: self._filled]
