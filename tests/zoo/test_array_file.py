"""array_file: arrays of every layout, mapped or unpacked, and everything that it must refuse in one sentence."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ganbench import ImageSpec, PointSpec
from ganbench.testing import check_component
from ganbench_zoo import arrays, rows
from ganbench_zoo.datasets.array_file import ArrayFile

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 5), np.uint8)
LABELS = np.arange(20) % 4


def opened(path):
    return ArrayFile.opening(Path(path))


def everything(path, **fields):
    data = ArrayFile(str(path), **fields) if fields else opened(path)
    return data.stream(Path(), "all")


def read(stream):
    return stream.pixels[torch.arange(len(stream))]


def header_of(shape, descr="|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.fixture(params=["whole", "streamed"])
def streaming(request, monkeypatch):
    """Read small sets at once, as is usual, and as if they were large."""
    if request.param == "streamed":
        monkeypatch.setattr(rows, "SMALL", 0)
    return request.param


def write(path, array, form):
    if form == "npy":
        np.save(path.with_suffix(".npy"), array)
        return path.with_suffix(".npy")
    save = {"npz": np.savez, "compressed": np.savez_compressed}[form]
    save(path.with_suffix(".npz"), array)
    return path.with_suffix(".npz")


LAYOUTS = {
    "NCHW": PIXELS,
    "NHWC": PIXELS.transpose(0, 2, 3, 1),
    "fortran": np.asfortranarray(PIXELS),
    "float32": (PIXELS / 127.5 - 1).astype(np.float32),
    "big-endian": (PIXELS / 127.5 - 1).astype(">f8"),
    "float16": (PIXELS / 127.5 - 1).astype(np.float16),
}


@pytest.mark.parametrize("form", ["npy", "npz", "compressed"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_in_every_file_is_the_same_set(layout, form, tmp_path, streaming):
    stream = everything(write(tmp_path / "x", LAYOUTS[layout], form))
    wanted = torch.from_numpy(PIXELS)
    assert (read(stream).int() - wanted).abs().max() <= (1 if layout == "float16" else 0)
    order = torch.tensor([7, 0, 19])
    assert torch.equal(stream.pixels[order], read(stream)[order])
    if layout != "float16":
        first = everything(write(tmp_path / "y", PIXELS, "npy"))
        assert stream.pixels.fingerprint == first.pixels.fingerprint
    assert type(stream.pixels).__name__ == ("Held" if streaming == "whole" else "ArrayRows")


def test_grey_images_and_points(tmp_path, streaming):
    np.save(tmp_path / "grey.npy", PIXELS[:, 0])
    np.save(tmp_path / "points.npy", np.arange(8.0).reshape(4, 2))
    assert opened(tmp_path / "grey.npy").spec(tmp_path) == ImageSpec((1, 4, 5))
    points = opened(tmp_path / "points.npy")
    assert points.spec(tmp_path) == PointSpec((2,))
    assert (points.extractor, opened(tmp_path / "grey.npy").extractor) == ("raw", "inception_v3")
    assert read(points.stream(tmp_path, "all")).tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_range_is_taken_at_its_word(tmp_path, streaming):
    np.save(tmp_path / "x.npy", (PIXELS / 255).astype(np.float32))
    with pytest.raises(ValueError, match=r"x.npy holds floats of which none is negative"):
        _ = everything(tmp_path / "x.npy").pixels.fingerprint
    stream = everything(tmp_path / "x.npy", value_range=(0.0, 1.0))
    assert torch.equal(read(stream), torch.from_numpy(PIXELS))


@pytest.mark.parametrize("name", ["labels", "y", "label"])
def test_labels_lie_beside_the_images(name, tmp_path):
    np.savez(tmp_path / "x.npz", images=PIXELS, **{name: LABELS})
    data = opened(tmp_path / "x.npz")
    assert data.spec(tmp_path).classes == 4
    assert data.stream(tmp_path, "all").labels.tolist() == LABELS.tolist()


@pytest.mark.parametrize("labels", [LABELS[:3], LABELS / 2, LABELS - 1])
def test_labels_that_are_none_are_refused(labels, tmp_path):
    np.savez(tmp_path / "x.npz", images=PIXELS, y=labels)
    with pytest.raises(ValueError, match=r"x.npz:y .*labels are whole numbers"):
        opened(tmp_path / "x.npz")


def test_the_array_that_is_meant(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, PIXELS[:5], images=PIXELS[:6], other=PIXELS[:7])
    assert len(everything(path)) == 5
    assert len(everything(f"{path}:other")) == 7
    np.savez(path, other=PIXELS[:7], labels=LABELS[:7])
    assert len(everything(path)) == 7
    np.savez(path, a=PIXELS, b=PIXELS)
    with pytest.raises(ValueError, match=r"x.npz holds several arrays: a, b; name one as .*x.npz:a"):
        opened(path)
    with pytest.raises(ValueError, match=r"x.npz has no array 'c'; it has: a, b"):
        opened(f"{path}:c")
    np.savez(path)
    with pytest.raises(ValueError, match=r"x.npz holds no array"):
        opened(path)


def test_labels_belong_to_the_array_of_their_length(tmp_path):
    np.savez(tmp_path / "x.npz", images=PIXELS, half=PIXELS[:10], y=LABELS)
    assert everything(f"{tmp_path}/x.npz:half").labels is None
    assert len(everything(f"{tmp_path}/x.npz:images").labels) == 20


def test_other_paths_are_left_to_others(tmp_path):
    assert opened(tmp_path) is None
    assert opened("x.zip") is None
    assert opened("dir/x.npy/y") is None


def test_splits_are_disjoint_and_make_up_the_whole(tmp_path):
    np.savez(tmp_path / "x.npz", images=PIXELS, labels=LABELS)
    data = ArrayFile(str(tmp_path / "x.npz"))
    train, test = data.load(tmp_path, "train"), data.load(tmp_path, "test")
    assert (len(train), len(test)) == (16, 4)
    both = torch.cat([train.pixels, test.pixels]).flatten(1).tolist()
    assert sorted(both) == sorted(PIXELS.reshape(20, -1).tolist())
    for part in (train, test):
        rows_of = [PIXELS.reshape(20, -1).tolist().index(image) for image in part.pixels.flatten(1).tolist()]
        assert part.labels.tolist() == LABELS[rows_of].tolist()
    with pytest.raises(ValueError, match="has no split 'val'; it has: train, test, all"):
        data.load(tmp_path, "val")


def test_it_keeps_the_contract(tmp_path):
    np.savez(tmp_path / "x.npz", images=PIXELS, labels=LABELS)
    check_component(ArrayFile("x.npz"), root=tmp_path)


def test_a_run_is_the_same_wherever_the_array_lies(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    np.savez(tmp_path / "b.npz", PIXELS.transpose(0, 2, 3, 1))
    first, second = (ArrayFile(str(tmp_path / name)).fingerprint(tmp_path) for name in ("a.npy", "b.npz"))
    assert first == second
    np.save(tmp_path / "a.npy", PIXELS + 1)
    assert ArrayFile(str(tmp_path / "a.npy")).fingerprint(tmp_path) != first


def refused(message, path, **fields):
    with pytest.raises(ValueError, match=message) as caught:
        everything(path, **fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["npy", "npz", "compressed"])
def test_objects_are_never_loaded(form, tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    array = np.array([Trap()], dtype=object)
    if form == "npy":
        np.save(tmp_path / "x.npy", array, allow_pickle=True)
        path = tmp_path / "x.npy"
    else:
        path = write(tmp_path / "x", array, form)
    refused("x.np.* holds Python objects, which are never loaded", path)


def test_truncated_and_foreign_files_are_named(tmp_path):
    refused("nowhere.npy does not exist", tmp_path / "nowhere.npy")
    np.save(tmp_path / "x.npy", PIXELS)
    whole = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(whole[:-1])
    refused("x.npy is truncated: shape", tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(whole + b"x")
    refused("x.npy is longer than its header says", tmp_path / "x.npy")
    (tmp_path / "x.npy").write_bytes(b"hello")
    refused("x.npy is no array as numpy saves it", tmp_path / "x.npy")
    (tmp_path / "x.npz").write_bytes(b"hello")
    refused("x.npz is no readable .npz archive", tmp_path / "x.npz")
    (tmp_path / "x.npy").write_bytes(header_of((-3, 1, 2, 2)) + bytes(8))
    refused(r"x.npy has shape \(-3, 1, 2, 2\)", tmp_path / "x.npy")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_header_that_lies_about_its_size_is_refused_before_anything_is_taken(compression, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", compression) as archive:
        archive.writestr("images.npy", header_of((2**33, 1, 16, 16)) + bytes(1000))
    refused("x.npz:images is truncated: .* takes 2,199,023,255,", tmp_path / "x.npz")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", np.zeros((4000, 1, 16, 16), np.uint8))
    assert (tmp_path / "x.npz").stat().st_size < 5000
    monkeypatch.setattr(arrays, "available_bytes", lambda: 4_000_000)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("it was unpacked"))
    refused("x.npz:arr_0 unpacks to 0.0 GiB, more than a quarter of the", tmp_path / "x.npz")


def test_a_damaged_member_is_named(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", PIXELS)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[400] ^= 0xFF
    (tmp_path / "x.npz").write_bytes(content)
    refused("x.npz:arr_0 cannot be read", tmp_path / "x.npz")


def test_arrays_that_are_no_samples_are_refused(tmp_path):
    for array, message in (
        (np.zeros((4, 1, 8, 8), np.uint16), "x.npy holds uint16; images are uint8 or floats"),
        (np.zeros((4, 1, 8, 8), np.int64), "x.npy holds int64"),
        (np.zeros((4, 1, 8, 8), bool), "x.npy holds bool"),
        (np.zeros((4, 2), np.complex64), "x.npy holds complex64"),
        (np.zeros(4, np.float32), r"x.npy has shape \(4,\)"),
        (np.zeros((0, 1, 8, 8), np.uint8), "x.npy holds no samples"),
        (np.full((4, 2), np.nan), "x.npy holds NaN or infinity, first in row 0"),
        (np.full((4, 1, 2, 2), -3.0), "x.npy holds -3 in row 0"),
    ):
        np.save(tmp_path / "x.npy", array)
        refused(message, tmp_path / "x.npy")


def test_many_members_and_encrypted_ones_are_refused(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", a=PIXELS, labels=LABELS)
    monkeypatch.setattr(arrays, "MAX_MEMBERS", 1)
    refused("x.npz has 2 members; at most 1 are allowed", tmp_path / "x.npz")
    monkeypatch.undo()
    content = bytearray((tmp_path / "x.npz").read_bytes())
    start = content.index(b"PK\x01\x02")  # the first entry of the central directory; its flags stand 8 bytes on
    struct.pack_into("<H", content, start + 8, 1)
    (tmp_path / "x.npz").write_bytes(content)
    refused("x.npz:a is encrypted", tmp_path / "x.npz")


def test_fields_are_checked():
    with pytest.raises(ValueError, match="path is empty"):
        ArrayFile("")
    with pytest.raises(ValueError, match=r"value_range is \(1.0, 0.0\)"):
        ArrayFile("x.npy", value_range=(1.0, 0.0))
    refused("x.npy holds one array and has no key 'a'", "x.npy", key="a")
