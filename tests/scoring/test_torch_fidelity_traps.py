"""What torch-fidelity does that our code must not fall into: each known trap, and what stands in its way."""

from __future__ import annotations

import ast
import io
import warnings
from pathlib import Path

import pytest
import torch

import ganbench
import ganbench_zoo
from ganbench.scoring.context import Context
from ganbench_zoo import inception
from ganbench_zoo.metrics.cs import ClassifierScore
from ganbench_zoo.metrics.fd import FrechetDistance
from ganbench_zoo.metrics.kd import KernelDistance

SOURCES = [path for package in (ganbench, ganbench_zoo) for path in sorted(Path(package.__file__).parent.rglob("*.py"))]
TAKEN = {
    "torch_fidelity.feature_extractor_inceptionv3.BasicConv2d",
    "torch_fidelity.feature_extractor_clip.build_model",
    "torch_fidelity.utils.create_feature_extractor",
}
"""All that our code takes from it: two networks and the function that builds one of them."""


def imported(path: Path) -> set[str]:
    """Name what a file imports, wherever in it: modules, and the names taken out of them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_only_networks_are_taken_from_it():
    """So its cache by name, its unchecked downloads, its sampling loops and its registry are out of reach."""
    names = {name for path in SOURCES for name in imported(path)}
    assert {name for name in names if name.startswith("torch_fidelity")} == TAKEN


def test_nothing_is_imported_from_the_tests_that_its_wheel_installs():
    assert not [path for path in SOURCES if any(name.partition(".")[0] == "tests" for name in imported(path))]


@pytest.fixture(scope="module")
def fidelity():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing its vision stack may warn of what its dependencies deprecate
        import torch_fidelity.utils as module
    return module


def test_the_one_call_names_only_arguments_that_exist(fidelity, inception_weights, monkeypatch):
    """Unknown ones would be ignored without a word; the device is the CPU unless we move the network ourselves."""
    seen = {}

    def spy(name, layers, **given):
        seen.update(given, name=name, layers=layers)
        return original(name, layers, **given)

    original = fidelity.create_feature_extractor
    monkeypatch.setattr(fidelity, "create_feature_extractor", spy)
    inception.build(torch.load(inception_weights, weights_only=True), torch.device("cpu"), torch.float32)
    assert set(seen) - {"name", "layers"} <= set(fidelity.DEFAULTS)
    assert seen["name"] == inception.NETWORK
    assert seen["cuda"] is False  # on by default, and raises without a driver
    assert "feature_extractor_internal_dtype" not in seen  # "float64" would stay float32
    assert isinstance(seen["feature_extractor_weights_path"], io.BytesIO)  # a path would be unpickled, code and all


def test_layers_in_either_order_give_the_same_features(inception_weights, monkeypatch):
    state, pixels = torch.load(inception_weights, weights_only=True), torch.full((1, 3, 299, 299), 0.25)
    found = []
    for layers in (inception.LAYERS, inception.LAYERS[::-1]):
        monkeypatch.setattr(inception, "LAYERS", layers)
        with torch.no_grad():
            found.append(inception.build(state, torch.device("cpu"), torch.float32)(pixels))
    (features, logits), (again, same) = found
    assert features.shape == (1, 2048)
    assert logits.shape == (1, 1008)
    assert torch.equal(features, again)
    assert torch.equal(logits, same)


def test_kernel_distance_takes_fewer_samples_than_a_subset_and_records_its_size(store):
    x, y = torch.randn(2, 40, 8, generator=torch.Generator().manual_seed(0))
    a, b = store(x), store(y + 1)
    assert KernelDistance().compute(a, b, Context(0, a, b)) > 0
    assert KernelDistance().settings(40)["subset_size"] == 20


def test_classifier_score_with_too_few_samples_or_vanishing_classes_is_no_nan(store):
    logits = torch.tensor([[0.0, -200.0, 200.0], [0.0, -300.0, 100.0], [150.0, -200.0, 0.0]])
    a = store(torch.zeros(3, 2), logits)
    score = ClassifierScore(splits=1).compute(a, a, Context(0, a, a))
    assert 1 < score < 3
    with pytest.raises(ValueError, match="10 splits need at least as many samples, and there are 3"):
        ClassifierScore(splits=10).compute(a, a, Context(0, a, a))


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_distance_of_few_rows_to_themselves_is_nothing(store, scale):
    """The eigenvalues of a product of singular covariances give -2.7e-5 here, and more at a larger scale."""
    a = store(scale * torch.randn(50, 256, generator=torch.Generator().manual_seed(0)))
    assert 0 <= FrechetDistance().compute(a, a, Context(0, a, a)) < 1e-8 * float(a.covariance.trace())
