"""One pass of an extractor over a set of samples, keeping the union of what all metrics need."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.components import FeatureNetwork, Truth
from ganbench.scoring.moments import Moments
from ganbench.scoring.sample import SampleSource
from ganbench.values import Features, FeatureStore

CAP = 50_000
"""Rows kept at most; moments are over all rows."""


@dataclass(frozen=True)
class Wanted:
    """What a pass is to keep: ``needs`` (a subset of `ganbench.components.NEEDS`), row by row at most ``cap`` rows.

    ``truth`` tells the modes, where they are needed and known.
    """

    needs: frozenset[str]
    cap: int = CAP
    truth: Truth | None = None


def extract(
    source: SampleSource, network: FeatureNetwork, wanted: Wanted, n: int, batch_size: int = 128
) -> FeatureStore:
    """Give the first ``n`` samples of ``source`` to ``network`` and keep what is ``wanted``.

    What is kept row by row is kept for the first finite rows. Memory does not grow with ``n`` beyond the cap.

    Raises:
        ValueError: the source has fewer samples, its samples are not finite, or the network's answer has no meaning.
    """
    needs, truth = wanted.needs, wanted.truth
    seen = nonfinite = 0
    moments, kept = Moments(), _Kept(min(n, wanted.cap))
    labels = source.labels(n) if "labels" in needs else None
    with torch.no_grad():
        for batch in source.batches(n, batch_size):
            given = network(batch)
            finite = _finite(given, len(batch))
            if "moments" in needs:
                moments.update(given.features[finite])
            if "features" in needs or ("moments" in needs and n < min(given.features.shape[1], wanted.cap + 1)):
                kept.add("features", given.features[finite].float())
            if "logits" in needs and given.logits is not None:
                kept.add("logits", given.logits[finite].float())
            here = finite.cpu()
            if labels is not None:
                kept.add("labels", labels[seen : seen + len(batch)][here])
            if "truth" in needs and truth is not None:
                modes, deviations = truth.locate(batch)
                kept.add("modes", modes.cpu()[here])
                if deviations is not None:
                    kept.add("deviations", deviations.cpu()[here])
            seen += len(batch)
            nonfinite += len(batch) - int(finite.sum())
    if seen != n:
        raise ValueError(f"{n} samples were asked for and the source gave {seen}")
    return FeatureStore(
        count=seen,
        nonfinite=nonfinite,
        mean=moments.mean if moments.count else None,
        covariance=moments.covariance if moments.count else None,
        **kept.taken(),
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


class _Kept:
    """The first ``limit`` rows of several streams by name, on the CPU, in memory taken once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._filled: dict[str, int] = {}
        self._kept: dict[str, Tensor] = {}

    def add(self, name: str, rows: Tensor) -> None:
        """Keep as many of ``rows`` (n, ...) as there is room for."""
        if name not in self._kept:
            self._kept[name] = torch.empty(self._limit, *rows.shape[1:], dtype=rows.dtype)
            self._filled[name] = 0
        filled = self._filled[name]
        room = rows[: self._limit - filled]
        self._kept[name][filled : filled + len(room)] = room
        self._filled[name] = filled + len(room)

    def taken(self) -> dict[str, Tensor]:
        """Return what was kept, by name; nothing for a stream that never gave a row."""
        return {name: rows[: self._filled[name]] for name, rows in self._kept.items()}
