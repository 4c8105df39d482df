"""`ganbench rescore`: stored generators get further scores, old ones stay, nothing is trained."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from ganbench.results.store import Store

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
HALVES = '''
from dataclasses import dataclass
from typing import ClassVar

from ganbench import Features, hookimpl


class Network:
    provenance: ClassVar[dict] = {"layer": "rows", "width": 8, "weights_sha256": None}
    canonical: ClassVar[bool] = False

    def __call__(self, stored):
        return Features(stored.float().flatten(1)[:, :8] / 255)


@dataclass(frozen=True)
class Halves:
    """The upper half of the pixels."""

    name: ClassVar[str] = "halves"
    paper: ClassVar[str] = "none"
    domains: ClassVar[frozenset] = frozenset({"blobs"})

    def accepts(self, data):
        return None

    def available(self):
        return None

    def load(self, device):
        return Network()


@hookimpl
def extractors():
    return [Halves]
'''


@pytest.fixture
def rescore(run_toy, ganbench, tmp_path):
    """Run the toy suite, then score it anew with these arguments."""
    (tmp_path / "halves.py").write_text(HALVES)
    first = run_toy()
    assert first.exit_code == 0, first.output

    def call(*arguments, plugins=TOYS):
        return ganbench("rescore", "toy", "--device", "cpu", "--plugins", plugins, "--plugins", "halves.py", *arguments)

    return call


def store() -> Store:
    return Store.open(Path("results/toy"))


def times() -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path("results").rglob("*") if path.is_file()}


def said(result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


def test_another_extractor_gets_columns_beside_the_old_ones(rescore):
    before, weights = store(), times()
    old = {folder.id: folder.records() for folder in before.run_folders()}
    metrics, protocols = before.plan().metrics, set(before.protocols())
    result = rescore("--extractor", "halves", "--metrics", "fd,recall")
    assert result.exit_code == 0, result.output
    head = next(line for line in result.stdout.splitlines() if line.startswith("| architecture"))
    names = [name.strip() for name in head.split("|")]
    assert names[4:8] == ["fd/pixels ↓", "precision/pixels ↑", "fd/halves ↓", "recall/halves ↑"]
    assert "unscored" not in result.stdout
    assert "floor, real against real at this number of samples: fd/pixels" in result.stdout
    assert ", fd/halves " in result.stdout
    assert "toy: 6 stored runs, 6 to score" in result.stderr
    assert "[6/6] done: tiny/stateful on blobs, seed 1" in result.stderr
    for folder in store().run_folders():
        records = folder.records()
        assert records[: len(old[folder.id])] == old[folder.id]
        assert [record.metric for record in records] == ["fd/pixels", "precision/pixels", "fd/halves", "recall/halves"]
    plan = store().plan()
    assert plan.metrics == (*metrics, "fd/halves", "recall/halves")
    assert protocols < set(store().protocols()) == set(plan.protocols)
    kept = {name: when for name, when in times().items() if "records" not in name}
    touched = {name for name, when in kept.items() if weights.get(name) != when}
    assert {Path(name).name for name in touched} <= {
        "scorings.jsonl",
        "plan.json",
        "protocols.json",
        ".protocols.lock",
        ".lock",
    }


def test_a_second_call_does_nothing_and_run_scores_as_before(rescore, run_toy, ganbench):
    first = rescore("--extractor", "halves")
    before = {name: when for name, when in times().items() if not name.endswith(".lock")}
    second = rescore("--extractor", "halves")
    assert (second.exit_code, second.stdout) == (0, first.stdout)
    assert second.stderr == "toy: all 6 stored runs are scored so\n"
    assert {name: when for name, when in times().items() if not name.endswith(".lock")} == before
    assert ganbench("table", "toy").stdout == first.stdout
    again = run_toy()
    assert "all 6 runs are done" in again.stderr
    assert "halves" not in again.stdout  # the suite names its own protocols only
    assert "fd/halves" in ganbench("table", "toy", "--all").stdout
    assert rescore("--extractor", "halves").stdout == first.stdout


@pytest.mark.parametrize(("flag", "value"), [("--samples", 40), ("--seed", 5)])
def test_more_samples_and_another_seed_are_other_protocols(rescore, flag, value):
    result = rescore(flag, value, "--metrics", "fd")
    assert result.exit_code == 0, result.output
    head = next(line for line in result.stdout.splitlines() if line.startswith("| architecture"))
    assert head.count("fd/pixels" if "precision/pixels" in head else "fd ↓ (") == 2
    assert "these are not comparable; compare within a column" in result.stdout
    ids = {record.protocol for folder in store().run_folders() for record in folder.records() if "fd" in record.metric}
    assert len(ids) == 2
    if flag == "--samples":
        assert "40 generated against 96 reference samples" in result.stdout


def test_rescoring_gives_what_running_gives(rescore, run_toy, ganbench):
    rescore("--samples", 80, "--metrics", "fd,coverage")
    mine = {(r.run, r.metric): r.value for f in store().run_folders() for r in f.records()
            if store().protocols()[r.protocol]["protocol"]["generated"]["n"] == 80}  # fmt: skip
    before = times()
    result = run_toy(
        **{'metrics = ["fd", "precision"]': 'metrics = ["fd", "coverage"]', "samples = 64": "samples = 80"}
    )
    assert "all 6 runs are done" in result.stderr  # under the same protocol ids: nothing is left to measure
    assert all(before[name] == when for name, when in times().items() if "records" in name)
    assert len(mine) == 12


def test_snapshots_that_the_suite_scores_are_scored_too(run_toy, rescore):
    assert run_toy("--set", "scoring.at=[0.5,1]", "--name", "half").exit_code == 0
    from click.testing import CliRunner

    from ganbench.cli.main import main

    arguments = ["rescore", "half", "--device", "cpu", "--plugins", str(TOYS), "--plugins", "halves.py"]
    result = CliRunner().invoke(main, [*arguments, "--extractor", "halves", "--metrics", "fd"])
    assert result.exit_code == 0, result.output
    run = next(f for f in Store.open(Path("results/half")).run_folders() if "generator" in f.config()["config"])
    assert [r.images_seen for r in run.records() if r.metric == "fd/halves"] == [80, 160]
    (run.path / "snapshots" / "0.5.safetensors").unlink()
    result = CliRunner().invoke(main, [*arguments, "--samples", "30"])
    assert "note: some runs kept no generator at 0.5 of the budget" in result.stderr
    assert result.exit_code == 0


def test_what_kept_no_generator_is_named_and_the_others_are_scored(rescore):
    runs = [folder for folder in store().run_folders() if "generator" in folder.config()["config"]]
    (runs[0].path / "generator.safetensors").unlink()
    runs[1].write_json("run.json", {**runs[1].status(), "status": "diverged", "reason": "the loss is not finite"})
    (runs[2].path / "config.json").unlink()
    (runs[3].path / "run.json").unlink()
    result = rescore("--extractor", "halves")
    assert result.exit_code == 0, result.output
    assert "2 stored runs, 2 to score" in result.stderr
    for folder, reason in zip(runs, ("it has kept no generator", "it has diverged", "it has no config.json",
                                     "it is not run yet"), strict=True):  # fmt: skip
        line = next(line for line in result.stderr.splitlines() if folder.id in line)
        assert line.startswith("not scored: tiny/")
        assert line.endswith(f"on blobs ({folder.id}): {reason}")


def test_a_folder_without_any_run_to_score(rescore):
    for folder in store().run_folders():
        (folder.path / "run.json").unlink()
    message = said(rescore())
    assert "holds no run that could be scored; 'ganbench run' makes them" in message


def test_an_architecture_that_was_edited_is_told_of_and_used(rescore, tmp_path):
    edited = tmp_path / "edited.py"
    edited.write_text(TOYS.read_text() + "\n# a remark\n")
    result = rescore("--extractor", "halves", plugins=edited)
    assert result.exit_code == 0, result.output
    (warning,) = [line for line in result.stderr.splitlines() if line.startswith("warning:")]
    assert "the source of dataset 'blobs', the source of architecture 'tiny'" in warning
    assert "stored weights are used as they are" in warning
    assert "unscored" not in result.stdout


def test_weights_that_no_longer_fit_fail_and_the_others_go_on(rescore):
    run = next(folder for folder in store().run_folders() if "generator" in folder.config()["config"])
    (run.path / "generator.safetensors").write_bytes(b"not weights")
    status = run.status()
    result = rescore("--extractor", "halves", "--metrics", "fd")
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("failed:")]
    assert "cannot read" in line
    assert run.status() == status
    assert not (run.path / "error.txt").exists()
    assert sum(record.metric == "fd/halves" for f in store().run_folders() for record in f.records()) == 5
    assert "1 run" in next(line for line in result.stdout.splitlines() if "has not been measured" in line)


BAD = [
    (["--extractor", "halvs"], "unknown extractor 'halvs'; did you mean 'halves'?"),
    (["--extractor", "halves(size=3)"], "extractor 'halves' has no parameter 'size'"),
    (["--extractor", "absent"], "extractor 'absent' cannot be used: its weights are not here"),
    (["--extractor", "digits_cnn"], "extractor 'digits_cnn' cannot be given 'blobs'"),
    (["--metrics", "fdd"], "unknown metric 'fdd'; did you mean 'fd'?"),
    (["--metrics", "fid"], "that name belongs to one network"),
    (["--samples", "1"], "1 is not in the range x>=2"),
    (["--device", "quantum"], "unknown device 'quantum'"),
]


def test_a_sentence_and_exit_code_2_and_nothing_written(rescore):
    before = {name: when for name, when in times().items() if not name.endswith(".lock")}
    for arguments, sentence in BAD:
        assert sentence in said(rescore(*arguments)), arguments
    assert {name: when for name, when in times().items() if not name.endswith(".lock")} == before


def test_an_extractor_can_be_forced(rescore, tmp_path):
    (tmp_path / "halves.py").write_text(HALVES.replace('{"blobs"}', '{"stars"}'))
    assert "was made for stars and 'blobs' is blobs" in said(rescore("--extractor", "halves"))
    result = rescore("--extractor", "halves", "--force-extractor", "--metrics", "fd")
    assert result.exit_code == 0, result.output
    assert "fd/halves!forced" in result.stdout


def test_what_is_no_results_folder(ganbench, tmp_path):
    assert "there is no results folder nowhere" in said(ganbench("rescore", "nowhere"))
    assert "there are no results in ./results" in said(ganbench("rescore"))
    (tmp_path / "mine").mkdir()
    assert "is no results folder" in said(ganbench("rescore", "mine"))


def test_a_suite_that_is_not_there_or_damaged(rescore):
    path = Path("results/toy/suite.json")
    path.write_text(json.dumps({"suite": {"scoring": {"samples": "many"}}}))
    assert "suite.json does not say how the suite scores" in said(rescore())
    path.unlink()
    assert "has no suite.json" in said(rescore())


def test_a_folder_in_use_is_refused(rescore):
    with store().lock():
        assert "another ganbench run is writing" in said(rescore("--extractor", "halves"))


def test_ctrl_c_keeps_what_is_scored_and_the_same_command_goes_on(rescore, monkeypatch):
    from ganbench.execution.bench import Bench

    real = Bench.score

    def interrupted(self, run):
        real(self, run)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Bench, "score", interrupted)
        result = rescore("--extractor", "halves", "--metrics", "fd")
    assert result.exit_code == 130
    assert "stopped with 5 runs to score; the same command goes on from here" in result.stderr
    rest = rescore("--extractor", "halves", "--metrics", "fd")
    assert rest.exit_code == 0
    assert "6 stored runs, 5 to score" in rest.stderr
