"""Inception features: our pass against torch-fidelity's own loop, paired, and the use of a GPU where there is one.

Run with ``tox -e bench``, or ``pytest benchmarks/bench_extractors.py --benchmark-only``. Both loops run in turn in one
process, so their ratio is worth more than their times. Weights are random: speed does not depend on them.
"""

from __future__ import annotations

import os
import statistics
import time
import warnings
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from ganbench.memory import keep_large_blocks
from ganbench.scoring.extract import Wanted, extract
from ganbench.scoring.sample import TensorSource, permutation
from ganbench_zoo.extractors.inception_v3 import InceptionV3
from ganbench_zoo.inception import LAYERS, NETWORK

IMAGES, BATCH, ROUNDS = 64, 32, 5
ON_A_GPU = 4096
KEPT = Wanted(frozenset({"features", "logits"}))


class Stored(torch.utils.data.Dataset):
    def __init__(self, stored: Tensor) -> None:
        self.stored = stored

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> Tensor:
        return self.stored[index]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """Write random weights of Inception's shapes and return their path."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    folder: Path = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", Mock())
        module = FeatureExtractorInceptionV3(NETWORK, ["2048"], feature_extractor_weights_path=folder / "empty.pth")
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(module.state_dict(), folder / "random.pth")
    return str(folder / "random.pth")


def images(n: int) -> Tensor:
    return torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("allocator", ["as it is", "keeping large blocks"])  # in this order: it cannot be undone
def test_inception_against_torch_fidelity(benchmark, capsys, weights, allocator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset
    if allocator == "keeping large blocks" and not keep_large_blocks():
        pytest.skip("only glibc's allocator can be told to keep large blocks")
    torch.set_num_threads(os.cpu_count() or 1)
    given = {"cuda": False, "verbose": False, "feature_extractor_weights_path": weights}
    theirs = create_feature_extractor(NETWORK, list(LAYERS), **given)
    ours, pixels = InceptionV3(weights=weights).load(torch.device("cpu")), images(IMAGES)
    ordered = pixels[permutation(IMAGES, 0)]  # as a source gives them
    loops = {
        "theirs": lambda: get_featuresdict_from_dataset(Stored(ordered), theirs, BATCH, False, True, False),
        "ours": lambda: extract(TensorSource(pixels), ours, KEPT, IMAGES, BATCH),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    found = {}

    def pair() -> None:
        for name, loop in loops.items():
            start = time.perf_counter()
            found[name] = loop()
            seconds[name].append(time.perf_counter() - start)

    benchmark.pedantic(pair, rounds=ROUNDS, warmup_rounds=1)
    wanted = found["theirs"]["2048"]
    assert ((found["ours"].features - wanted).norm(dim=1) / wanted.norm(dim=1)).max() < 1e-4
    ratios = [a / b for a, b in zip(seconds["theirs"][1:], seconds["ours"][1:], strict=True)]
    speeds = {name: round(IMAGES / statistics.median(taken[1:]), 1) for name, taken in seconds.items()}
    report = {"ratio": round(statistics.median(ratios), 2), "images_per_second": speeds, "allocator": allocator}
    benchmark.extra_info.update(report)
    with capsys.disabled():
        print(f"\ninception_v3 on the CPU, {torch.get_num_threads()} threads: {report}")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_inception_on_a_gpu(benchmark, capsys, weights, precision):
    """Report images a second, and the share of the time in which the device computes."""
    from torch.profiler import ProfilerActivity, profile

    network = InceptionV3(weights=weights, precision=precision).load(torch.device("cuda"))
    source = TensorSource(images(ON_A_GPU))

    def run() -> None:
        extract(source, network, KEPT, ON_A_GPU, 256)
        torch.cuda.synchronize()

    benchmark.pedantic(run, rounds=ROUNDS, warmup_rounds=2)
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        start = time.perf_counter()
        run()
        elapsed = time.perf_counter() - start
    events = [event for event in profiled.key_averages() if not event.key.startswith("Mem")]  # no copies, no fills
    busy = sum(event.self_device_time_total for event in events) / 1e6
    speed = ON_A_GPU / benchmark.stats.stats.median
    report = {"images_per_second": round(speed), "share_computing": round(busy / elapsed, 3), "precision": precision}
    benchmark.extra_info.update(report)
    with capsys.disabled():
        print(f"\ninception_v3 on {torch.cuda.get_device_name()}: {report}")
