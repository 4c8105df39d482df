"""`ganbench score`: every form in which samples may lie, what is printed, and one sentence for all that cannot be."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
PIXELS = np.random.default_rng(3).integers(0, 256, (60, 1, 4, 4), np.uint8)
FUNCTIONS = """
import sys
import numpy as np
import torch

PIXELS = np.load("gen.npy")
print("a note of the user's own")

def batches():
    yield torch.from_numpy(PIXELS[:25])
    yield PIXELS[25:].transpose(0, 2, 3, 1)

def floats():
    for part in np.array_split(PIXELS, 7):
        yield (part / 127.5 - 1).astype(np.float32)

def endless():
    while True:
        yield torch.rand(16, 1, 4, 4) * 2 - 1

def words():
    yield "no batch"

def number():
    return 3

def empty():
    return iter(())

def raising():
    yield PIXELS
    raise RuntimeError("the disk is on fire")

def exits():
    sys.exit(7)

def mixed():
    yield PIXELS
    yield np.zeros((3, 1, 8, 8), np.uint8)

def nan():
    yield torch.full((3, 1, 4, 4), float("nan"))

value = 3
"""


def png(array, mode=None) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array, mode).save(file, "PNG") if mode else Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def folder(name, images) -> None:
    Path(name).mkdir()
    for index, image in enumerate(images):
        Path(name, f"{index:03}.png").write_bytes(image if isinstance(image, bytes) else png(image))


@pytest.fixture
def score(ganbench):
    """Score in a folder that holds one set of images in every form."""
    folder("gen", PIXELS[:, 0])
    with zipfile.ZipFile("gen.zip", "w") as archive:
        for path in sorted(Path("gen").iterdir()):
            archive.write(path)
    np.save("gen.npy", PIXELS)
    np.savez_compressed("gen.npz", images=PIXELS.transpose(0, 2, 3, 1), half=PIXELS[:30], labels=np.arange(60) % 3)
    np.save("floats.npy", PIXELS / 127.5 - 1)
    np.save("grey.npy", PIXELS[:, 0])
    Path("gen.py").write_text(FUNCTIONS)

    def call(generated, *arguments, against="blobs", plugins=TOYS):
        return ganbench("score", generated, "--against", against, "--plugins", plugins, "--device", "cpu", *arguments)

    return call


def values(result) -> dict[str, float]:
    assert result.exit_code == 0, result.output
    return {row["metric"]: row["value"] for row in json.loads(result.stdout)["scores"]}


FORMS = ["gen", "gen.zip", "gen.npy", "gen.npz", "gen.npz:images", "floats.npy", "grey.npy", "gen.py:batches"]


def test_one_set_has_one_score_in_whatever_form_it_lies(score):
    found = {form: score(form, "--metrics", "fd,precision", "--json") for form in [*FORMS, "gen.py:floats", "./gen"]}
    first = json.loads(found["gen"].stdout)
    assert first["scores"][0]["metric"] == "fd/pixels"
    assert first["scores"][0]["value"] > 0.1
    for form, result in found.items():
        whole = json.loads(result.stdout)
        assert values(result) == values(found["gen"]), form
        assert whole["generated"]["content"] == first["generated"]["content"], form
        assert set(whole["protocols"]) == set(first["protocols"]), form
    assert values(score("gen.npz:half", "--metrics", "fd", "--json")) != values(found["gen"])


def test_a_table_and_its_protocol_in_words(score):
    result = score("gen", "--samples", 50)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "**gen against blobs**"
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "metric", "value", "s.e.", "floor", "N generated / reference", "note",
    ]  # fmt: skip
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")][2:]
    assert [row[0] for row in rows[:3]] == ["fd/pixels ↓", "cs/pixels ↑", "kd/pixels ↓"]
    assert rows[0][4] == "50 / 96"
    assert float(rows[0][1]) > float(rows[0][3]) > 0
    assert all(row[5] == "" for row in rows)
    words = "\n".join(line for line in lines if line.startswith("- "))
    for part in (
        "generated: gen, dataset image_folder, split all, channels=1, 50 of 60 samples, SHA-256 ",
        "reference: blobs, dataset blobs, split test, n=96, 96 samples, SHA-256 ",
        "extractor: pixels, layer pixels, width 16, no weights",
        "preprocessing: / 255",
        "fd/pixels: ddof 1, covariance float64, seed 0, version ",
        "floor: real against real at this number of samples",
    ):
        assert part in words


def test_json_holds_everything(score):
    whole = json.loads(score("gen.npz", "--metrics", "fd,kd", "--json").stdout)
    fd, kd = whole["scores"]
    protocol = whole["protocols"][fd["protocol"]]
    assert protocol["protocol"]["reference"]["n"] == fd["n_reference"] == 96
    assert protocol["protocol"]["generated"]["n"] == fd["n_generated"] == 60
    assert protocol["floor"]["value"] == fd["floor"]
    assert (fd["status"], fd["reason"], kd["floor"]) == ("done", None, 0.0)
    assert whole["generated"]["about"]["dataset"] == "array_file"
    assert whole["environment"]["batch_size"] == 128
    assert "gen.npz" not in json.dumps(whole["protocols"])  # where a set lies is no part of its protocol


def test_results_go_to_stdout_and_everything_else_to_stderr(score):
    result = score("gen.py:batches", "--metrics", "fd", "--json")
    json.loads(result.stdout)
    assert "a note of the user's own" in result.stderr


def test_standard_errors_are_shown_unless_they_are_not_wanted(score):
    (row,) = json.loads(score("gen.npy", "--metrics", "fd", "--json").stdout)["scores"]
    assert row["error"] > 0
    assert "s.e.: standard error over the generated samples" in score("gen.npy", "--metrics", "fd").stdout
    (without,) = json.loads(score("gen.npy", "--metrics", "fd", "--json", "--no-errors").stdout)["scores"]
    assert (without["error"], without["value"]) == (None, pytest.approx(row["value"], rel=1e-9))
    assert without["protocol"] == row["protocol"]


def test_a_function_is_asked_for_as_many_as_are_wanted(score):
    one, same, other = (
        json.loads(score("gen.py:endless", "--samples", 40, "--seed", seed, "--metrics", "fd", "--json").stdout)
        for seed in (0, 0, 1)
    )
    assert one["scores"][0]["n_generated"] == 40
    assert one["generated"]["content"] == same["generated"]["content"] != other["generated"]["content"]
    assert json.loads(score("gen.py:batches", "--samples", 5000, "--json").stdout)["generated"]["n"] == 60


def test_floats_of_another_range_want_to_be_told(score):
    np.save("unit.npy", PIXELS / 255)
    assert "none is negative" in said(score("unit.npy"))
    told = score("unit.npy", "--range", "0,1", "--metrics", "fd", "--json")
    assert values(told) == values(score("gen.npy", "--metrics", "fd", "--json"))
    for text in ("1", "1,0", "a,b", "0,inf"):
        assert "write LOW,HIGH" in said(score("unit.npy", "--range", text))


def test_a_run_scores_as_in_its_table_under_the_same_protocol(score, run_toy):
    run_toy()
    stored = next(path for path in Path("results/toy/runs").iterdir() if (path / "generator.safetensors").exists())
    records = [json.loads(line) for line in (stored / "records.jsonl").read_text().splitlines()]
    wanted = {record["metric"]: (record["protocol"], record["value"]) for record in records}
    for text in (stored.name, stored.name[:8], str(stored)):
        result = score(text, "--samples", 64, "--metrics", "fd,precision", "--json")
        found = {row["metric"]: (row["protocol"], row["value"]) for row in json.loads(result.stdout)["scores"]}
        assert found.keys() == wanted.keys()
        for metric, (protocol, value) in found.items():
            assert protocol == wanted[metric][0]
            assert value == pytest.approx(wanted[metric][1], rel=1e-9)
    about = json.loads(result.stdout)["generated"]["about"]
    assert about["run"] == stored.name
    assert len(about["generator_sha256"]) == 64
    assert values(score("blobs:train", "--metrics", "fd", "--json", against=stored.name))
    assert "holds the results of many runs" in said(score("results/toy"))
    baseline = next(p for p in Path("results/toy/runs").iterdir() if not (p / "generator.safetensors").exists())
    assert "is a baseline and has no generator" in said(score(str(baseline)))


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ("fd,cs", r"cannot be scored by fd/pixels: a covariance needs at least 2 samples, and there are 1 generated"),
        ("kd,precision", r"kd/pixels: subsets of half the samples need .*; precision/pixels: 3 neighbours need"),
    ],
)
def test_fewer_samples_than_a_named_metric_needs_are_refused(score, metrics, sentence):
    np.save("one.npy", PIXELS[:1])
    assert re.search(sentence, said(score("one.npy", "--metrics", metrics)))


def test_a_named_metric_that_the_extractor_cannot_serve_is_refused(score):
    np.save("points.npy", np.random.default_rng(0).normal(size=(40, 2)))
    refused = said(score("points.npy", "--metrics", "cs", against="points.npy"))
    assert "cs needs class logits, and extractor" in refused


def test_datasets_on_both_sides(score):
    assert values(score("blobs", "--metrics", "fd", "--json"))["fd/pixels"] == pytest.approx(0, abs=1e-9)
    apart = values(score("blobs(n=50):train", "--metrics", "fd", "--json"))["fd/pixels"]
    assert 0 < apart < 1


def test_what_is_no_dataset_can_be_the_reference_of_a_chosen_extractor(score):
    result = score("blobs", "--extractor", "pixels", "--force-extractor", "--metrics", "fd", against="gen.zip")
    assert "fd/pixels!forced" in result.stdout
    assert "pixels, forced onto these data" in result.stdout


def test_a_standard_metric_that_fails_leaves_the_others_and_exit_code_1(score):
    np.save("one.npy", PIXELS[:1])
    result = score("one.npy")
    assert result.exit_code == 1
    fd, cs = (line for line in result.stdout.splitlines() if line.startswith(("| fd", "| cs")))
    assert "failed: " in fd
    assert "1.000" in cs
    assert result.stderr == ""


def test_what_was_not_asked_for_by_name_may_be_skipped(score):
    np.save("points.npy", np.random.default_rng(0).normal(size=(40, 2)))
    plain = score("points.npy", against="points.npy")
    assert plain.exit_code == 0, plain.output
    assert "skipped: cs needs class logits" in plain.stdout


def said(result) -> str:
    """Return the one sentence of a refusal."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if "user's own" not in line]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("ganbench: ")
    return lines[0]


