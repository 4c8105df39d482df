"""One metric on two feature stores: its value, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import replace

from ganbench.components import Metric
from ganbench.scoring.context import Context, Given
from ganbench.scoring.request import Status
from ganbench.values import FeatureStore, Measured

Outcome = tuple[Measured | None, Status, str | None]
"""What was measured, a status, and the reason where nothing was."""


def lacking(metric: Metric, generated: FeatureStore, given: Given, extractor: str) -> str | None:
    """Say what ``metric`` needs that this set, this extractor or these data do not have, or None."""
    if "logits" in metric.needs and generated.logits is None:
        return f"{metric.name} needs class logits, and extractor {extractor!r} gives none"
    if "truth" in metric.needs and given.truth is None:
        return f"{metric.name} needs data whose modes are known"
    if "train_features" in metric.needs and given.train is None:
        return f"{metric.name} needs the training split, and none is known"
    if "generator" in metric.needs and given.synthesis is None:
        return f"{metric.name} needs a generator, and an extractor that takes its images before they are rounded"
    return None


def measure(metric: Metric, generated: FeatureStore, real: FeatureStore, context: Context) -> Outcome:
    """Compute ``metric``; no exception of a metric takes the others with it."""
    for name, store in (("generated", generated), ("reference", real)):
        if store.nonfinite:
            return None, "failed", f"{store.nonfinite} of {store.count} {name} samples have NaN or infinite features"
    try:
        found = metric.compute(generated, real, context)
        measured = found if isinstance(found, Measured) else Measured(float(found))
    except ValueError as error:
        return None, "failed", str(error)
    except Exception as error:  # a stranger's metric
        return None, "failed", f"{metric.name} raised {type(error).__name__}: {error}"
    if not math.isfinite(measured.value):
        return None, "failed", f"{metric.name} gave {measured.value}"
    if measured.error is not None and not math.isfinite(measured.error):
        measured = replace(measured, error=None)
    return replace(measured, value=float(measured.value)), "done", None


def first(store: FeatureStore, rows: int) -> FeatureStore:
    """Return ``store`` with the first ``rows`` of what it holds row by row; moments stay those of all rows."""
    names = ("features", "logits", "labels", "modes", "deviations")
    held = {name: value[:rows] for name in names if (value := getattr(store, name)) is not None}
    return replace(store, **held)
