"""Numbers from features: our metrics against torch-fidelity's own functions, paired, at d = 2048.

Run with ``tox -e bench``, or ``pytest benchmarks/bench_scoring.py --benchmark-only``. Both sides run in turn in one
process that keeps large blocks of memory, as ganbench's runs and scorings do. Their ratio is worth more than their
times; it is the median of five. That both give the same value is checked too.
"""

from __future__ import annotations

import math
import os
import statistics
import time
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ganbench import FeatureStore
from ganbench.memory import keep_large_blocks
from ganbench.scoring.context import Context
from ganbench.scoring.moments import Moments
from ganbench_zoo.metrics.fd import FrechetDistance
from ganbench_zoo.metrics.kd import KernelDistance
from ganbench_zoo.metrics.precision import Precision
from ganbench_zoo.metrics.recall import Recall

WIDTH, SAMPLES, BATCH, ROUNDS = 2048, 10_000, 128, 5


@pytest.fixture(scope="module")
def fidelity() -> SimpleNamespace:
    """Return torch-fidelity's functions from features to values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
        from torch_fidelity.metric_kid import kid_features_to_metric
        from torch_fidelity.metric_prc import prc_features_to_metric
    return SimpleNamespace(
        statistics=fid_features_to_statistics,
        fid=fid_statistics_to_metric,
        kid=kid_features_to_metric,
        prc=prc_features_to_metric,
    )


@pytest.fixture
def paired(benchmark, capsys) -> Callable[..., tuple[Any, Any]]:
    """Return a function that runs theirs and ours in turn, reports the median ratio, and returns both results."""
    keep_large_blocks()
    torch.set_num_threads(os.cpu_count() or 1)

    def run(what: str, theirs: Callable[[], Any], ours: Callable[[], Any]) -> tuple[Any, Any]:
        loops, found = {"theirs": theirs, "ours": ours}, {}
        seconds: dict[str, list[float]] = {name: [] for name in loops}

        def pair() -> None:
            for name, loop in loops.items():
                start = time.perf_counter()
                found[name] = loop()
                seconds[name].append(time.perf_counter() - start)

        benchmark.pedantic(pair, rounds=ROUNDS, warmup_rounds=1)
        ratios = [a / b for a, b in zip(seconds["theirs"][1:], seconds["ours"][1:], strict=True)]
        medians = {name: round(statistics.median(taken[1:]), 3) for name, taken in seconds.items()}
        report = {"ratio": round(statistics.median(ratios), 2), "seconds": medians, "threads": torch.get_num_threads()}
        benchmark.extra_info.update(report)
        with capsys.disabled():
            print(f"\n{what}: {report}")
        return found["theirs"], found["ours"]

    return run


def features(n: int, seed: int, scale: float = 1.0) -> Tensor:
    """Draw float32 features (n, WIDTH) whose variances fall over four decades, none below zero."""
    spread = torch.logspace(0, -2, WIDTH)
    rows = torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed))
    return (scale * spread * (rows + 0.3)).clamp_(min=0.0) + 0.1 * spread * rows


def moments_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    moments = Moments()
    for batch in rows.split(BATCH):
        moments.update(batch)
    return moments.mean, moments.covariance


@pytest.mark.parametrize("n", [4096, 1000])
def test_trace_term(fidelity, paired, n):
    stores = [FeatureStore(n, 0, *moments_of(rows), rows) for rows in (features(n, 1, 1.1), features(n, 2))]
    given = [{"mu": store.mean.numpy(), "sigma": store.covariance.numpy()} for store in stores]
    theirs, ours = paired(
        f"Frechet distance of given moments, {n} samples of {WIDTH} features",
        lambda: fidelity.fid(*given, verbose=False)["frechet_inception_distance"],
        lambda: FrechetDistance().compute(*stores, Context(0, *stores)),
    )
    if n < WIDTH:
        x, y = (store.features.double() - store.mean for store in stores)
        crossed = x @ y.T / (n - 1)
    else:
        assert ours == pytest.approx(theirs, rel=1e-6)
        x, y = (axes * variances.sqrt() for variances, axes in (torch.linalg.eigh(s.covariance) for s in stores))
        crossed = x.T @ y
    apart = (stores[0].mean - stores[1].mean).square().sum() + sum(store.covariance.trace() for store in stores)
    assert ours == pytest.approx(float(apart - 2 * torch.linalg.svdvals(crossed).sum()), rel=1e-6)


def test_moments(fidelity, paired):
    rows = features(SAMPLES, 1)
    theirs, ours = paired(
        f"mean and covariance of {SAMPLES} x {WIDTH} features in batches of {BATCH}",
        lambda: fidelity.statistics(rows),
        lambda: moments_of(rows),
    )
    torch.testing.assert_close(ours[0], torch.from_numpy(theirs["mu"]).double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours[1], torch.from_numpy(theirs["sigma"]), rtol=1e-6, atol=1e-9)


def test_kernel_distance(fidelity, paired):
    x, y = features(SAMPLES, 1, 1.02), features(SAMPLES, 2)
    stores = [FeatureStore(SAMPLES, 0, features=rows) for rows in (x, y)]
    context = Context(0, *stores)
    theirs, ours = paired(
        f"kernel distance of {SAMPLES} and {SAMPLES} samples, 100 subsets of 1000",
        lambda: fidelity.kid(x, y, kid_subsets=100, kid_subset_size=1000, verbose=False),
        lambda: KernelDistance().compute(*stores, context),
    )
    error = theirs["kernel_inception_distance_std"] * math.sqrt(2 / 100)
    assert abs(ours - theirs["kernel_inception_distance_mean"]) < 5 * error


def test_precision_and_recall(fidelity, paired):
    x, y = features(SAMPLES, 1, 1.02), features(SAMPLES, 2)
    stores = [FeatureStore(SAMPLES, 0, features=rows) for rows in (x, y)]

    def both() -> tuple[float, float]:
        context = Context(0, *stores)
        return tuple(metric.compute(*stores, context) for metric in (Precision(), Recall()))

    theirs, ours = paired(
        f"precision and recall of {SAMPLES} and {SAMPLES} samples",
        lambda: fidelity.prc(x, y, verbose=False),
        both,
    )
    # float32 distances may put single samples on the other side of a ball
    assert ours == pytest.approx((theirs["precision"], theirs["recall"]), abs=5 / SAMPLES)