def bad_sets() -> None:
    """Write one set for each thing that may be wrong with a set."""
    small, large = np.zeros((4, 4), np.uint8), np.zeros((8, 8), np.uint8)
    colour = np.zeros((4, 4, 3), np.uint8)
    noise = png(np.random.default_rng(0).integers(0, 256, (4, 4), np.uint8))
    folder("sizes", [small, large])
    folder("modes", [small, colour])
    folder("colour", [colour, colour])
    folder("deep", [small, np.zeros((4, 4), np.uint16)])
    folder("broken", [small, noise[:60]])
    Path("empty").mkdir()
    with zipfile.ZipFile("climbs.zip", "w") as archive:
        archive.writestr("../a.png", noise)
    with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.png", "w") as file:
        for _ in range(257):
            file.write(bytes(2**20))
    np.savez("objects.npz", np.array([{}], dtype=object))
    np.save("nan.npy", np.full((5, 1, 4, 4), np.nan))
    np.save("beyond.npy", np.full((5, 1, 4, 4), 3.0))
    np.save("whole.npy", np.zeros((5, 1, 4, 4), np.int64))
    Path("short.npy").write_bytes(Path("gen.npy").read_bytes()[:-9])
    Path("cut.npz").write_bytes(Path("gen.npz").read_bytes()[:-99])
    Path("x.tar").write_bytes(b"x")
    np.save("points.npy", np.zeros((5, 16), np.float32))


