"""image_folder: layouts, conversion and resizing, and everything that it must refuse in one sentence."""

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganbench import ImageSpec
from ganbench.scoring.reference import content_hash
from ganbench_zoo import decode, members, originals, rows
from ganbench_zoo.datasets.image_folder import ImageFolder


def picture(value=0, size=(8, 8), mode="RGB", form="PNG"):
    file = io.BytesIO()
    Image.new(mode, size, value).save(file, form)
    return file.getvalue()


def shades(*names):
    return {name: picture((index, 0, 255 - index)) for index, name in enumerate(names)}


def write_folder(root: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return str(root)


def write_zip(path: Path, files: dict[str, bytes], compression=zipfile.ZIP_STORED) -> str:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return str(path)


def refused(message, tmp_path, folder=None, split="train", **fields):
    with pytest.raises(ValueError, match=message) as caught:
        ImageFolder(path=folder or str(tmp_path), **fields).load(tmp_path, split)
    assert str(folder or tmp_path) in str(caught.value) or "image_folder" in str(caught.value)
    assert "\n" not in str(caught.value)


SPLIT = shades("train/cat/a.png", "train/cat/deep/b.png", "train/dog/c.png", "test/dog/d.png", "val/cat/e.png")


@pytest.mark.parametrize("wrapper", ["", "set/"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_splits_and_classes(form, wrapper, tmp_path):
    files = {wrapper + name: content for name, content in SPLIT.items()}
    path = write_folder(tmp_path / "x", files) if form == "folder" else write_zip(tmp_path / "x.zip", files)
    data = ImageFolder(path=path)
    assert data.spec(tmp_path) == ImageSpec((3, 8, 8), classes=2)
    train, val, test = (data.load(tmp_path, split) for split in ("train", "val", "test"))
    assert train.pixels[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert train.labels.tolist() == [0, 0, 1]
    assert test.labels.tolist() == [1]
    assert val.pixels[:, :, 3, 3].tolist() == [[4, 0, 251]]
    assert train.pixels.dtype == torch.uint8


def test_without_splits_a_fifth_is_held_out_by_name(tmp_path):
    names = [f"{kind}/{index}.png" for kind in "ab" for index in range(25)]
    data = ImageFolder(path=write_folder(tmp_path, shades(*names)))
    train, test = data.load(tmp_path, "train"), data.load(tmp_path, "test")
    assert (len(train), len(test)) == (40, 10)
    seen = train.pixels[:, 0, 0, 0].tolist() + test.pixels[:, 0, 0, 0].tolist()
    assert sorted(seen) == list(range(50))
    assert sorted(test.pixels[:, 0, 0, 0].tolist()) == [1, 5, 12, 15, 26, 31, 32, 34, 39, 42]


def test_without_class_folders_there_are_no_labels(tmp_path):
    data = ImageFolder(path=write_folder(tmp_path, shades("a.png", "b.png", "c.png")))
    assert data.spec(tmp_path).classes is None
    assert data.load(tmp_path, "train").labels is None


def test_a_relative_path_is_found_in_the_working_directory_then_in_the_data_root(tmp_path, monkeypatch):
    here, root = tmp_path / "here", tmp_path / "root"
    write_folder(root / "set", {"train/a.png": picture((9, 9, 9))})
    here.mkdir()
    monkeypatch.chdir(here)
    assert ImageFolder(path="set").load(root, "train").pixels[0, 0, 0, 0] == 9
    write_folder(here / "set", {"train/a.png": picture((7, 7, 7))})
    assert ImageFolder(path="set").load(root, "train").pixels[0, 0, 0, 0] == 7


def test_crop_is_centred_and_resize_only_where_the_side_differs(tmp_path):
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, 2:6] = np.arange(16).reshape(4, 4, 1)
    file = io.BytesIO()
    Image.fromarray(wide).save(file, "PNG")
    path = write_folder(tmp_path, {"train/a.png": file.getvalue()})
    same = ImageFolder(path=path, size=4).load(tmp_path, "train").pixels[0]
    assert same[0].tolist() == wide[:, 2:6, 0].tolist()
    half = ImageFolder(path=path, size=2).load(tmp_path, "train").pixels[0, 0]
    lanczos = Image.fromarray(wide[:, 2:6]).resize((2, 2), Image.Resampling.LANCZOS)
    assert half.tolist() == np.asarray(lanczos)[..., 0].tolist()
    assert ImageFolder(path=path).spec(tmp_path).shape == (3, 4, 8)


@pytest.mark.parametrize(
    ("mode", "value", "channels", "expected"),
    [
        ("L", 40, 3, [40, 40, 40]),
        ("L", 40, 1, [40]),
        ("1", 1, 1, [255]),
        ("RGB", (255, 0, 0), 1, [76]),
        ("RGBA", (10, 20, 30, 255), 3, [10, 20, 30]),
        ("RGBA", (10, 20, 30, 0), 3, [255, 255, 255]),
        ("LA", (80, 255), 1, [80]),
        ("P", 0, 3, [0, 0, 0]),
    ],
)
def test_modes_are_converted_as_documented(mode, value, channels, expected, tmp_path):
    path = write_folder(tmp_path, {"train/a.png": picture(value, mode=mode)})
    pixels = ImageFolder(path=path, channels=channels).load(tmp_path, "train").pixels
    assert pixels[0, :, 5, 2].tolist() == expected


@pytest.mark.parametrize(
    ("form", "suffix"), [("JPEG", "jpg"), ("BMP", "bmp"), ("WEBP", "webp"), ("TIFF", "tif"), ("PPM", "ppm")]
)
def test_formats(form, suffix, tmp_path):
    path = write_folder(tmp_path, {f"train/a.{suffix}": picture((60, 60, 60), form=form)})
    assert (ImageFolder(path=path).load(tmp_path, "train").pixels.int() - 60).abs().max() <= 2


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_fingerprint_follows_names_and_content_only(form, tmp_path):
    def mark(label, files):
        write = write_folder if form == "folder" else write_zip
        return ImageFolder(path=write(tmp_path / f"{label}.{form}", files)).fingerprint(tmp_path)

    first = mark("a", SPLIT)
    assert mark("b", dict(reversed(SPLIT.items())) | {"README.md": b"changed"}) == first
    assert mark("c", SPLIT | {"train/cat/a.png": picture((99, 0, 0))}) != first
    assert mark("d", SPLIT | {"train/cat/z.png": SPLIT["train/cat/a.png"]}) != first
    renamed = dict(SPLIT)
    renamed["train/cat/y.png"] = renamed.pop("train/cat/a.png")
    assert mark("e", renamed) != first


def test_fields_are_checked():
    for fields, message in (
        ({"path": ""}, "path is empty"),
        ({"path": "x", "size": 0}, "size is 0"),
        ({"path": "x", "channels": 2}, "channels is 2, neither 1 nor 3"),
    ):
        with pytest.raises(ValueError, match=message):
            ImageFolder(**fields)


def test_missing_empty_and_unreadable_sets(tmp_path):
    refused("does not exist", tmp_path, folder=str(tmp_path / "nowhere"))
    refused("holds no images", tmp_path)
    refused(
        "holds no images", tmp_path, folder=write_zip(tmp_path / "e.zip", {"notes.txt": b"x", "__MACOSX/a.png": b""})
    )
    (tmp_path / "no.zip").write_bytes(b"not an archive")
    refused("neither a folder nor a readable zip", tmp_path, folder=str(tmp_path / "no.zip"))


def test_a_split_that_is_not_there(tmp_path):
    refused(
        r"has no split 'test'; it has: train",
        tmp_path,
        folder=write_folder(tmp_path, shades("train/a.png")),
        split="test",
    )


def test_mixed_layouts(tmp_path):
    refused(
        "has splits, but extra/b.png lies in none",
        tmp_path,
        write_folder(tmp_path / "a", shades("train/a.png", "extra/b.png")),
    )
    refused(
        "has splits, but b.png lies in none", tmp_path, write_folder(tmp_path / "b", shades("train/a.png", "b.png"))
    )
    refused(
        "has classes, but train/b.png lies in no",
        tmp_path,
        write_folder(tmp_path / "c", shades("train/k/a.png", "train/b.png")),
    )
    refused(
        "no training images of the class of test/q/b.png",
        tmp_path,
        write_folder(tmp_path / "d", shades("train/k/a.png", "test/q/b.png")),
    )


def test_mixed_sizes_name_two_files_with_their_sizes(tmp_path):
    files = {"train/a.png": picture(size=(8, 6)), "train/b.png": picture(size=(9, 6))}
    path = write_folder(tmp_path, files)
    refused("train/a.png is 8x6, train/b.png is 9x6; set size", tmp_path, path)
    assert ImageFolder(path=path, size=6).load(tmp_path, "train").pixels.shape == (2, 3, 6, 6)


def test_damaged_images_are_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    whole = file.getvalue()
    refused(
        "train/t.png .* cannot be decoded: .*",
        tmp_path,
        write_folder(tmp_path / "a", {"train/t.png": whole[: len(whole) // 2]}),
    )
    refused("train/t.png .* is no image", tmp_path, write_folder(tmp_path / "b", {"train/t.png": b"hello"}))
    refused("train/t.png .* is no image", tmp_path, write_folder(tmp_path / "c", {"train/t.png": b""}))
    deep = picture(1000, mode="I;16")
    refused("train/t.png .* has mode I;16", tmp_path, write_folder(tmp_path / "d", {"train/t.png": deep}))


def test_a_damaged_zip_member_is_named(tmp_path):
    path = write_zip(tmp_path / "x.zip", {"train/a.png": picture((1, 2, 3))})
    content = bytearray(Path(path).read_bytes())
    content[60] ^= 0xFF
    Path(path).write_bytes(content)
    refused("train/a.png in .* cannot be read", tmp_path, path)


@pytest.mark.parametrize("name", ["/etc/a.png", "../a.png", "train/../../a.png", "train\\a.png", "C:/a.png"])
def test_names_that_leave_the_archive_are_refused(name, tmp_path):
    refused("are refused", tmp_path, write_zip(tmp_path / "x.zip", {name: picture()}))


def test_links_in_an_archive_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("train/a.png")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    refused("links in archives are refused", tmp_path, str(tmp_path / "x.zip"))


def test_links_must_stay_inside_the_folder(tmp_path):
    root = tmp_path / "set"
    write_folder(root, shades("train/a.png"))
    (tmp_path / "secret.png").write_bytes(picture())
    (root / "train" / "b.png").symlink_to(root / "train" / "a.png")
    assert len(ImageFolder(path=str(root)).load(tmp_path, "train")) == 2
    for target, message in (
        (tmp_path / "secret.png", "outside"),
        (root, "link to a folder"),
        (root / "x", "not exist"),
    ):
        link = root / "train" / "c.png"
        link.symlink_to(target)
        refused(message, tmp_path, str(root))
        link.unlink()


def test_limits(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "x.zip", SPLIT, zipfile.ZIP_DEFLATED)
    folder = write_folder(tmp_path / "f", SPLIT)
    monkeypatch.setattr(members, "MAX_ENTRIES", 4)
    refused("at most 4 are allowed", tmp_path, path)
    refused("at most 4 are allowed", tmp_path, folder)
    monkeypatch.undo()
    monkeypatch.setattr(members, "MAX_FILE_BYTES", 20)
    refused("at most 20 a file", tmp_path, path)
    refused("larger than the 20 bytes", tmp_path, folder)
    monkeypatch.undo()
    monkeypatch.setattr(members, "MAX_ARCHIVE_BYTES", 100)
    refused("bytes unpacked; at most 100", tmp_path, path)
    monkeypatch.undo()
    monkeypatch.setattr(decode, "MAX_PIXELS", 63)
    refused("8x8 pixels; at most", tmp_path, path)
    monkeypatch.undo()
    monkeypatch.setattr(originals, "available_bytes", lambda: 1000)
    refused("more than half of the", tmp_path, path)


def test_a_bomb_is_refused_by_its_declared_size_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("train/a.png", "w") as file:
        for _ in range(257):
            file.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    refused("declares 269,484,032 bytes", tmp_path, str(path))


def test_megapixels_are_read_from_the_header(tmp_path):
    header = picture(size=(1, 1), mode="L")
    huge = header[:16] + (9000).to_bytes(4, "big") * 2 + header[24:29]
    huge += zlib.crc32(huge[12:29]).to_bytes(4, "big") + header[33:]
    path = write_folder(tmp_path, {"train/a.png": huge})
    refused("has 9000x9000 pixels; at most 64 megapixels", tmp_path, path)


@pytest.mark.skipif(
    not Path(os.environ.get("GANBENCH_DATA", "."), "cifar10-jpeg.zip").is_file(),
    reason="GANBENCH_DATA names no folder with cifar10-jpeg.zip",
)
def test_a_real_archive_of_60_000_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path))
    data, root = ImageFolder(path="cifar10-jpeg.zip"), Path(os.environ["GANBENCH_DATA"])
    assert data.spec(root) == ImageSpec((3, 32, 32), classes=10)
    test = data.load(root, "test")
    assert test.pixels.shape == (10_000, 3, 32, 32)
    assert test.labels.bincount().tolist() == [1000] * 10
    assert 100 < test.pixels.float().mean() < 140


def test_a_run_is_the_same_wherever_its_images_lie(tmp_path):
    from ganbench.catalog import load_catalog
    from ganbench.suite.assemble import component
    from ganbench.suite.expand import expand
    from ganbench.suite.source import Flags, read_request

    catalog = load_catalog()

    def run_on(folder: str):
        flags = Flags(datasets=[f"image_folder(path='{folder}')"], architectures=["mlp"], losses=["hinge"], seeds="1")
        plan = expand(read_request(None, flags, catalog).suite, catalog, tmp_path)
        return plan.cells[0].runs[0]

    here, there = (run_on(write_folder(tmp_path / name, SPLIT)) for name in ("here", "there"))
    assert here.id == there.id
    assert component(catalog, "dataset", there.config["dataset"]).path == str(tmp_path / "there")
    edited = run_on(write_folder(tmp_path / "edited", {**SPLIT, "train/cat/a.png": picture(200)}))
    assert edited.id != here.id


def deep_png(colours: int) -> bytes:
    """Return a PNG of 8x8 pixels with 16 bits a channel, which Pillow has no way to write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colours]
    head = struct.pack(">IIBBBBB", 8, 8, 16, colours, 0, 0, 0)
    lines = zlib.compress((b"\0" + bytes(8 * channels * 2)) * 8)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


@pytest.mark.parametrize("colours", [0, 2, 4, 6])
def test_sixteen_bits_are_refused_in_every_mode(colours, tmp_path):
    refused("train/a.png .* has mode .*;16", tmp_path, write_folder(tmp_path, {"train/a.png": deep_png(colours)}))


def test_sixteen_bits_of_a_ppm_are_refused(tmp_path):
    deep = b"P6\n2 2\n65535\n" + bytes(24)
    refused("train/a.ppm .* values up to 65535", tmp_path, write_folder(tmp_path, {"train/a.ppm": deep}))
    shallow = b"P6\n2 2\n255\n" + bytes(12)
    assert len(ImageFolder(write_folder(tmp_path, {"train/a.ppm": shallow})).load(tmp_path, "train")) == 1


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_path_is_opened_as_it_lies(form, tmp_path):
    path = write_folder(tmp_path / "x", SPLIT) if form == "folder" else write_zip(tmp_path / "x.zip", SPLIT)
    data = ImageFolder.opening(Path(path))
    assert data.spec(tmp_path) == ImageSpec((3, 8, 8), classes=2)
    whole = data.stream(tmp_path, "all")
    assert len(whole) == 5
    assert whole.labels.tolist() == [1, 0, 0, 1, 0]  # sorted by name: test/dog, train/cat, ..., val/cat
    loaded = ImageFolder(path).load(tmp_path, "all")
    assert torch.equal(whole.pixels[torch.arange(5)], loaded.pixels)


def test_what_is_no_folder_and_no_zip_is_left_to_others(tmp_path):
    assert ImageFolder.opening(tmp_path / "x.npz") is None
    assert ImageFolder.opening(tmp_path / "x.tar") is None


def test_opened_grey_images_stay_grey(tmp_path):
    data = ImageFolder.opening(
        Path(write_folder(tmp_path, {"a.png": picture(9, mode="L"), "b.png": picture(1, mode="1")}))
    )
    assert data.spec(tmp_path).shape == (1, 8, 8)
    assert data.stream(tmp_path, "all").pixels[torch.arange(2)][:, 0, 0, 0].tolist() == [9, 255]


@pytest.mark.parametrize(
    ("modes", "message"),
    [
        (("L", "RGB"), "a.png is grey, b.png is colour"),
        (("RGB", "L"), "a.png is colour, b.png is grey"),
        (("RGB", "RGBA"), "a.png is colour, b.png is transparent"),
    ],
)
def test_an_opened_set_of_mixed_modes_is_refused_not_converted(modes, message, tmp_path):
    path = write_folder(tmp_path, {f"{name}.png": picture(mode=mode) for name, mode in zip("ab", modes, strict=True)})
    with pytest.raises(ValueError, match=f"mixes modes: {message}"):
        ImageFolder.opening(Path(path)).stream(tmp_path, "all")
    assert len(ImageFolder(path).load(tmp_path, "all")) == 2


def test_folders_that_mean_nothing_to_us_are_no_fault_of_an_opened_set(tmp_path):
    path = Path(write_folder(tmp_path, shades("epoch1/a.png", "b.png")))
    assert ImageFolder.opening(path).stream(tmp_path, "all").labels is None
    assert len(ImageFolder.opening(path).stream(tmp_path, "all")) == 2


def test_a_set_that_is_streamed_is_the_one_that_is_loaded(tmp_path, monkeypatch):
    path = write_folder(tmp_path, shades(*(f"{kind}/{index:02}.png" for kind in "ab" for index in range(20))))
    data = ImageFolder(path)
    loaded = data.load(tmp_path, "train")
    at_once = data.stream(tmp_path, "train")
    assert isinstance(at_once.pixels, rows.Held)
    monkeypatch.setattr(rows, "available_bytes", lambda: 4 * 32 * 192 - 1)
    bit_by_bit = data.stream(tmp_path, "train")
    assert isinstance(bit_by_bit.pixels, rows.ImageRows)
    order = torch.tensor([31, 0, 7, 7])
    for stream in (at_once, bit_by_bit):
        assert torch.equal(stream.pixels[order], loaded.pixels[order])
        assert torch.equal(stream.labels, loaded.labels)
        assert stream.pixels.fingerprint == content_hash(loaded.pixels)


def test_a_large_set_is_known_by_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 0)
    monkeypatch.setattr(rows, "CHUNK", 2)

    def mark(files, **fields):
        path = write_zip(tmp_path / "x.zip", files)
        return ImageFolder(path, **fields).stream(tmp_path, "all").pixels.fingerprint

    first = mark(SPLIT)
    assert mark(SPLIT) == first
    folder = ImageFolder(write_folder(tmp_path / "folder", SPLIT)).stream(tmp_path, "all").pixels
    assert folder.fingerprint == first
    assert mark(SPLIT, size=4) != first
    assert mark(SPLIT | {"train/cat/a.png": picture((99, 0, 0))}) != first


def test_an_image_that_breaks_off_is_named_when_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 0)
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).save(noise, "PNG")
    files = {"a.png": noise.getvalue(), "b.png": noise.getvalue()[:120], "c.png": picture(size=(9, 8))}
    stream = ImageFolder.opening(Path(write_folder(tmp_path, files))).stream(tmp_path, "all")
    assert len(stream.pixels[torch.tensor([0])]) == 1
    with pytest.raises(ValueError, match=r"b.png in .* cannot be decoded"):
        stream.pixels[torch.tensor([0, 1])]
    with pytest.raises(ValueError, match=r"mixes sizes: a.png is 8x8, c.png is 9x8"):
        stream.pixels[torch.tensor([2])]
