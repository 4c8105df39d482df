"""``ganbench bench``: a table, JSON and files of what was timed; what makes no sense is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganbench.execution import ceiling, timing

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
BENCH = ["bench", "--plugins", TOYS, "--device", "cpu", "--threads", 1, "--rounds", 1]
TINY = [*BENCH, "--shape", "1x4x4", "--arch", "tiny", "--batch", 8]


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch):
    monkeypatch.setattr(timing, "BATCH_SECONDS", 0.0)
    monkeypatch.setattr(ceiling, "SIZES", ((4, 8),))
    monkeypatch.setattr(ceiling, "SEARCH_SECONDS", 0.0)


def test_json_says_what_was_measured_where_and_how(ganbench):
    arguments = ["--precision", "float32,bf16", "--schedule", "D,D,G", "--no-joint", "--set", "recipe.pac=2"]
    result = ganbench(*TINY, "--loss", "logistic,stateful", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert set(report) == {"command", "environment", "ceilings", "rows"}
    assert report["command"]["architectures"] == ["tiny"]
    assert report["command"]["batch"] == 8
    assert report["environment"]["threads"] == 1
    assert {"torch", "ganbench", "device_name"} <= set(report["environment"])
    assert set(report["ceilings"]) == {"float32", "bf16"}
    assert all(found["flop_per_second"] > 0 for found in report["ceilings"].values())
    rows = report["rows"]
    names = [(row["architecture"], row["loss"], row["precision"], row["status"]) for row in rows]
    assert names[:2] == [("tiny", "logistic", "float32", "done"), ("tiny", "logistic", "bf16", "done")]
    assert names[2:] == [("tiny", "stateful", "float32", "n/a"), ("tiny", "stateful", "bf16", "n/a")]
    first = rows[0]
    assert (first["dataset"], first["shape"], first["batch_size"]) == ("1x4x4", [1, 4, 4], 8)
    assert first["schedule"] == ["D", "D", "G"]
    assert set(first["moves"]) == {"D", "G"}
    assert set(first["round"]) == {"median", "low", "high"}
    assert first["images_per_second"] == pytest.approx(16 / first["round"]["median"])
    assert first["flop_per_second"] == pytest.approx(first["flop_per_round"] / first["round"]["median"])
    limit = report["ceilings"]["float32"]["flop_per_second"]
    assert first["share_of_ceiling"] == pytest.approx(first["flop_per_second"] / limit)
    assert first["kernels"]["joint"] is False
    assert first["fallbacks"] == {}
    assert first["repetitions"] == 1
    assert first["seconds_of_first_round"] > 0
    assert first["peak_memory_bytes"] is None or first["peak_memory_bytes"] >= 0
    assert rows[2]["reason"] == "a reconstruction of packed samples cannot be compared with single ones"
    assert "images_per_second" not in rows[2]


def test_the_table_is_for_people_and_goes_to_a_file_too(ganbench):
    result = ganbench(*TINY, "--loss", "logistic,raising", "-o", "speed.md")
    assert result.exit_code == 0, result.stderr
    header, _, logistic, raising, *notes = result.stdout.splitlines()
    for name in ("architecture", "images/s", "D ms", "G ms", "GFLOP/s", "of ceiling", "memory MB", "first round s"):
        assert f" {name} |" in header
    assert "dataset" not in header
    assert "%" in logistic
    assert "n/a" in raising
    assert "- n/a: tiny / raising: this loss always raises" in notes
    assert "- a round is D, G" in notes
    assert "- of one timing each; --rounds takes more" in notes
    assert any("ceiling in float32" in note and "3x3 convolution of 4 channels" in note for note in notes)
    assert Path("speed.md").read_text() == result.stdout
    assert result.stderr.strip() == "wrote speed.md"


def test_a_file_of_json_holds_what_json_prints(ganbench):
    result = ganbench(*TINY, "--loss", "logistic", "-o", "speed.json", "--json")
    assert Path("speed.json").read_text() == result.stdout
    assert json.loads(result.stdout)["rows"][0]["status"] == "done"


def test_a_dataset_brings_its_shape_and_a_suite_its_combinations(ganbench):
    arguments = ["--dataset", "blobs", "--arch", "tiny", "--loss", "logistic"]
    report = json.loads(ganbench(*BENCH, *arguments, "--json").stdout)
    assert (report["rows"][0]["dataset"], report["rows"][0]["shape"]) == ("blobs", [1, 4, 4])
    Path("toy.toml").write_text(
        'architectures = ["tiny"]\nlosses = ["logistic", "stateful"]\ndatasets = ["blobs"]\n'
        "[recipe]\nbatch_size = 4\n[budget]\nimages = 100\n"
    )
    report = json.loads(ganbench(*BENCH, "toy.toml", "--json").stdout)
    assert [(row["loss"], row["batch_size"]) for row in report["rows"]] == [("logistic", 4), ("stateful", 4)]


def test_points_and_labels_can_be_made_up(ganbench):
    arguments = ["--arch", "scalars", "--loss", "bilinear", "--shape", 1, "--classes", 3, "--json"]
    (row,) = json.loads(ganbench(*BENCH, *arguments).stdout)["rows"]
    assert (row["status"], row["shape"], row["flop_per_round"]) == ("done", [1], 0)


def test_nothing_is_written_but_what_is_asked_for(ganbench):
    assert ganbench(*TINY, "--loss", "logistic").exit_code == 0
    assert [path.name for path in Path().iterdir() if path.name != "cache"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--arch", "tinny", "--loss", "logistic"], "unknown architecture 'tinny'; did you mean 'tiny'?"),
        (["--shape", "3x32"], "cannot read the shape '3x32'; write 3x32x32 for images"),
        (["--shape", "1x4x4", "--dataset", "blobs"], "--shape makes data up and --dataset takes some"),
        (["--data", "3x32x32"], "for made-up samples write --shape 3x32x32"),
        (["--dataset", "blobs", "--classes", "2"], "--classes wants --shape"),
        (["--arch", "tiny", "--loss", "logistic", "--precision", "float16"], "precision"),
        (["--arch", "tiny", "--loss", "logistic", "--schedule", "D,X"], "schedule"),
        (["--rounds", "0"], "0 is not in the range x>=1"),
        (["--device", "quantum"], "unknown device 'quantum'"),
        (["-o", "speed.csv"], "-o speed.csv: write a file that ends in .md or .json"),
        (["nosuch"], "unknown suite 'nosuch'"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(ganbench, arguments, sentence):
    result = ganbench("bench", "--plugins", TOYS, *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_file_that_cannot_be_written_is_known_before_anything_is_timed(ganbench, monkeypatch):
    Path("taken").write_text("a file")
    monkeypatch.setattr("ganbench.execution.race.race", None)
    result = ganbench(*TINY, "--loss", "logistic", "-o", "taken/speed.md")
    assert result.exit_code == 2
    assert result.stderr.startswith("ganbench: taken/speed.md cannot be written (")
    assert result.stdout == ""