BAD = [
    ("sizes", "sizes mixes sizes: 000.png is 4x4, 001.png is 8x8"),
    ("modes", "modes mixes modes: 000.png is grey, 001.png is colour"),
    ("colour", "colour holds images of 3x4x4 and blobs images of 1x4x4; samples of one shape can be compared (colour "
     "is read as image_folder(path='colour', channels=3):all"),
    ("deep", "001.png in deep has mode I;16; convert it to 8 bits a channel"),
    ("broken", "001.png in broken cannot be decoded: "),
    ("empty", "empty holds no images"),
    ("climbs.zip", "climbs.zip holds '../a.png'; absolute names, '..' and backslashes are refused"),
    ("bomb.zip", "bomb.zip declares 269,484,032 bytes for 'a.png'"),
    ("objects.npz", "objects.npz:arr_0 holds Python objects, which are never loaded"),
    ("nan.npy", "nan.npy holds NaN or infinity, first in row 0"),
    ("beyond.npy", "beyond.npy holds 3 in row 0 (from 0), outside [-1, 1]; say in which range its floats are"),
    ("whole.npy", "whole.npy holds int64; images are uint8 or floats"),
    ("short.npy", "short.npy is truncated"),
    ("cut.npz", "cut.npz is no readable .npz archive"),
    ("x.tar", "x.tar is nothing that can be opened (array_file opens a .npy"),
    ("points.npy", "points.npy holds points of 16 and blobs images of 1x4x4"),
    ("gen.npz:fakes", "gen.npz has no array 'fakes'; it has: images, half, labels"),
    ("nowhere/x.npy", "nowhere/x.npy does not exist"),
    ("blob", "'blob' is no file or folder, no FILE.py:FUNCTION, no run below results and no dataset: unknown dataset "
     "'blob'; did you mean 'blobs'?"),
    ("blobs:val", "dataset 'blobs:val': blobs has no split 'val'"),
    ("blobs(m=3)", "dataset 'blobs' has no parameter 'm'"),
    ("blobs()+gen()", "adds 'gen' to a dataset"),
    ("gen.py", "gen.py names no function; write gen.py:FUNCTION"),
    ("absent.py:f", "absent.py does not exist"),
    ("gen.py:batch", "gen.py has no function 'batch'; did you mean 'batches'?"),
    ("gen.py:value", "gen.py holds something else than a function as 'value'"),
    ("gen.py:words", "batch 1 of gen.py:words is str; wanted are tensors or arrays"),
    ("gen.py:number", "gen.py:number returned int; it must yield batches"),
    ("gen.py:empty", "gen.py:empty gave no samples"),
    ("gen.py:raising", "gen.py:raising raised RuntimeError: the disk is on fire"),
    ("gen.py:exits", "gen.py:exits raised SystemExit: 7"),
    ("gen.py:mixed", "batch 2 of gen.py:mixed has uint8 of shape (N, 1, 8, 8), the first one uint8 of shape "
     "(N, 1, 4, 4)"),
    ("gen.py:nan", "batch 1 of gen.py:nan holds NaN or infinity"),
]  # fmt: skip


