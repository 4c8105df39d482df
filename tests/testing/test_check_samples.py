"""What `check_component` asks of datasets, baselines, extractors and metrics; the bundled datasets on small files."""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganbench import Features, Images, ImageSpec, Measured
from ganbench.catalog import load_catalog
from ganbench.testing import ComponentFault, check_component

UNSEEDED = torch.Generator()


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_sets_in_idx_files_pass(name, folder, tmp_path):
    for split, count in (("train", 60_000), ("t10k", 10_000)):
        for content, shape in (("images-idx3", (count, 28, 28)), ("labels-idx1", (count,))):
            path = tmp_path / folder / "raw" / f"{split}-{content}-ubyte"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
                file.truncate(4 + 4 * len(shape) + math.prod(shape))
    check_component(load_catalog().entries["dataset", name].component, root=tmp_path)


def test_a_folder_of_images_passes(tmp_path):
    for index, name in enumerate(("train/cat/a.png", "train/dog/b.png", "test/cat/c.png", "test/dog/d.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (60 * index, 0, 9)).save(tmp_path / name)
    check_component(load_catalog().entries["dataset", "image_folder"].component(path=str(tmp_path)))


def test_an_array_in_a_file_passes(tmp_path):
    labels = np.arange(40) % 4
    np.savez(tmp_path / "x.npz", images=np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8), y=labels)
    check_component(load_catalog().entries["dataset", "array_file"].component(path=str(tmp_path / "x.npz")))


def dataset(train, test=None, **attributes):
    def load(self, root, split):
        if split not in ("train", "test"):
            raise ValueError(f"no split {split!r}")
        return train if split == "train" else test or Images(PIXELS[5:], LABELS[5:])

    namespace = {
        "spec": lambda self, root: ImageSpec((1, 4, 4), classes=3),
        "load": load,
        "extractor": "any",
        "domain": "any",
        "name": "faulty",
        "paper": "none",
        **attributes,
    }
    return dataclass(frozen=True)(type("Faulty", (), namespace))


PIXELS = torch.randint(256, (9, 1, 4, 4), generator=torch.Generator().manual_seed(0)).byte()
LABELS = torch.arange(9) % 3


def test_a_plain_dataset_passes():
    check_component(dataset(Images(PIXELS, LABELS)))


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (dataset(Images(PIXELS.float(), LABELS)), "gave torch.float32; stored samples are torch.uint8"),
        (dataset(Images(PIXELS[:, :, 1:], LABELS)), r"samples of shape \(1, 3, 4\); wants \(1, 4, 4\)"),
        (dataset(Images(PIXELS)), "labels are None where classes is 3"),
        (dataset(Images(PIXELS, LABELS.int())), "labels are torch.int32"),
        (dataset(Images(PIXELS, LABELS + 1)), r"labels lie in \[1, 3\]; wants \[0, 2\]"),
        (dataset(Images(PIXELS, LABELS), Images(PIXELS, LABELS)), "train and test hold the same samples"),
        (dataset(Images(PIXELS[:0], LABELS[:0])), "split train is empty"),
        (dataset(Images(PIXELS, LABELS), load=lambda self, root, split: Images(PIXELS, LABELS)), "same samples"),
        (dataset(PIXELS), r"load\(\) gave Tensor; wants Images"),
        (dataset(Images(PIXELS, LABELS), domain=None), "domain is no string"),
    ],
)
def test_a_faulty_dataset_is_refused(faulty, message):
    with pytest.raises(ComponentFault, match=message):
        check_component(faulty)


def test_a_dataset_that_takes_any_split_is_refused():
    def load(self, root, split):
        return Images(PIXELS if split == "train" else PIXELS.flip(0), LABELS)

    with pytest.raises(ComponentFault, match="took a split called 'no such split'"):
        check_component(dataset(None, load=load))


def metric(compute, **attributes):
    namespace = {
        "compute": lambda self, generated, real, context: compute(generated, real),
        "direction": "lower",
        "scale": "linear",
        "needs": frozenset({"features"}),
        "version": 1,
        "name": "faulty",
        "paper": "none",
        **attributes,
    }
    return dataclass(frozen=True)(type("Faulty", (), namespace))


