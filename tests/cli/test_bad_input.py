"""Bad input: one sentence on stderr, nothing on stdout, exit code 2, nothing lost."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from PIL import Image

from ganbench.cli.main import main

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
QUICK = ["--arch", "tiny", "--loss", "logistic", "--set", "recipe.g_optimizer=plain_adam"]
BLOBS = ["--dataset", "blobs", *QUICK, "--set", "recipe.d_optimizer=plain_adam", "--images", "64"]


def said(result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note:")]
    assert "Traceback" not in result.stderr
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "quikstart"], "unknown suite 'quikstart'; did you mean 'quickstart'?"),
        (["run", "absent.toml"], "cannot read the suite absent.toml: No such file or directory"),
        (["run", "--loss", "hinje"], "unknown loss 'hinje'; did you mean 'hinge'?"),
        (["run", "--arch", "dcgan(widht=3)"], "architecture 'dcgan' has no parameter 'widht'; did you mean 'width'?"),
        (["run", "--arch", "dcgan(width=wide)"], "architecture 'dcgan': width = 'wide'"),
        (["run", "--arch", "dcgan(width=0)"], "dcgan needs width >= 1"),
        (["run", "--arch", "dcgan(width=8"], "a bracket or quote is left open"),
        (["run", "--set", "recipe.g_lrr=1"], "unknown recipe key 'g_lrr'; did you mean 'g_lr'?"),
        (["run", "--set", "recipe.g_lr=-1"], "recipe (from command line): g_lr: input should be greater than 0"),
        (["run", "--set", "scorng.samples=1"], "unknown key 'scorng'; did you mean 'scoring'?"),
        (["run", "--images", "10.5"], "budget.images"),
        (["run", "--images", "10", "--updates", "5"], "exactly one of images, generator_updates, seconds"),
        (["run", "--seeds", "0"], "seeds wants a number of at least 1"),
        (["run", "--metric", "fdd"], "unknown metric 'fdd'; did you mean 'fd'?"),
        (["run", "--extractor", "digit_cnn"], "unknown extractor 'digit_cnn'; did you mean 'digits_cnn'?"),
        (["run", "--extractor", "mnist_cnn"], "mnist_cnn"),
        (["run", "--metric", "fid"], "fid"),
        (["run", "--device", "cuda:7"], "device 'cuda:7' does not exist"),
        (["run", "--device", "quantum"], "unknown device 'quantum'"),
        (["run", "--plugins", "nowhere.py"], "nowhere.py"),
        (["run", "--loss", "hinge,hinge"], "two loss entries have the label 'hinge'"),
        (["run", "--loss", "hinge+nothing"], "unknown regularizer 'nothing'"),
        (["run", "--arch", "sn_resnet", "--loss", "hinge"], "no combination of the suite can run: sn_resnet/hinge"),
        (["run", "--dataset", "mnist"], "dataset 'mnist':"),
        (["run", "--dataset", "image_folder(path='nowhere')"], "nowhere"),
        (["table", "nowhere"], "there is no results folder nowhere"),
        (["show", "hinje"], "did you mean 'hinge'?"),
        (["suite", "show", "quick"], "unknown suite 'quick'"),
        (["run", "--workers", "0"], "0 is not in the range x>=1.; see 'ganbench run --help'"),
        (["rnu"], "No such command 'rnu'"),
    ],
)  # fmt: skip
def test_a_sentence_and_exit_code_2(ganbench, arguments, sentence):
    assert sentence in said(ganbench(*arguments))
    assert not list(Path("results").glob("*/*"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name = [", "bad.toml is not TOML"),
        ("name = 'x'", "bad.toml: the key 'budget' is missing"),
        ("bugdet = { images = 5 }", "unknown key 'bugdet'; did you mean 'budget'?"),
        ("[budget]\nimages = 'many'", "bad.toml: budget.images"),
        ("[budget]\nimages = 10", "the suite names no datasets"),
        ("name = 'Bad Name'\n[budget]\nimages = 10", "name"),
        ("[[cell]]\nwhere = { arch = 'x' }\nrecipe = {}\n[budget]\nimages = 1", "unknown axis 'arch'"),
        ("[[loss]]\nname = 'hinge'\nsweep.c = []\n[budget]\nimages = 1", "sweep.c is empty"),
    ],
)
def test_a_bad_suite_file_is_told_what_is_wrong(ganbench, text, sentence):
    Path("bad.toml").write_text(text)
    assert sentence in said(ganbench("run", "bad.toml"))


def test_an_extractor_that_is_not_usable_here_names_those_that_are(ganbench):
    message = said(ganbench("run", *BLOBS, "--extractor", "absent", "--plugins", TOYS))
    assert "extractor 'absent' cannot be used: its weights are not here; put them somewhere" in message
    assert "usable here: pixels" in message
    assert not list(Path("results").glob("*/runs/*"))


def test_inception_without_weights_says_what_to_do(ganbench, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("GANBENCH_INCEPTION", raising=False)
    message = said(ganbench("run", "--metric", "fid", "--extractor", "inception_v3"))
    assert "extractor 'inception_v3' cannot be used" in message
    assert "usable here: digits_cnn" in message


def test_a_truncated_dataset_is_named(ganbench, tmp_path):
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ):
        (raw / name).write_bytes(b"\0\0\x08\x03\0\0\xea\x60")
        (raw / f"{name}.gz").write_bytes(gzip.compress(b""))
    assert "train-" in said(ganbench("run", "--dataset", "mnist"))


def test_images_of_mixed_sizes_are_named(ganbench):
    for i, size in enumerate((8, 8, 9)):
        folder = Path("pictures") / "train" / "a"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (size, size)).save(folder / f"{i}.png")
    folder = Path("pictures") / "test" / "a"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "x.png")
    message = said(ganbench("run", "--dataset", "image_folder(path='pictures')", "--arch", "mlp", "--loss", "hinge"))
    assert "2.png" in message
    assert "9" in message


def test_a_folder_that_is_not_ours_is_refused_and_left_alone(ganbench):
    folder = Path("results") / "mine"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    message = said(ganbench("run", *BLOBS, "--name", "mine", "--plugins", TOYS))
    assert "thesis.txt" in message
    assert [p.name for p in folder.iterdir()] == ["thesis.txt"]


def test_a_results_folder_that_cannot_be_written_is_said(ganbench):
    Path("results").write_text("a file stands where the folder should be")
    assert "results" in said(ganbench("run", *BLOBS, "--plugins", TOYS))


def test_a_full_disk_is_said_and_nothing_measured_is_lost(run_toy, ganbench, monkeypatch):
    import errno

    run_toy()
    before = ganbench("table", "results/toy").stdout

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ganbench.files._flush", full)
        result = run_toy("--seeds", 3)
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert ganbench("table", "results/toy").stdout == before


def test_what_nobody_foresaw_is_one_sentence_too(ganbench, monkeypatch):
    def broken(*_):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("ganbench.suite.source.read_request", broken)
    result = ganbench("run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "ganbench: unexpected RuntimeError: a bug of ours; 'ganbench --debug run ...' shows where\n"


def test_debug_shows_the_traceback(ganbench):
    from click.testing import CliRunner

    from ganbench.errors import SuiteError

    result = CliRunner().invoke(main, ["--debug", "run", "quikstart"])
    assert isinstance(result.exception, SuiteError)
