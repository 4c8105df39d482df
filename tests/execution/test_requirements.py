"""Splits are held or streamed by what the machine can hold, and no score, sample or identity tells which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from ganbench import Images
from ganbench.catalog import load_catalog
from ganbench.errors import DatasetError
from ganbench.execution import requirements
from ganbench.execution.ladder import Ask, climb
from ganbench.execution.requirements import HELD, draw_baseline, load_splits
from ganbench.scoring.reference import content_hash
from ganbench.suite.parameters import describe
from ganbench.suite.plan import PlannedDataset
from ganbench.values import Stream
from ganbench_zoo.baselines.noise import Noise
from ganbench_zoo.baselines.real import Real
from ganbench_zoo.datasets import array_file
from ganbench_zoo.datasets.array_file import ArrayFile

CPU = torch.device("cpu")
N, TRAIN = 500, 400
BYTES = {"images": TRAIN * 48, "points": TRAIN * 8}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write images or points, with labels, and load them on a machine with some memory left."""
    rng, catalog = np.random.default_rng(0), load_catalog()
    samples = {
        "images": rng.integers(256, size=(N, 3, 4, 4), dtype=np.uint8),
        "points": rng.normal(size=(N, 2)).astype(np.float32),
    }

    def load(kind="images", available=None, held=False):
        path = tmp_path / f"{kind}.npz"
        np.savez(path, samples=samples[kind], labels=np.arange(N) % 4)
        dataset = ArrayFile(str(path), key="samples")
        planned = PlannedDataset(kind, describe(catalog, "dataset", dataset), {})
        monkeypatch.setattr(requirements, "available_bytes", lambda: available)
        monkeypatch.setattr(array_file, "may_be_held", lambda nbytes: held)
        return load_splits(catalog, planned, tmp_path)

    return load


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("kind", list(BYTES))
def test_a_split_beyond_a_share_of_memory_is_streamed(load, kind, held):
    exactly = int(BYTES[kind] / HELD)
    forms = [load(kind, available, held).train for available in (None, exactly, exactly - 1)]
    assert [type(form) for form in forms] == [Images, Images, Stream]
    everything = torch.arange(TRAIN)
    assert all(torch.equal(form.pixels[everything], forms[0].pixels) for form in forms)
    assert all(torch.equal(form.labels, forms[0].labels) for form in forms)


@pytest.mark.parametrize("held", [True, False])
def test_no_hash_tells_whether_a_split_was_held(load, held):
    found = [load(available=available, held=held) for available in (None, 1)]
    assert len({content_hash(splits.scored.pixels) for splits in found}) == 1
    assert len({content_hash(splits.test.pixels) for splits in found}) == 1
    assert content_hash(found[0].scored.pixels) == content_hash(found[0].train.pixels)


def test_a_dataset_that_cannot_be_streamed_is_held_whatever_the_memory(tmp_path, monkeypatch):
    catalog = load_catalog()
    monkeypatch.setattr(requirements, "available_bytes", lambda: 1)
    described = describe(catalog, "dataset", catalog.find("dataset", "ring").component(train=80, test=16))
    splits = load_splits(catalog, PlannedDataset("ring", described, {}), tmp_path)
    assert isinstance(splits.train, Images)
    assert splits.scored is splits.train
    assert (len(splits.train), len(splits.test), splits.truth.modes) == (80, 16, 8)


@pytest.mark.parametrize("kind", list(BYTES))
@pytest.mark.parametrize("baseline", [Real(), Noise()])
def test_baselines_draw_the_same_of_a_stream(load, baseline, kind):
    drawn = [
        draw_baseline(baseline, load(kind, available), torch.Generator().manual_seed(2), 50) for available in (None, 1)
    ]
    assert len(drawn[0]) == 50
    assert torch.equal(*drawn)


@dataclass(frozen=True)
class Average:
    name: ClassVar[str] = "average"

    def fit(self, data, images, rng):
        mean = images.pixels.float().mean(0)
        return lambda n: mean.expand(n, *mean.shape)


def test_a_baseline_that_cannot_take_a_stream_is_refused_in_a_sentence(load):
    assert draw_baseline(Average(), load("points"), torch.Generator(), 3).shape == (3, 2)
    with pytest.raises(DatasetError, match=r"more than 25% of the memory .* baseline 'average' cannot be fitted"):
        draw_baseline(Average(), load("points", 1), torch.Generator(), 3)


def test_what_a_baseline_does_wrong_with_images_stays_its_own_error(load):
    class Wrong(Average):
        def fit(self, data, images, rng):
            raise TypeError("wrong")

    with pytest.raises(TypeError, match=r"^wrong$"):
        draw_baseline(Wrong(), load("points"), torch.Generator(), 3)


def test_a_ladder_stands_on_a_stream_as_on_images_unless_memory_is_too_small(load, tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    load("points")
    ask = Ask(f"array_file(path={tmp_path / 'points.npz'}, key=samples)", metrics=("fd",), ladders=("noise",))
    reports = []
    for available in (None, 3 * BYTES["points"]):
        monkeypatch.setattr(requirements, "available_bytes", lambda available=available: available)
        reports.append(climb(ask, load_catalog(), tmp_path, CPU))
    assert reports[0] == reports[1]
    monkeypatch.setattr(requirements, "available_bytes", lambda: BYTES["points"])
    with pytest.raises(DatasetError, match=r"a ladder on 'array_file.*' wants the whole training split in memory"):
        climb(ask, load_catalog(), tmp_path, CPU)


def test_a_ladder_stands_on_images_that_are_in_memory_anyway(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(requirements, "available_bytes", lambda: 1)
    ask = Ask("ring(train=80, test=40)", metrics=("fd",), ladders=("noise",))
    assert climb(ask, load_catalog(), tmp_path, CPU).counts["training"] == 20