def test_bad_sets_are_refused_on_either_side(score):
    bad_sets()
    for text, sentence in BAD:
        assert sentence in said(score(text, "--metrics", "fd")), text
        if "samples of one shape" not in sentence and "points" not in text:
            assert sentence in said(score("blobs", "--metrics", "fd", "--extractor", "pixels", against=text)), text


def test_a_streamed_set_that_breaks_off_is_refused_too(score, monkeypatch):
    bad_sets()
    monkeypatch.setattr("ganbench_zoo.rows.SMALL", 0)
    for text in ("sizes", "modes", "broken", "nan.npy", "beyond.npy"):
        (sentence,) = (sentence for bad, sentence in BAD if bad == text)
        assert sentence in said(score(text, "--metrics", "fd"))
    assert values(score("gen.zip", "--metrics", "fd", "--json")) == values(
        score("gen.npy", "--metrics", "fd", "--json")
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--samples", "61"], "gen holds 60 samples, fewer than the 61 asked for"),
        (["--samples", "0"], "0 is not in the range x>=1"),
        (["--metrics", "fdd"], "unknown metric 'fdd'; did you mean 'fd'?"),
        (["--metrics", ","], "no metric is named"),
        (["--metrics", "fd,fd"], "metrics 'fd' and 'fd' are both 'fd/pixels'"),
        (["--metrics", "fid"], "metric 'fid' was asked for, but that name belongs to one network"),
        (["--extractor", "pixel"], "unknown extractor 'pixel'; did you mean 'pixels'?"),
        (["--extractor", "absent"], "its weights are not here; put them somewhere; usable here: "),
        (["--extractor", "digits_cnn"], "digits_cnn takes one channel of 16x16 or 32x32, not 1x4x4"),
        (["--weights", "gen.npy"], "extractor 'pixels' has weights of its own and takes no others"),
        (["--extractor", "inception_v3", "--weights", "absent.pth"], "the weights absent.pth do not exist"),
        (["--extractor", "inception_v3", "--weights", "gen.npy"], "gen.npy is no file of torch weights"),
        (["--device", "cuda:9"], "device 'cuda:9' does not exist"),
    ],
)
def test_bad_requests_are_refused(score, arguments, sentence):
    assert sentence in said(score("gen", *arguments))


def test_weights_of_another_network_are_refused(score):
    import torch

    torch.save({"layer.weight": torch.zeros(3, 3)}, "other.pth")
    assert "other.pth does not hold this network's weights" in said(
        score("gen", "--extractor", "inception_v3", "--weights", "other.pth")
    )


def test_an_extractor_is_kept_from_data_that_it_was_not_made_for(score):
    message = said(score("blobs", "--extractor", "pixels", against="gen.zip"))
    assert "extractor 'pixels' was made for blobs and 'gen.zip' is image_folder" in message
    assert "--force-extractor" in message


def test_a_tampered_or_foreign_cache_file_is_refused(score, tmp_path):
    assert score("gen", "--metrics", "fd").exit_code == 0
    kept = sorted((tmp_path / "cache" / "reference").glob("*.safetensors"))
    assert kept
    whole = {path: path.read_bytes() for path in kept}
    for path, content in whole.items():
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "are refused: its checksum does not match its values" in said(score("gen", "--metrics", "fd"))
    for path, content in zip(kept, reversed(list(whole.values())), strict=True):
        path.write_bytes(content)
    assert "are refused: it was written for something else" in said(score("gen", "--metrics", "fd"))


def test_what_may_be_two_things_is_not_guessed(score):
    folder("blobs", PIXELS[:9, 0])
    message = said(score("blobs", against="gen.npy"))
    assert message == "ganbench: 'blobs' may be the path (write ./blobs) or a dataset (write blobs:test)"
    scored = [score(text, "--metrics", "fd", "--json", against="blobs:test") for text in ("./blobs", "blobs:test")]
    assert [json.loads(result.stdout)["generated"]["n"] for result in scored] == [9, 96]