@pytest.mark.parametrize(
    ("compute", "attributes", "message"),
    [
        (lambda generated, real: generated.features.mean(), {}, "gave Tensor; wants a float"),
        (lambda generated, real: math.nan, {}, "is nan"),
        (lambda generated, real: torch.rand((), generator=UNSEEDED).item(), {}, "draw from context.seed"),
        (lambda generated, real: float(generated.features.add_(1)[0, 0] * 0), {}, "changed the features"),
        (lambda generated, real: float(generated.mean[0]), {}, "raised TypeError"),
        (lambda generated, real: 1.0, {"needs": frozenset({"pixels"})}, "needs holds pixels; possible"),
        (lambda generated, real: 1.0, {"error_needs": frozenset({"pixels"})}, "error_needs holds pixels; possible"),
        (lambda generated, real: 1.0, {"version": "1"}, "version is '1'"),
        (lambda generated, real: Measured(1.0, error=-1.0), {}, "has the error -1.0"),
        (lambda generated, real: Measured(1), {}, "gave int; wants a float"),
    ],
)
def test_a_faulty_metric_is_refused(compute, attributes, message):
    with pytest.raises(ComponentFault, match=message):
        check_component(metric(compute, **attributes))


def test_a_value_must_not_depend_on_whether_its_error_is_wanted():
    def compute(self, generated, real, context):
        return Measured(float(context.errors))

    with pytest.raises(ComponentFault, match=r"is 0.0, but 1.0 with errors asked for"):
        check_component(dataclass(frozen=True)(type("Faulty", (metric(None),), {"compute": compute})))


class Halves:
    modes, width = 2, None

    def __init__(self, modes):
        self.found = modes

    def locate(self, stored):
        return self.found.expand(len(stored)), None


@pytest.mark.parametrize(
    ("modes", "width", "message"),
    [
        (torch.tensor(2), None, r"modes lie in \[2, 2\]; wants \[-1, 1\]"),
        (torch.tensor(-1), None, "finds no real sample in any mode"),
        (torch.tensor(0.0), None, "gave modes torch.float32"),
        (torch.tensor(0), 2, "deviations are None where width is 2"),
    ],
)
def test_a_faulty_truth_is_refused(modes, width, message):
    def truth(self, root):
        halves = Halves(modes)
        halves.width = width
        return halves

    with pytest.raises(ComponentFault, match=message):
        check_component(dataset(Images(PIXELS[:5], LABELS[:5]), truth=truth))


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (lambda data, rng: lambda n: torch.zeros(n, *data.shape), "gave torch.float32"),
        (lambda data, rng: lambda n: torch.zeros(n, 1, 2, 2).byte(), r"samples of shape \(1, 2, 2\)"),
        (lambda data, rng: lambda n: torch.zeros(n + 1, *data.shape).byte(), "21 samples where 20"),
        (lambda data, rng: lambda n: torch.randint(256, (n, *data.shape), generator=UNSEEDED).byte(), "two results"),
    ],
)
def test_a_faulty_baseline_is_refused(sampler, message):
    namespace = {
        "fit": lambda self, data, images, rng: sampler(data, rng),
        "trained": False,
        "name": "faulty",
        "paper": "none",
    }
    with pytest.raises(ComponentFault, match=message):
        check_component(dataclass(frozen=True)(type("Faulty", (), namespace)))


class Network(nn.Module):
    provenance: ClassVar[Mapping[str, Any]] = {"layer": "pixels"}
    canonical = False

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, stored):
        return Features(self.body(stored.flatten(1).float()))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda x: x, None),
        (lambda x: x.double(), "wants float32"),
        (lambda x: x / 0, "not finite"),
        (lambda x: x.requires_grad_(), "carry a gradient"),
        (lambda x: x - x.mean(0), "depend on the batch size"),
        (lambda x: x + torch.rand(x.shape, generator=UNSEEDED), "differ from one pass to the next"),
    ],
)
def test_an_extractor_is_checked_through_its_network(body, message):
    namespace = {
        "accepts": lambda self, data: None,
        "available": lambda self: None,
        "load": lambda self, device: Network(body),
        "domains": None,
        "name": "faulty",
        "paper": "none",
    }
    extractor = dataclass(frozen=True)(type("Faulty", (), namespace))
    if message is None:
        check_component(extractor)
        return
    with pytest.raises(ComponentFault, match=message):
        check_component(extractor)
