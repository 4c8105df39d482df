"""`ganbench.score` from Python: what each side may be, what comes back, and what stays as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ganbench
from ganbench import GanbenchError, Images
from ganbench.values import Stream

TOYS = Path(__file__).parent / "plugins" / "toys.py"
PIXELS = torch.randint(0, 256, (60, 1, 4, 4), generator=torch.Generator().manual_seed(4), dtype=torch.uint8)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GANBENCH_PLUGINS", raising=False)


def score(generated, reference="blobs", **options):
    return ganbench.score(generated, reference, device="cpu", **{"metrics": "fd", "plugins": [TOYS], **options})


def test_every_way_to_give_one_set_gives_one_score(toys):
    np.save("x.npy", PIXELS)
    floats = PIXELS.double() / 127.5 - 1
    first = score(PIXELS)
    assert first["fd/pixels"].value > 0.1
    for same in (
        PIXELS.permute(0, 2, 3, 1),
        PIXELS[:, 0],
        PIXELS.numpy(),
        floats,
        floats.numpy().astype(np.float32),
        [PIXELS[:11], PIXELS[11:].numpy()],
        (part for part in PIXELS.split(7)),
        torch.utils.data.DataLoader(PIXELS, batch_size=9),
        Images(PIXELS),
        Path("x.npy"),
        "x.npy",
    ):
        found = score(same)
        assert found["fd/pixels"] == first["fd/pixels"]
        assert found.generated.content == first.generated.content
    assert score(toys.Blobs(), toys.Blobs(), extractor=toys.Pixels())["fd/pixels"].value == pytest.approx(0, abs=1e-9)


def test_tensors_on_both_sides_want_an_extractor():
    with pytest.raises(GanbenchError, match="reference names no extractor of its own"):
        score(PIXELS, PIXELS)
    with pytest.raises(GanbenchError, match="made for blobs and 'reference' is unknown"):
        score(PIXELS, PIXELS, extractor="pixels")
    forced = score(PIXELS, PIXELS, extractor="pixels", force=True)
    assert list(forced) == ["fd/pixels!forced"]
    points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    apart = score(points + 3, points, extractor="raw")
    assert apart["fd/raw"].value == pytest.approx(18, rel=1e-4)  # |m1 - m2|^2


def test_a_range_of_floats_may_be_given():
    unit = PIXELS / 255
    with pytest.raises(GanbenchError, match="generated holds floats of which none is negative"):
        score(unit)
    assert score(unit, value_range=(0, 1))["fd/pixels"] == score(PIXELS)["fd/pixels"]


def test_the_result_is_a_mapping_with_its_protocols():
    result = score(PIXELS, metrics=["fd", "cs", "precision"], samples=50, seed=3)
    assert list(result) == ["fd/pixels", "cs/pixels", "precision/pixels"]
    assert len(result) == 3
    fd = result["fd/pixels"]
    assert (fd.status, fd.reason) == ("done", None)
    assert fd.error > 0
    protocol = result.protocols["fd/pixels"]
    assert protocol["id"] == fd.protocol
    assert protocol["protocol"]["generated"]["n"] == 50
    assert protocol["protocol"]["seed"] == 3
    assert protocol["floor"]["value"] > 0
    with pytest.raises(KeyError, match="fid"):
        result["fid"]
    assert (result.generated.n, result.generated.available, result.reference.n) == (50, 60, 96)


def test_the_result_as_frame_json_and_text():
    result = score(PIXELS, metrics="fd,cs")
    frame = result.to_frame()
    assert frame["metric"].tolist() == ["fd/pixels", "cs/pixels"]
    assert frame.loc[0, "value"] == result["fd/pixels"].value
    assert {"error", "floor", "n_generated", "n_reference", "status", "reason", "protocol"} <= set(frame.columns)
    again = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert again["scores"][0]["value"] == result["fd/pixels"].value
    assert again["environment"]["device"] == "cpu"
    assert repr(result).startswith("<Scores of generated against blobs: fd/pixels: ")
    assert "\n" not in repr(result)
    assert str(result).startswith("**generated against blobs**\n\n| metric ")


def test_what_has_no_number_has_a_reason():
    result = score(PIXELS[:1], metrics="fd,cs", errors=False)
    assert result["fd/pixels"].value is None
    assert result["fd/pixels"].status == "failed"
    assert result["fd/pixels"].reason in str(result)
    assert result["cs/pixels"].value == pytest.approx(1)


def test_errors_seed_and_batch_size():
    plain, without = score(PIXELS), score(PIXELS, errors=False)
    assert (plain["fd/pixels"].error is None, without["fd/pixels"].error) == (False, None)
    assert without["fd/pixels"].protocol == plain["fd/pixels"].protocol
    small = score(PIXELS, batch_size=7)
    assert small["fd/pixels"].value == pytest.approx(plain["fd/pixels"].value, rel=1e-6)
    assert score(PIXELS, samples=20, seed=1)["fd/pixels"].value != score(PIXELS, samples=20)["fd/pixels"].value


def test_labels_go_with_the_images():
    labels = torch.arange(60) % 2
    found = score(Images(PIXELS, labels))
    assert found["fd/pixels"] == score(PIXELS)["fd/pixels"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "generated is int; give a tensor, an array, batches of them, a path or a dataset"),
        (PIXELS[:0], "generated holds no samples"),
        (Images(PIXELS[:0]), "generated holds no samples"),
        (Images(PIXELS.float()), "generated holds torch.float32 of shape"),
        (PIXELS.long(), "generated holds int64"),
        (PIXELS[0, 0, 0], r"generated has shape \(4,\)"),
        (torch.full((3, 1, 4, 4), float("nan")), "generated holds NaN"),
        (torch.zeros(5, 1, 8, 8, dtype=torch.uint8), "generated holds images of 1x8x8 and blobs images of 1x4x4"),
        (np.array(["a", "b"]), "generated is an array of <U1"),
        ([], "generated gave no samples"),
        (Path("nowhere.npy"), "nowhere.npy does not exist"),
        ("nowhere", "'nowhere' is no file or folder"),
    ],
)
def test_what_cannot_be_scored_is_said(given, message):
    with pytest.raises(GanbenchError, match=message):
        score(given)


def test_a_stream_is_read_as_it_is():
    from ganbench.stored import Held
    from ganbench.values import ImageSpec

    assert score(Stream(Held(PIXELS, ImageSpec((1, 4, 4)))))["fd/pixels"] == score(PIXELS)["fd/pixels"]


def test_an_error_in_somebodys_own_batches_is_theirs():
    def batches():
        yield PIXELS
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        score(batches())


def test_nothing_of_the_process_is_changed(monkeypatch):
    monkeypatch.setattr("ganbench.memory.keep_large_blocks", lambda: pytest.fail("the allocator was changed"))
    monkeypatch.setattr("ganbench.execution.environment.keep_large_blocks", lambda: pytest.fail("it was changed"))
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    kept = PIXELS.clone()
    score(PIXELS, metrics="fd,kd,precision,coverage")
    score(PIXELS, extractor="pixels", metrics="cs")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert torch.equal(PIXELS, kept)


def test_it_is_there_without_its_weight():
    program = "import sys, ganbench; light = 'torch' not in sys.modules; print(light, ganbench.score.__module__)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "ganbench.api"]
    assert "score" in ganbench.__all__
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = ganbench.scores
