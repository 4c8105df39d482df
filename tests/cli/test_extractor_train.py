"""`ganbench extractor train`: what it prints, keeps and refuses, and that what it made can be used at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganbench.cli import extractor as verb

QUICK = "classifier(epochs=2, batch_size=64, width=8, channels=[4, 8], strides=[2, 2])"
EACH = Path(__file__).parents[1] / "plugins" / "one_of_each.py"
TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"


@pytest.fixture
def train(ganbench, monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_EXTRACTORS", str(tmp_path / "own"))

    def call(*arguments):
        return ganbench("extractor", "train", "--device", "cpu", *arguments)

    return call


def said(result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def test_a_trained_extractor_scores_the_next_run(train, ganbench, tmp_path):
    result = train("--dataset", "digits", "--name", "mine", "--trainer", QUICK)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("mine: accuracy 0.")
    assert result.stdout.endswith("on 599 images that it has not seen\n")
    assert "epoch 1/2: loss " in result.stderr
    assert "use it with --extractor mine" in result.stderr
    assert "trained on" not in result.stderr  # nothing is shared with GANs
    assert "mine  " in ganbench("info").stdout
    arguments = ("--dataset", "digits", "--arch", "mlp", "--loss", "hinge", "--images", 256, "--seeds", 1)
    scored = ganbench("run", *arguments, "--extractor", "mine", "--metric", "fd", "--set", "scoring.samples=64")
    assert scored.exit_code == 0, scored.output
    assert "scored by mine" in scored.stdout


def test_the_card_as_json_with_notes_on_stderr(train):
    result = train("--dataset", "blobs", "--plugins", TOYS, "--json", "--trainer", QUICK, "--seed", 3)
    assert result.exit_code == 0, result.output
    card = json.loads(result.stdout)
    assert card["name"] == "blobs_cnn"
    assert card["data"]["split"] == "train"
    assert "note: there is no split 'extractor' to learn from (blobs has no split 'extractor'" in result.stderr
    assert "note: 96 of the 96 images that it was trained on are among those that GANs are trained on" in result.stderr
    words = f"ganbench extractor train --dataset blobs --trainer '{QUICK}' --seed 3 --device cpu"
    assert card["training"]["command"] == words


def test_another_folder_is_said_to_be_one(train, tmp_path):
    result = train("--dataset", "digits", "--trainer", QUICK, "-o", tmp_path / "elsewhere")
    assert result.exit_code == 0, result.output  # digits_cnn is bundled, and this one is not looked for
    assert "GANBENCH_EXTRACTORS=" in result.stderr
    assert (tmp_path / "elsewhere" / "digits_cnn.json").is_file()
    assert not (tmp_path / "own").exists()


def test_nothing_is_replaced_unasked(train, tmp_path):
    first = train("--dataset", "digits", "--name", "mine", "--trainer", QUICK)
    assert first.exit_code == 0
    before = (tmp_path / "own" / "mine.json").read_bytes()
    assert "mine.json is there already; choose another --name, or replace it with --force" in said(
        train("--dataset", "digits", "--name", "mine", "--trainer", QUICK, "--seed", 1)
    )
    assert (tmp_path / "own" / "mine.json").read_bytes() == before
    assert train("--dataset", "digits", "--name", "mine", "--trainer", QUICK, "--seed", 1, "--force").exit_code == 0
    assert (tmp_path / "own" / "mine.json").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dataset", "digits"], "there is an extractor 'digits_cnn' already (ganbench 0.1.0); choose another"),
        (["--dataset", "digits", "--name", "inception_v3"], "there is an extractor 'inception_v3' already"),
        (["--dataset", "digits", "--name", "Mine"], "'Mine' is no name for an extractor; write lower-case letters"),
        (["--dataset", "digits", "--name", "a+b"], "'a+b' is no name for an extractor"),
        (["--dataset", "digits", "--name", "../x"], "'../x' is no name for an extractor"),
        (["--dataset", "digitz", "--name", "x"], "unknown dataset 'digitz'; did you mean 'digits'?"),
        (["--dataset", "digits+r1", "--name", "x"], "cannot read 'digits+r1' as one dataset"),
        (["--dataset", "digits(size=17)", "--name", "x"], "size is 17"),
        (["--dataset", "digits", "--name", "x", "--trainer", "clasifier"], "did you mean 'classifier'?"),
        (["--dataset", "digits", "--name", "x", "--trainer", "classifier(epochs=0)"], "needs epochs >= 1"),
        (["--dataset", "digits", "--name", "x", "--trainer", "classifier(lr=1)"], "has no parameter 'lr'"),
        (["--dataset", "digits", "--name", "x", "--device", "quantum"], "unknown device 'quantum'"),
        (["--dataset", "ring", "--name", "x"], "learns from images, and 'ring' holds points"),
        (["--dataset", "mnist", "--name", "x"], "was looked for"),
        (["--dataset", "digits", "--name", "x", "-o", "file/below"], "cannot be made"),
        ([], "Missing option '--dataset'"),
    ],
)
def test_a_sentence_and_exit_code_2(train, tmp_path, arguments, sentence):
    Path("file").write_text("in the way")
    assert sentence in said(train(*arguments))
    assert not list((tmp_path / "own").glob("*"))


def test_unlabelled_images_are_refused(train, tmp_path):
    from PIL import Image

    Path("pictures").mkdir()
    for i in range(10):
        Image.new("RGB", (8, 8), (i, i, i)).save(f"pictures/{i}.png")
    assert "'image_folder' has no labels" in said(train("--dataset", "image_folder(path='pictures')", "--name", "x"))


def test_a_folder_that_cannot_be_written_is_said_before_the_training(train, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "cannot be written; name another folder with -o" in said(train("--dataset", "digits", "--name", "x"))


def test_a_full_disk_is_said(train, monkeypatch, tmp_path):
    import errno

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ganbench.files._flush", full)
    result = train("--dataset", "digits", "--name", "x", "--trainer", QUICK)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No space left on device" in result.stderr.splitlines()[-1]
    assert not list((tmp_path / "own").iterdir())


def test_a_diverged_training_has_failed(train, tmp_path):
    result = train("--dataset", "digits", "--name", "x", "--trainer", "classifier(peak_lr=1e9, epochs=2)")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "failed: the training of 'x' diverged: the loss was nan in epoch 1 of 2" in result.stderr
    assert not list((tmp_path / "own").iterdir())


def test_ctrl_c_leaves_nothing(train, monkeypatch, tmp_path):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("ganbench_zoo.trainers.classifier.fit", interrupted)
    result = train("--dataset", "digits", "--name", "x")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "stopped; nothing was written" in result.stderr
    assert not list((tmp_path / "own").iterdir())


def test_a_strangers_trainer_is_used_likewise(train, tmp_path):
    result = train("--dataset", "digits", "--name", "x", "--trainer", "counting(patience=2)", "--plugins", EACH)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("x: accuracy 0.1")
    assert "counted" in result.stderr
    assert (tmp_path / "own" / "x.json").is_file()


def test_a_name_that_two_plugins_now_offer_is_refused_even_with_force(train, tmp_path):
    assert train("--dataset", "digits", "--name", "pixels", "--trainer", QUICK).exit_code == 0
    again = train("--dataset", "digits", "--name", "pixels", "--trainer", QUICK, "--force", "--plugins", TOYS)
    assert "there is an extractor 'pixels' already" in said(again)


def test_progress_is_a_bar_on_a_terminal(monkeypatch):
    drawn = []

    class Terminal:
        is_terminal = True

    class Bars:
        def __init__(self, *columns, disable, **_):
            drawn.append(("disabled", disable))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def add_task(self, *_, **__):
            return 0

        def update(self, task, completed, note):
            drawn.append((completed, note))

    monkeypatch.setattr("rich.console.Console", lambda **_: Terminal())
    monkeypatch.setattr("rich.progress.Progress", Bars)
    monkeypatch.setattr("click.echo", lambda *_, **__: drawn.append("a line"))
    with verb._progress("x") as tell:
        tell(0.5, "half")
    assert drawn == [("disabled", False), (0.5, "half")]
