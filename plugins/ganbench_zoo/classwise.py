"""The Frechet distance of each class to the same class of the reference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench import FeatureStore
from ganbench_zoo.frechet import distance, fit_rows, influence

CLASSES = ("predicted", "given")


@dataclass(frozen=True)
class ClassDistances:
    """``values`` (K,) of all classes; ``errors`` are their standard errors, or None."""

    values: tuple[float, ...]
    errors: tuple[float, ...] | None


def class_distances(generated: FeatureStore, real: FeatureStore, classes: str, errors: bool) -> ClassDistances:
    """Return the Frechet distance of every class that the reference has.

    ``classes`` "predicted" takes the class of the largest logit on both sides, "given" the labels of the samples.

    Raises:
        ValueError: logits, labels or features are missing, the extractor's classes are not the data's, or a class has
            fewer than two samples on a side.
    """
    if generated.features is None or real.features is None:
        raise ValueError("no features were kept")
    ours, theirs, count = _classes(generated, real, classes)
    found = []
    for number in range(count):
        a, b = generated.features[ours == number], real.features[theirs == number]
        for side, rows in (("generated", a), ("reference", b)):
            if len(rows) < 2:
                raise ValueError(f"class {number} has {len(rows)} {side} samples, and a covariance needs at least 2")
        first, second = fit_rows(a), fit_rows(b)
        error = float(influence(first, second, a).std()) / math.sqrt(len(a)) if errors else 0.0
        found.append((distance(first, second), error))
    values, spread = zip(*found, strict=True)
    return ClassDistances(values, spread if errors else None)


def _classes(generated: FeatureStore, real: FeatureStore, classes: str) -> tuple[Tensor, Tensor, int]:
    """Return the classes of both sides and their number."""
    if real.labels is None:
        raise ValueError("the reference has no labels, so there are no classes to tell apart")
    count = int(real.labels.max()) + 1
    if classes == "given":
        if generated.labels is None:
            raise ValueError(
                'the classes of the generated samples are not known; ask for classes="predicted", which takes the '
                "extractor's"
            )
        return generated.labels, real.labels, count
    if generated.logits is None or real.logits is None:
        raise ValueError('the extractor names no classes; ask for classes="given", which takes the samples\' labels')
    if real.logits.shape[1] != count:
        raise ValueError(
            f"the extractor knows {real.logits.shape[1]} classes and the data have {count}: they are not the same ones"
        )
    return generated.logits.argmax(dim=1), real.logits.argmax(dim=1), count


def mean_error(errors: tuple[float, ...] | None) -> float | None:
    """Return the standard error of the mean of independent values."""
    return None if errors is None else float(torch.tensor(errors).norm()) / len(errors)
