"""Sets of samples by name: what a text means, how datasets and paths are opened."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from ganbench import ImageSpec
from ganbench.catalog import Catalog, Entry
from ganbench.errors import DatasetError, GanbenchError
from ganbench.execution.inputs import Input, Place, open_dataset, open_path
from ganbench.execution.naming import open_text, readings, term_of
from ganbench.scoring.reference import content_hash

PIXELS = torch.randint(0, 256, (40, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def run_called(id: str, suite: str = "x") -> Path:
    folder = Path("results") / suite / "runs" / id
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"config": {}}))
    return folder


def everything(found: Input) -> torch.Tensor:
    return found.stored[torch.arange(len(found.stored))]


# What a text means


def test_each_kind_of_text_means_one_thing(place):
    Path("gen").mkdir()
    np.save("x.npy", PIXELS)
    np.savez("x.npz", images=PIXELS)
    run_called("abc123")
    for text, what in (
        ("gen", "the path"),
        ("./gen", "the path"),
        ("x.npy", "the path"),
        ("x.npz:images", "the path"),
        (str(Path("gen").resolve()), "the path"),
        ("results/x/runs/abc123", "the path"),
        ("blobs", "a dataset"),
        ("blobs:train", "a dataset"),
        ("blobs(n=8)", "a dataset"),
        ("image_folder(path='a/b'):all", "a dataset"),
        ("abc", "a run"),
        ("a.py:f", "a function"),
        ("some/where/a.py:f", "a function"),
    ):
        assert [reading.what for reading in readings(text, place)] == [what], text


def test_what_may_be_several_things_is_listed_with_spellings_that_are_clear(place):
    Path("blobs").mkdir()
    run_called("blobs1")
    with pytest.raises(GanbenchError) as caught:
        open_text("blobs", place)
    assert str(caught.value) == (
        "'blobs' may be the path (write ./blobs) or a dataset (write blobs:test) or a run (write results/x/runs/blobs1)"
    )
    for reading in readings("blobs", place):
        assert [other.what for other in readings(reading.spelling, place)] in ([reading.what], ["the path"])


def test_a_run_in_two_results_folders_is_one_run_and_two_runs_are_two(place):
    for suite in ("x", "y"):
        run_called("abc1", suite)
    assert len(readings("abc", place)) == 1
    run_called("abc2")
    with pytest.raises(GanbenchError, match=r"may be a run \(write .*abc1\) or a run \(write .*abc2\)"):
        open_text("abc", place)


def test_a_text_of_any_length_is_at_worst_unknown(place):
    for text in ("x" * 5000, "", ":", "a b c", "~nobody-is-called-this/x", "(", "digits("):
        with pytest.raises(GanbenchError):
            open_text(text, place)


def test_a_term_leads_back_to_what_it_describes(place):
    np.savez("it's.npz", images=PIXELS.float() / 127.5 - 1)
    opened = open_path("it's.npz:images", replace(place, value_range=(-1.0, 1.0)))
    assert opened.dataset.value_range == (-1.0, 1.0)
    again = open_text(term_of(opened.dataset, "all"), place)
    assert again.dataset == opened.dataset
    assert again.content == opened.content == content_hash(PIXELS)


# Datasets and paths


def test_a_dataset_is_its_test_split_unless_one_is_named(place):
    test, train = open_text("blobs(n=8)", place), open_text("blobs(n=8):train", place)
    blobs = test.dataset
    assert torch.equal(everything(test), blobs.load(place.data_root, "test").pixels)
    assert torch.equal(everything(train), blobs.load(place.data_root, "train").pixels)
    assert test.about == {"dataset": "blobs", "parameters": {"n": 8}, "split": "test"}
    assert (test.domain, test.extractor, test.count) == ("blobs", "pixels", 8)


def test_the_same_samples_in_a_folder_and_in_an_array_have_one_content(place):
    Path("gen").mkdir()
    for index, image in enumerate(PIXELS):
        Image.fromarray(image[0].numpy()).save(f"gen/{index:02}.png")
    np.save("gen.npy", PIXELS)
    first, second = open_text("gen", place), open_text("gen.npy", place)
    assert first.content == second.content == content_hash(PIXELS)
    assert first.about == {"dataset": "image_folder", "parameters": {"size": None, "channels": 1}, "split": "all"}


@dataclass(frozen=True)
class Strange:
    """A dataset of a stranger that says yes to every path, and breaks."""

    error: ClassVar[Exception] = RuntimeError("this was not foreseen")
    name: ClassVar[str] = "strange"
    paper: ClassVar[str] = "none"
    extractor: ClassVar[str] = "pixels"
    domain: ClassVar[str] = "strange"

    @classmethod
    def opening(cls, path):
        """Open whatever there is."""
        return cls()

    def spec(self, root):
        return ImageSpec((1, 4, 4))

    def load(self, root, split):
        raise self.error


def with_strange(place: Place) -> Place:
    entries = {**place.catalog.entries, ("dataset", "strange"): Entry("dataset", "strange", Strange, "here")}
    return replace(place, catalog=Catalog(entries))


def test_what_a_stranger_raises_is_a_sentence_that_names_the_path(place):
    Path("x.foo").write_text("")
    with pytest.raises(DatasetError, match=r"^x.foo: raised RuntimeError: this was not foreseen$"):
        open_text("x.foo", with_strange(place))


def test_a_path_that_two_datasets_would_open_is_refused(place):
    np.save("x.npy", PIXELS)
    with pytest.raises(DatasetError, match=r"x.npy can be opened by array_file and strange; name one as a dataset"):
        open_text("x.npy", with_strange(place))


def test_a_config_among_images_makes_no_run(place):
    Path("gen").mkdir()
    Image.fromarray(PIXELS[0, 0].numpy()).save("gen/a.png")
    for content in ("{}", '{"scheduler": "ddim"}', "no json"):
        Path("gen/config.json").write_text(content)
        assert open_text("gen", place).count == 1


def test_a_dataset_of_a_plugin_that_is_not_loaded_can_be_opened(place, toys):
    found = open_dataset(toys.Blobs(n=6), "test", replace(place, catalog=Catalog()), "mine")
    assert found.about["parameters"] == {"n": "6"}
