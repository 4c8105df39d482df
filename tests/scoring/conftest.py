"""Fixtures of the scoring tests: toy extractors from a real plugin file, feature stores of given rows."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from ganbench import FeatureStore
from ganbench.scoring.context import Context
from ganbench.scoring.moments import Moments

PLUGIN = Path(__file__).parent.parent / "plugins" / "projections.py"


@pytest.fixture(scope="session")
def projections() -> ModuleType:
    """Return the plugin of toy extractors as a module."""
    name = "ganbench_test_projections"
    spec = importlib.util.spec_from_file_location(name, PLUGIN)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def store() -> Callable[..., FeatureStore]:
    """Return a function from rows (n, d), and perhaps logits (n, K), to the store that one pass would leave."""

    def build(rows: Tensor, logits: Tensor | None = None) -> FeatureStore:
        moments = Moments()
        moments.update(rows)
        return FeatureStore(len(rows), 0, moments.mean, moments.covariance, rows.float(), logits)

    return build


@pytest.fixture(scope="session")
def measure(store) -> Callable[..., float]:
    """Return a function that computes a metric on generated and real rows."""

    def compute(metric: object, generated: Tensor, real: Tensor, seed: int = 0) -> float:
        a, b = store(generated), store(real)
        return metric.compute(a, b, Context(seed, a, b))

    return compute


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(20)
