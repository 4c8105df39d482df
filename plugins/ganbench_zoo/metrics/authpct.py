"""Share of generated samples that are no near copies of training samples.

"How Faithful is your Synthetic Data? Sample-level Metrics for Evaluating and Auditing Generative Models", A. M. Alaa,
B. van Breugel, E. Saveliev, M. van der Schaar, 2022, arXiv:2102.08921, the definition of authenticity:

    authpct = 1/N sum_g [d(g, r) > d(r, r')], r the training sample nearest to g, r' the one nearest to r

About a half for fresh samples of the training distribution, 0 for copies, and 1 for anything far away: it says
nothing about quality. The standard error is that of a share.

Differs: distances are in the features of the chosen extractor, in place of an embedding trained for the purpose. The
share is given as a number between 0 and 1, not in percent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.nearest import nearest


@dataclass(frozen=True)
class Authenticity:
    """Share of samples that lie farther from their nearest training sample than that one lies from its own."""

    name: ClassVar[str] = "authpct"
    paper: ClassVar[str] = "arXiv:2102.08921"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "logit"
    needs: ClassVar[frozenset[str]] = frozenset({"features", "train_features"})
    blind: ClassVar[frozenset[str]] = frozenset({"noise", "blur", "contrast", "mode_dropping", "duplication", "mixing"})
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "1/N sum_g [d(g, r) > d(r, r')], r nearest to g, r' nearest to r, of the training set"

    def settings(self, rows: int | None = None) -> dict[str, Any]:
        return {"dtype": "float64"}

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> Measured:
        rows, train = generated.features, context.train.features
        if rows is None or train is None:
            raise ValueError("no features were kept")
        if not len(rows) or len(train) < 2:
            raise ValueError(
                "authenticity needs a generated sample and two training samples, "
                f"and there are {len(rows)} and {len(train)}"
            )
        distances, places = nearest(rows, train)
        spacing, _ = nearest(train)
        share = float((distances > spacing[places]).double().mean())
        return Measured(share, math.sqrt(share * (1 - share) / len(rows)) if context.errors else None)


@hookimpl
def metrics() -> Sequence[type]:
    """Offer authenticity."""
    return [Authenticity]
