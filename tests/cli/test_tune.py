"""``ganbench tune`` and the choice of kernels: measured, kept, taken by runs, overruled by flags, told in tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ganbench.execution import timing, tuning
from ganbench.execution.bench import Bench
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch):
    monkeypatch.setattr(timing, "BATCH_SECONDS", 0.0)


@pytest.fixture
def tune_toy(run_toy, ganbench):
    def tune(*arguments: object) -> list[dict]:
        run_toy("--dry-run")  # writes toy.toml
        result = ganbench("tune", "toy.toml", "--plugins", TOYS, "--device", "cpu", "--json", *arguments)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return tune


def kernels_of_runs(tmp_path: Path) -> list[dict]:
    files = sorted(tmp_path.glob("results/toy/runs/*/environment.json"))
    return [found["kernels"] for found in (json.loads(file.read_text()) for file in files) if "kernels" in found]


def fastest(monkeypatch, wanted: Kernels) -> None:
    """Let ``wanted`` seem twice as fast as any other."""
    monkeypatch.setattr(tuning, "_seconds_a_round", lambda engine: 0.5 if engine.kernels == wanted else 1.0)


def test_what_was_fastest_is_kept_and_the_next_run_takes_it(tune_toy, run_toy, tmp_path, monkeypatch):
    wanted = Kernels(channels_last=False)
    fastest(monkeypatch, wanted)
    (answer,) = tune_toy()
    assert answer["kernels"] == wanted.as_json()
    assert [row["seconds"] for row in answer["measured"]].count(0.5) == 1
    assert json.loads(Path(answer["file"]).read_text())["kernels"] == wanted.as_json()
    assert run_toy().exit_code == 0
    assert kernels_of_runs(tmp_path) == [wanted.as_json()] * 4


def test_a_flag_overrules_what_was_measured(tune_toy, run_toy, tmp_path, monkeypatch):
    fastest(monkeypatch, Kernels(channels_last=False))
    tune_toy()
    assert run_toy("--channels-last", "--no-joint").exit_code == 0
    assert kernels_of_runs(tmp_path) == [Kernels(joint=False).as_json()] * 4


def test_without_a_measurement_runs_take_the_default_and_name_it(run_toy, tmp_path):
    assert run_toy().exit_code == 0
    assert kernels_of_runs(tmp_path) == [Kernels().as_json()] * 4


def test_a_run_says_that_it_takes_what_was_measured(tune_toy, run_toy, monkeypatch):
    fastest(monkeypatch, Kernels(channels_last=False))
    tune_toy()
    assert "note: 4 of them as 'ganbench tune' found fastest here: joint" in run_toy().stderr


def test_what_is_faster_most_of_the_time_only_is_not_taken(tune_toy, monkeypatch):
    timings = iter([0.5, 0.5, 2.0, 0.5, 0.5])

    def timed(engine: Engine) -> float:
        return next(timings) if engine.kernels == Kernels(joint=False) else 1.0

    monkeypatch.setattr(tuning, "_seconds_a_round", timed)
    (answer,) = tune_toy()
    assert answer["kernels"] == Kernels().as_json()


def test_another_batch_size_asks_anew(tune_toy, run_toy, tmp_path, monkeypatch):
    fastest(monkeypatch, Kernels(channels_last=False))
    tune_toy()
    assert run_toy("--set", "recipe.batch_size=8").exit_code == 0
    assert kernels_of_runs(tmp_path) == [Kernels().as_json()] * 4


def test_a_gain_within_the_noise_changes_nothing(tune_toy, monkeypatch):
    monkeypatch.setattr(tuning, "_seconds_a_round", lambda engine: 0.99 if engine.kernels != Kernels() else 1.0)
    (answer,) = tune_toy()
    assert answer["kernels"] == Kernels().as_json()


def test_a_way_whose_losses_differ_is_never_taken(tune_toy, monkeypatch):
    wrong = Kernels(joint=False)
    fastest(monkeypatch, wrong)
    play = Engine.play_round

    def played(engine: Engine, progress: float) -> None:
        if engine.kernels == wrong:
            engine.sides["generator"].phase_seed += 1
            for p in engine.sides["discriminator"].params:
                p.data.mul_(1.1)
        play(engine, progress)

    monkeypatch.setattr(Engine, "play_round", played)
    (answer,) = tune_toy()
    assert answer["kernels"] != wrong.as_json()
    (row,) = (row for row in answer["measured"] if {k: row[k] for k in wrong.as_json()} == wrong.as_json())
    assert row["seconds"] is None
    assert "where the plain way gives" in row["reason"]


def test_a_way_that_fails_has_its_reason_and_the_others_go_on(tune_toy, monkeypatch):
    build = Engine.__init__

    def built(engine: Engine, setup, device, kernels=None) -> None:
        if kernels == replace(Kernels(), channels_last=False):
            raise RuntimeError("no such kernel")
        build(engine, setup, device, kernels)

    monkeypatch.setattr(Engine, "__init__", built)
    (answer,) = tune_toy()
    assert [row["reason"] for row in answer["measured"]].count("RuntimeError: no such kernel") == 1


def test_for_people_there_is_a_table(run_toy, ganbench):
    run_toy("--dry-run")
    result = ganbench("tune", "toy.toml", "--plugins", TOYS, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    title, head, *rows = result.stdout.splitlines()
    assert title.startswith("tiny on ")
    assert head.split() == ["ms", "a", "round", "times", "the", "default"]
    assert sum("(taken)" in row for row in rows) == 1
    assert len(rows) == len(tuning.candidates(CPU))


def test_a_damaged_answer_is_as_none(tune_toy, run_toy, tmp_path):
    (answer,) = tune_toy()
    Path(answer["file"]).write_text("{")
    assert run_toy().exit_code == 0
    assert kernels_of_runs(tmp_path) == [Kernels().as_json()] * 4


def test_a_table_names_mixed_kernels(run_toy, ganbench):
    assert run_toy().exit_code == 0
    result = run_toy("--seeds", "3", "--no-channels-last")
    assert "mixed environments" in result.stdout
    assert "kernels channels_last + joint (4 runs), joint (2 runs)" in " ".join(result.stdout.split())


def test_on_a_cpu_compiling_is_tried_only_where_it_is_asked_for():
    assert not any(kernels.compile or kernels.graphs for kernels in tuning.candidates(CPU))
    assert any(kernels.compile for kernels in tuning.candidates(CPU, compile=True))
    assert any(kernels.graphs and kernels.compile for kernels in tuning.candidates(torch.device("cuda")))
    assert tuning.candidates(CPU)[0] == Kernels()


def test_a_way_without_memory_when_it_is_timed_drops_out(tune_toy, monkeypatch):
    short = Kernels(joint=False)

    def seconds(engine: Engine) -> float:
        if engine.kernels == short:
            raise torch.OutOfMemoryError("out of memory\nmore")
        return 1.0

    monkeypatch.setattr(tuning, "_seconds_a_round", seconds)
    (answer,) = tune_toy()
    assert answer["kernels"] == Kernels().as_json()
    assert [row["reason"] for row in answer["measured"]].count("OutOfMemoryError: out of memory") == 1


@pytest.fixture
def tuning_by_itself(monkeypatch):
    """Let runs measure what is fastest as they do on CUDA."""
    monkeypatch.setattr(Bench, "kernels", lambda bench, run: bench._tuned(run, bench.tuning_key(run)) or Kernels())


def test_a_run_whose_plain_way_does_not_fit_is_played_and_not_lost_to_tuning(
    run_toy, tmp_path, monkeypatch, tuning_by_itself
):
    def without_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("ganbench.execution.bench.tune", without_memory)
    result = run_toy()
    assert result.exit_code == 0, result.stderr
    assert kernels_of_runs(tmp_path) == [Kernels().as_json()] * 4


def test_a_run_tunes_where_the_answer_cannot_be_kept(run_toy, tmp_path, monkeypatch, tuning_by_itself):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "file"))
    fastest(monkeypatch, Kernels(channels_last=False))
    result = run_toy()
    assert result.exit_code == 0, result.stderr
    assert kernels_of_runs(tmp_path) == [Kernels(channels_last=False).as_json()] * 4
