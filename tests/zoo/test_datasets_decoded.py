"""The decoded images that image_folder keeps on disk: read by the next run, and made anew where they do not fit."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganbench.scoring.reference import content_hash
from ganbench_zoo import decoded, originals, rows
from ganbench_zoo.datasets.image_folder import ImageFolder
from ganbench_zoo.decode import decode_all


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep every set, however small, in a cache folder of the test's own."""
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(decoded, "WORTH", 1)
    monkeypatch.setattr(decoded, "CHUNK", 3)
    return tmp_path / "cache" / "decoded"


@pytest.fixture
def decodings(monkeypatch):
    """Count the images that are decoded."""
    names = []

    def counted(decoder, wanted, pool):
        names.extend(wanted)
        return decode_all(decoder, wanted, pool)

    monkeypatch.setattr(rows, "decode_all", counted)
    return names


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 9, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    for index in range(8):
        for split in ("train", "test"):
            path = tmp_path / "set" / split / f"{index % 2}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(index + 100 * (split == "test")))
    return tmp_path / "set"


def files(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.npy"))


def test_the_second_opening_decodes_nothing(folder, cache, decodings, tmp_path):
    data = ImageFolder(str(folder))
    first = data.load(tmp_path, "train")
    assert len(decodings) == 8
    again, stream = data.load(tmp_path, "train"), data.stream(tmp_path, "train")
    assert len(decodings) == 8
    plain = ImageFolder(str(folder), cache=False)
    expected = plain.load(tmp_path, "train")
    order = torch.tensor([5, 0, 5])
    for images in (first, again, stream):
        assert torch.equal(images.pixels[order], expected.pixels[order])
        assert torch.equal(images.labels, expected.labels)
    assert first.pixels.dtype == torch.uint8
    assert stream.pixels.fingerprint == content_hash(expected.pixels)
    assert len(files(cache)) == 1
    assert not list(cache.glob(".*.tmp"))


def test_a_set_may_be_larger_than_memory(folder, tmp_path, monkeypatch):
    expected = ImageFolder(str(folder), cache=False).load(tmp_path, "train")
    monkeypatch.setattr(originals, "available_bytes", lambda: 100)
    monkeypatch.setattr(rows, "available_bytes", lambda: 100)
    with pytest.raises(ValueError, match="more than half of the"):
        ImageFolder(str(folder), cache=False).load(tmp_path, "train")
    assert torch.equal(ImageFolder(str(folder)).load(tmp_path, "train").pixels, expected.pixels)


def test_the_hash_of_a_large_set_does_not_depend_on_the_cache(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 0)
    monkeypatch.setattr(decoded, "SMALL", 0)
    kept, read = (ImageFolder(str(folder), cache=cache).stream(tmp_path, "train").pixels for cache in (True, False))
    assert isinstance(kept, decoded.Kept)
    assert isinstance(read, rows.ImageRows)
    assert kept.fingerprint == read.fingerprint


def test_what_is_changed_in_memory_stays_in_memory(folder, tmp_path):
    data = ImageFolder(str(folder))
    before = data.load(tmp_path, "train").pixels.clone()
    data.load(tmp_path, "train").pixels.zero_()
    assert torch.equal(data.load(tmp_path, "train").pixels, before)


def test_a_changed_folder_is_decoded_again(folder, cache, decodings, tmp_path):
    data = ImageFolder(str(folder))
    before = data.load(tmp_path, "train").pixels.clone()
    (folder / "train" / "0" / "2.png").write_bytes(png(77))
    after = data.load(tmp_path, "train").pixels
    assert len(decodings) == 16
    assert (before != after).flatten(1).any(1).sum() == 1
    (folder / "train" / "0" / "2.png").unlink()
    assert len(data.load(tmp_path, "train")) == 7
    assert len(files(cache)) == 3


def test_each_way_of_reading_and_each_split_is_kept_by_itself(folder, cache, tmp_path):
    for fields in ({}, {"size": 4}, {"size": 6}, {"channels": 1}):
        for split in ("train", "test"):
            data, plain = (ImageFolder(str(folder), cache=cache, **fields) for cache in (True, False))
            assert torch.equal(data.load(tmp_path, split).pixels, plain.load(tmp_path, split).pixels)
    assert len(files(cache)) == 8


@pytest.mark.parametrize("kept", [0, 50, 128, 300, -1])
def test_a_truncated_array_is_noticed_and_made_anew(kept, folder, cache, decodings, tmp_path):
    data = ImageFolder(str(folder))
    expected = data.load(tmp_path, "train").pixels.clone()
    (path,) = files(cache)
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    assert torch.equal(data.load(tmp_path, "train").pixels, expected)
    assert len(decodings) == 16
    assert path.read_bytes() == whole


def test_an_array_of_another_shape_or_type_is_made_anew(folder, cache, tmp_path):
    data = ImageFolder(str(folder))
    expected = data.load(tmp_path, "train").pixels.clone()
    (path,) = files(cache)
    for strange in (np.zeros((7, 3, 8, 9), np.uint8), np.zeros((8, 3, 8, 9), np.int8), np.array([None])):
        np.save(path, strange, allow_pickle=True)
        assert torch.equal(data.load(tmp_path, "train").pixels, expected)


def test_the_same_images_elsewhere_are_not_decoded_again(folder, cache, decodings, tmp_path):
    ImageFolder(str(folder)).load(tmp_path, "train")
    shutil.copytree(folder, tmp_path / "copy")
    ImageFolder(str(tmp_path / "copy")).load(tmp_path, "train")
    assert len(decodings) == 8


def test_nothing_is_kept_where_that_is_not_wanted_or_not_worth_it(folder, cache, tmp_path, monkeypatch):
    ImageFolder(str(folder), cache=False).load(tmp_path, "train")
    ImageFolder.opening(folder).load(tmp_path, "all")
    monkeypatch.setattr(decoded, "WORTH", 2**26)
    ImageFolder(str(folder)).load(tmp_path, "train")
    assert not cache.exists()


def test_without_room_or_a_folder_all_goes_on_without(folder, cache, tmp_path, monkeypatch):
    expected = ImageFolder(str(folder), cache=False).load(tmp_path, "train").pixels
    with monkeypatch.context() as patch:
        patch.setattr(decoded.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
        assert torch.equal(ImageFolder(str(folder)).load(tmp_path, "train").pixels, expected)
    assert not files(cache)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "file"))
    assert torch.equal(ImageFolder(str(folder)).load(tmp_path, "train").pixels, expected)


def test_a_broken_image_leaves_nothing_behind(folder, cache, tmp_path):
    (folder / "train" / "1" / "7.png").write_bytes(png(7)[:150])
    with pytest.raises(ValueError, match=r"train/1/7.png in .* cannot be decoded"):
        ImageFolder(str(folder)).load(tmp_path, "train")
    assert not files(cache)
    assert not list(cache.glob(".*.tmp"))


def test_the_switch_is_no_part_of_a_runs_identity(folder):
    from ganbench.catalog import load_catalog
    from ganbench.suite.parameters import describe

    described = [describe(load_catalog(), "dataset", ImageFolder(str(folder), cache=cache)) for cache in (True, False)]
    assert described[0]["parameters"] == described[1]["parameters"] == {"size": None, "channels": 3}
