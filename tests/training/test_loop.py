"""The loop: budgets, resuming, divergence, snapshots, curves, full disks."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from ganbench.errors import ResultsError
from ganbench.files import read_json_lines
from ganbench.suite.recipe import Budget
from ganbench.training import loop
from ganbench.training.checkpoint import (
    STATE_FILE,
    averaged_generator,
    capture,
    load_generator,
    load_state,
    restore,
    save_state,
)
from ganbench.training.engine import Engine
from ganbench.training.loop import Controls, Training
from ganbench.training.side import decay_factor

CPU = torch.device("cpu")
FILES = (STATE_FILE, "generator.safetensors", "curves.jsonl")


def stop_after(calls: int):
    left = iter([False] * calls + [True] * 10_000)
    return Controls(stop=lambda: next(left))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in folder.rglob("*")
        if p.name != "timings.jsonl" and p.is_file()
    }


def test_the_budget_is_spent_exactly_and_counted(make_setup, tmp_path):
    outcome = Training(make_setup(budget=Budget(images=100)), tmp_path, CPU).run()
    assert (outcome.status, outcome.facts["images_seen"], outcome.facts["rounds"]) == ("done", 112, 7)
    assert outcome.facts["parameters"]["generator"] > 0
    assert all((tmp_path / name).exists() for name in FILES)


def test_a_budget_of_generator_updates(make_setup, tmp_path):
    setup = make_setup(budget=Budget(generator_updates=7), schedule=("D", "G", "G"))
    facts = Training(setup, tmp_path, CPU).run().facts
    assert (facts["g_updates"], facts["d_updates"]) == (8, 4)


def test_a_budget_of_seconds(make_setup, tmp_path):
    ticks = iter(range(10_000))
    outcome = Training(make_setup(budget=Budget(seconds=50)), tmp_path, CPU, Controls(clock=lambda: next(ticks))).run()
    assert outcome.status == "done"
    assert 0 < outcome.facts["rounds"] < 50


def test_the_same_run_twice_gives_the_same_bytes(make_setup, tmp_path):
    for name in "ab":
        Training(make_setup(budget=Budget(images=2000)), tmp_path / name, CPU).run()
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("stateful", [False, True])
def test_ten_and_ten_rounds_equal_twenty_byte_for_byte(make_setup, toys, tmp_path, stateful):
    def setup():
        extras = {}
        if stateful:
            extras = {
                "loss": toys.Stateful(), "regularizers": (toys.Counting(), toys.SlopePenalty("real", every=3)),
                "constraints": (toys.Lookahead(),), "augmentations": (toys.Brightness(),), "g_lr_decay": "cosine",
                "architecture": toys.Tiny(norm=True, spectral=True),
            }  # fmt: skip
        return make_setup(budget=Budget(images=320), snapshots=(0.25, 0.75, 1.0), **extras)

    Training(setup(), tmp_path / "whole", CPU).run()
    parts = tmp_path / "parts"
    assert Training(setup(), parts, CPU, stop_after(10)).run().status == "interrupted"
    assert not (parts / "generator.safetensors").exists()
    assert Training(setup(), parts, CPU).run().status == "done"
    assert contents(parts) == contents(tmp_path / "whole")


def test_snapshots_are_kept_at_the_fractions(make_setup, tmp_path):
    Training(make_setup(budget=Budget(images=160), snapshots=(0.5, 1.0)), tmp_path, CPU).run()
    assert [p.name for p in (tmp_path / "snapshots").iterdir()] == ["0.5.safetensors"]


def test_divergence_is_found_at_its_round_and_the_last_finite_state_kept(make_setup, toys, tmp_path, monkeypatch):
    setup = make_setup(toys.Exploding(at=41), budget=Budget(images=16 * 200))
    outcome = Training(setup, tmp_path, CPU).run()
    assert (outcome.status, outcome.step) == ("diverged", 41)
    assert outcome.facts["rounds"] == 41
    engine = Engine(make_setup(toys.Exploding(at=10**6), budget=Budget(images=16 * 200)), CPU)
    for _ in range(41):
        engine.play_round(0.0)
    kept = load_state(tmp_path)
    for name, tensor in capture(engine).tensors.items():
        assert torch.equal(kept.tensors[name], tensor), name


def test_divergence_just_before_a_stop_is_not_taken_for_a_state_to_go_on_from(make_setup, toys, tmp_path):
    setup = make_setup(toys.Exploding(at=41), budget=Budget(images=16 * 200))
    outcome = Training(setup, tmp_path, CPU, stop_after(45)).run()
    assert (outcome.status, outcome.step, outcome.facts["rounds"]) == ("diverged", 41, 41)
    assert all(t.isfinite().all() for t in load_state(tmp_path).tensors.values())


@pytest.mark.parametrize("seconds", range(40, 48))
def test_divergence_in_the_last_round_of_a_budget_of_seconds_is_found(make_setup, toys, tmp_path, seconds):
    def outcome(loss, name):
        setup = make_setup(loss, budget=Budget(seconds=seconds), g_lr_decay="linear")
        ticks = iter(range(10_000))
        return Training(setup, tmp_path / name, CPU, Controls(clock=lambda: next(ticks))).run()

    last = outcome(toys.Logistic(), "whole").facts["rounds"] - 1
    assert outcome(toys.Exploding(at=last), "diverged").status == "diverged"


def test_the_replay_of_a_divergence_repeats_the_shares_of_a_budget_of_seconds(make_setup, toys, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_SECONDS", 1e9)  # no look but after 32 rounds
    shares = []

    ticks = iter(range(10_000))
    setup = make_setup(toys.Exploding(at=41), budget=Budget(seconds=500))
    training = Training(setup, tmp_path, CPU, Controls(clock=lambda: next(ticks)))
    play = training.engine.play_round
    training.engine.play_round = lambda share: (shares.append(share), play(share))
    assert training.run().step == 41
    assert shares[64:] == shares[32:41]


def test_where_the_replay_of_a_divergence_is_not_finite_the_earlier_state_is_kept(make_setup, toys, tmp_path):
    class Worsening(toys.Logistic):
        calls = 0

        def discriminator(self, game):
            Worsening.calls += 1
            return super().discriminator(game) * (torch.nan if Worsening.calls > 41 else 1.0)

    outcome = Training(make_setup(Worsening(), budget=Budget(images=16 * 200)), tmp_path, CPU).run()
    assert (outcome.status, outcome.step, outcome.facts["rounds"]) == ("diverged", 41, 32)
    assert all(t.isfinite().all() for t in load_state(tmp_path).tensors.values())


def test_weights_that_overflow_are_a_divergence(make_setup, toys, tmp_path):
    setup = make_setup(g_optimizer=toys.PlainSgd(1e30), budget=Budget(images=16 * 64))
    outcome = Training(setup, tmp_path, CPU).run()
    assert outcome.status == "diverged"
    state = load_state(tmp_path)
    assert all(t.isfinite().all() for name, t in state.tensors.items() if name.startswith("generator"))


def test_curves_hold_losses_and_the_value_function(make_setup, tmp_path):
    Training(make_setup(budget=Budget(images=16 * 250)), tmp_path, CPU).run()
    rows = read_json_lines(tmp_path / "curves.jsonl")
    assert [row["round"] for row in rows] == [100, 200, 250]
    for row in rows:
        assert row["d_loss"] > 0
        assert row["g_gradient_norm"] > 0
        assert -3 < row["v_raw"] < 0
        assert row["v_calibrated"] < 0
        assert all(0 <= row[f"d_accuracy_{side}"] <= 1 for side in ("train", "held_out", "fake"))
        assert row["d_lipschitz"] > 0
        assert 0 < row["g_signal"] < 1
        assert row["sample_spread"] > 0
    assert [row["round"] for row in read_json_lines(tmp_path / "timings.jsonl")] == [100, 200, 250, 250]


def test_reading_the_probe_changes_nothing(make_setup, toys, tmp_path, monkeypatch):
    def state(every):
        monkeypatch.setattr(loop, "LOG_EVERY", every)
        folder = tmp_path / str(every)
        setup = make_setup(budget=Budget(images=320), architecture=toys.Tiny(norm=True, spectral=True))
        Training(setup, folder, CPU).run()
        return {k: v for k, v in load_state(folder).tensors.items() if not k.startswith("meter")}

    often, never = state(1), state(1000)
    assert all(torch.equal(often[name], never[name]) for name in never)


def test_training_leaves_the_global_random_state_alone(make_setup, tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Training(make_setup(), tmp_path, CPU).run()
    assert torch.equal(torch.rand(1), expected)


def test_a_state_of_another_network_is_refused(make_setup, toys, tmp_path):
    save_state(tmp_path, capture(Engine(make_setup(), CPU)))
    with pytest.raises(ResultsError, match="other tensors"):
        Training(make_setup(architecture=toys.Tiny(norm=True)), tmp_path, CPU)


def test_a_damaged_state_is_named(make_setup, tmp_path):
    (tmp_path / STATE_FILE).write_bytes(b"not safetensors")
    with pytest.raises(ResultsError, match=r"state\.safetensors"):
        Training(make_setup(), tmp_path, CPU)


def test_a_full_disk_keeps_the_last_whole_state(make_setup, tmp_path, monkeypatch):
    Training(make_setup(budget=Budget(images=1600)), tmp_path, CPU, stop_after(10)).run()
    before = (tmp_path / STATE_FILE).read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ganbench.training.checkpoint.save_file", full)
    with pytest.raises(ResultsError, match="No space left on device"):
        Training(make_setup(budget=Budget(images=1600)), tmp_path, CPU, stop_after(5)).run()
    assert (tmp_path / STATE_FILE).read_bytes() == before
    assert not list(tmp_path.glob(".*tmp"))


def test_a_generator_with_noise_of_its_own_is_kept_alike_whatever_ran_before(make_setup, toys):
    class Noisy(toys.Tiny):
        def generator(self, data):
            module = super().generator(data)
            module.body.register_forward_pre_hook(lambda _, args: (args[0] + torch.randn_like(args[0]),))
            return module

    engine = Engine(make_setup(architecture=Noisy(norm=True)), CPU)
    engine.play_round(0.0)
    first, second = (averaged_generator(engine).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_restore_is_exact(make_setup, tmp_path):
    engine = Engine(make_setup(), CPU)
    for _ in range(3):
        engine.play_round(0.0)
    saved = capture(engine)
    for _ in range(3):
        engine.play_round(0.0)
    after = capture(engine)
    restore(engine, saved)
    for _ in range(3):
        engine.play_round(0.0)
    again = capture(engine)
    assert all(torch.equal(after.tensors[name], again.tensors[name]) for name in after.tensors)


def test_a_stored_generator_loads_and_samples_alike(make_setup, toys, tmp_path):
    training = Training(make_setup(architecture=toys.Tiny(norm=True)), tmp_path, CPU)
    training.run()
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    images = []
    for _ in range(2):
        network = toys.Tiny(norm=True).generator(training.setup.data)
        load_generator(tmp_path / "generator.safetensors", network, CPU)
        images.append(network(z).images)
    assert torch.equal(*images)
    other = toys.Tiny().generator(training.setup.data)
    with pytest.raises(ResultsError, match="another generator"):
        load_generator(tmp_path / "generator.safetensors", other, CPU)


def test_learning_rates_decay_over_the_budget():
    assert [decay_factor("constant", p) for p in (0, 0.5, 1)] == [1, 1, 1]
    assert [decay_factor("linear", p) for p in (0, 0.5, 1)] == [1, 0.5, 0]
    assert [decay_factor("cosine", p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
