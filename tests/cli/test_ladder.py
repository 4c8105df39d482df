"""``ganbench ladder``: from a dataset to a table, four files and a plot; what cannot be climbed is said so."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ganbench.catalog import load_catalog
from ganbench.scoring.ladder import LADDERS

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
BLOBS = ["ladder", "blobs", "--plugins", TOYS, "--device", "cpu"]
FOLDER = Path("results") / "ladders" / "blobs"


def test_a_climb_writes_a_table_and_a_plot(ganbench):
    result = ganbench(*BLOBS, "--metrics", "fd,precision,recall")
    assert result.exit_code == 0, result.stderr
    assert "blobs, scored by pixels: rungs of 36 samples against 96 reference samples" in result.stdout
    assert "FD (pixels) ↓ lower is better, floor" in result.stdout
    assert "Can be trusted along" in result.stdout
    assert "wrote ladder.csv" in result.stderr
    report = json.loads((FOLDER / "ladder.json").read_text())
    assert sorted(report["metrics"]) == ["fd/pixels", "precision/pixels", "recall/pixels"]
    assert list(report["ladders"]) == sorted(LADDERS)
    noise = report["metrics"]["fd/pixels"]["ladders"]["noise"]["rungs"]
    assert [rung["status"] for rung in noise] == ["done"] * 6
    assert noise[-1]["value"] > 5 * noise[0]["value"]
    assert noise[0]["noise"] >= report["metrics"]["fd/pixels"]["clean_spread"] > 0
    with (FOLDER / "ladder.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rungs = sum(len(steps["levels"]) for steps in report["ladders"].values())
    assert len(rows) == 3 * rungs
    last = next(row for row in rows if (row["metric"], row["ladder"], row["rung"]) == ("fd/pixels", "noise", "5"))
    assert float(last["value"]) == noise[-1]["value"]
    assert "| FD (pixels) ↓" in (FOLDER / "ladder.md").read_text()
    with Image.open(FOLDER / "ladder.png") as plot:
        assert plot.format == "PNG"
        assert min(plot.size) > 300


def test_clean_sets_are_one_set_and_two_climbs_are_one(ganbench):
    arguments = ["--metrics", "fd,kd", "--ladder", "noise,mixing", "--json"]
    first = ganbench(*BLOBS, *arguments)
    report = json.loads(first.stdout)
    clean = {climb["rungs"][0]["value"] for climb in report["metrics"]["fd/pixels"]["ladders"].values()}
    assert len(clean) == 1
    assert ganbench(*BLOBS, *arguments).stdout == first.stdout
    other = json.loads(ganbench(*BLOBS, *arguments, "--seed", 1).stdout)
    assert other["metrics"]["fd/pixels"] != report["metrics"]["fd/pixels"]


def test_by_default_every_metric_with_a_meaning_here_is_judged(ganbench):
    report = json.loads(ganbench(*BLOBS, "--ladder", "noise", "--json").stdout)
    metrics = {entry.name: entry.component() for entry in load_catalog().of_kind("metric")}
    meant = {name for name, metric in metrics.items() if not {"generator", "truth"} & set(metric.needs)}
    judged = {name.partition("/")[0] for name in report["metrics"]}
    assert {"fd", "cs", "kd", "precision", "recall", "density", "coverage"} <= judged
    without_value = {name.partition("/")[0] for name in report["left_out"] if "/" in name}
    assert judged | without_value == meant
    assert not judged & without_value
    assert report["left_out"]["ppl"] == "it needs a generator"
    assert report["left_out"]["modes"] == "it needs data whose modes are known"


def test_ladders_and_samples_are_chosen_and_written_where_one_says(ganbench):
    arguments = [
        "--ladder",
        "mode_dropping,noise",
        "--ladder",
        "mixing",
        "--samples",
        60,
        "-o",
        "here",
        "--metric",
        "fd",
    ]
    result = ganbench(*BLOBS, *arguments, "--json")
    report = json.loads(result.stdout)
    assert set(report["ladders"]) == {"mode_dropping", "noise", "mixing"}
    assert report["counts"] == {
        "samples": 60,
        "stock": 72,
        "training": 24,
        "reference": 96,
        "clean_sets": 14,
        "clean_set_samples": 36,
    }
    assert report["ladders"]["mode_dropping"]["levels"] == [0.0, 0.5]
    assert report["ladders"]["mode_dropping"]["copies"][1] > 0
    assert sorted(path.name for path in Path("here").iterdir()) == [
        "ladder.csv",
        "ladder.json",
        "ladder.md",
        "ladder.png",
    ]
    assert "copies among the 60 samples" in Path("here/ladder.md").read_text()


def test_points_climb_what_has_a_meaning_for_points(ganbench):
    result = ganbench(
        "ladder", "ring(train=4000)", "--samples", 600, "--metrics", "modes,hq,mode_kl,recall,fd_inf", "--json"
    )
    report = json.loads(result.stdout)
    assert set(report["ladders"]) == {"noise", "mode_dropping", "duplication", "mixing"}
    assert report["left_out"] == {"blur": "points have no pixels", "contrast": "points have no pixels"}
    verdicts = {
        (metric.partition("/")[0], ladder): climb["verdict"]
        for metric, found in report["metrics"].items()
        for ladder, climb in found["ladders"].items()
    }
    assert verdicts["modes", "mode_dropping"] == "follows"
    assert verdicts["modes", "mixing"] == "blind, as meant"
    assert verdicts["hq", "mixing"] == "follows"
    assert verdicts["hq", "mode_dropping"] == "blind, as meant"
    assert verdicts["recall", "mode_dropping"].startswith("follows")
    noise = report["metrics"]["mode_kl/raw"]["ladders"]["noise"]
    assert noise["meant_to_move"] is False
    assert Path("results/ladders/ring-train-4000/ladder.md").exists()


def test_rungs_without_a_value_are_named_with_their_reason(ganbench):
    arguments = ["--samples", 50, "--ladder", "noise", "--metrics", "mode_kl,mode_spread", "-o", "here"]
    report = json.loads(ganbench("ladder", "ring(modes=2, train=400)", *arguments, "--json").stdout)
    rungs = report["metrics"]["mode_kl/raw"]["ladders"]["noise"]["rungs"]
    assert rungs[-1]["value"] is None
    assert rungs[-1]["reason"] == "no sample is of high quality, so the modes have no shares"
    text = Path("here/ladder.md").read_text()
    assert "- n/a at noise" in text
    assert "has rungs without a value on noise" in text
    assert "no sample is of high quality" in text


def test_a_metric_without_any_value_is_left_out_with_the_reason(ganbench):
    arguments = ["--ladder", "noise", "--samples", 8]
    report = json.loads(ganbench(*BLOBS, *arguments, "--metrics", "fd,fd_inf", "--json").stdout)
    assert list(report["metrics"]) == ["fd/pixels"]
    assert "samples for each of the 16 features" in report["left_out"]["fd_inf/pixels"]
    result = ganbench(*BLOBS, *arguments, "--metrics", "fd_inf")
    assert result.exit_code == 2
    assert (
        result.stderr.strip().splitlines()[-1].startswith("ganbench: no metric has a value on 'blobs': fd_inf/pixels:")
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ladder", "digts"], "unknown dataset 'digts'; did you mean 'digits'?"),
        (["ladder", "digits", "--ladder", "niose"], "unknown ladder 'niose'; did you mean 'noise'?"),
        (["ladder", "digits", "--metrics", "fdd"], "unknown metric 'fdd'; did you mean 'fd'?"),
        (["ladder", "digits", "--extractor", "mnist_cnn"], "extractor 'mnist_cnn'"),
        (["ladder", "digits", "--samples", "451"], "three quarters of its training split are 450"),
        (["ladder", "digits", "--samples", "1"], "1 is not in the range x>=2"),
        (["ladder", "digits", "--metrics", "fid"], "metric 'fid' was asked for"),
        (["ladder", "ring", "--ladder", "blur"], "no ladder can be climbed on 'ring': blur: points have no pixels"),
        (["ladder", "digits", "--device", "quantum"], "unknown device 'quantum'"),
    ],
)
def test_what_cannot_be_climbed_is_said_in_a_sentence(ganbench, arguments, sentence):
    result = ganbench(*arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_folder_that_cannot_be_made_is_known_before_anything_is_computed(ganbench):
    Path("taken").write_text("a file")
    result = ganbench(*BLOBS, "-o", "taken/below")
    assert result.exit_code == 2
    assert (
        result.stderr.strip() == "ganbench: taken/below cannot be made (Not a directory); name another folder with -o"
    )


def test_the_help_names_all_ladders_and_loads_no_plotting(ganbench):
    text = " ".join(ganbench("ladder", "--help").stdout.split())
    assert ", ".join(LADDERS) in text
    program = (
        "import sys\nfrom ganbench.cli.main import main\nimport ganbench.execution.ladder_plot\n"
        "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]
