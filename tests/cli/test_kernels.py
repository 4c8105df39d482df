"""How `ganbench run` computes: precision in a run's identity, kernels in its environment, less memory where it must."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from textwrap import dedent

import pytest

from ganbench.training.engine import Engine

BOUNDED = dedent('''
    """An architecture whose discriminator has room for eight samples at a time."""
    from dataclasses import dataclass
    from typing import ClassVar

    import torch
    from torch import nn

    from ganbench import DataSpec, ImageSpec, Latent, hookimpl


    class Critic(nn.Module):
        def __init__(self, data):
            super().__init__()
            self.last = nn.Linear(torch.Size(data.shape).numel(), 1)

        def forward(self, x, labels=None):
            if torch.is_grad_enabled() and self.training and len(x) > 8:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB")
            return self.last(x.flatten(1))[:, 0]


    class Generator(nn.Sequential):
        def forward(self, z, labels=None):
            return super().forward(z)


    @dataclass(frozen=True)
    class Bounded:
        name: ClassVar[str] = "bounded"
        paper: ClassVar[str] = "none"

        def latent(self, data: DataSpec) -> Latent:
            return Latent(4)

        def generator(self, data: DataSpec) -> nn.Module:
            n = torch.Size(data.shape).numel()
            return Generator(nn.Linear(4, n), nn.Tanh(), nn.Unflatten(1, data.shape))

        def discriminator(self, data: DataSpec) -> nn.Module:
            return Critic(data)

        @classmethod
        def smallest(cls):
            return cls(), ImageSpec((1, 4, 4))


    @hookimpl
    def architectures():
        return [Bounded]
''')


@pytest.fixture
def run_bounded(run_toy, tmp_path):
    def run(*arguments: object):
        (tmp_path / "bounded.py").write_text(BOUNDED)
        return run_toy("--plugins", tmp_path / "bounded.py", "--arch", "bounded", "--loss", "logistic", *arguments)

    return run


def written(tmp_path: Path, name: str) -> list[dict]:
    found = [json.loads(file.read_text()) for file in sorted(tmp_path.glob(f"results/toy/runs/*/{name}"))]
    return [one for one in found if "images_seen" in one or "kernels" in one]


def test_where_a_batch_does_not_fit_the_run_goes_on_in_parts_and_says_so(run_bounded, tmp_path):
    result = run_bounded("--seeds", "1")
    assert result.exit_code == 0, result.stderr
    assert "note: bounded/logistic on blobs, seed 0: out of memory" in result.stderr
    assert "the run goes on with" in result.stderr
    (status,) = written(tmp_path, "run.json")
    (environment,) = written(tmp_path, "environment.json")
    assert status["status"] == "done"
    assert environment["kernels"]["parts"] > 1


def test_where_that_is_not_wanted_the_run_fails_and_names_the_memory(run_bounded, tmp_path):
    result = run_bounded("--seeds", "1", "--no-spare-memory")
    assert result.exit_code == 1
    assert "does not fit into the memory of cpu" in result.stderr


def interrupt_once(monkeypatch) -> None:
    """Let Ctrl-C be pressed in the third round of the first session."""
    play = Engine.play_round
    pressed: list[int] = []

    def played(engine: Engine, progress: float) -> None:
        play(engine, progress)
        if engine.counters.rounds == 3 and not pressed:
            pressed.append(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Engine, "play_round", played)


def test_a_run_that_went_on_otherwise_names_both_ways_and_what_it_was_told(run_bounded, tmp_path, monkeypatch):
    interrupt_once(monkeypatch)
    assert run_bounded("--seeds", "1").exit_code == 130
    (first,) = written(tmp_path, "environment.json")
    (interrupted,) = written(tmp_path, "run.json")
    assert run_bounded("--seeds", "1", "--no-joint", "--parts", "4").exit_code == 0
    (second,) = written(tmp_path, "environment.json")
    (done,) = written(tmp_path, "run.json")
    assert first["kernels"]["joint"]
    assert not second["kernels"]["joint"]
    assert second["earlier"] == [first]
    assert len(interrupted["notes"]) == 1
    assert done["notes"] == interrupted["notes"]


def test_a_run_that_went_on_as_before_names_one_way(run_toy, tmp_path, monkeypatch):
    interrupt_once(monkeypatch)
    assert run_toy("--seeds", "1", "--loss", "logistic", "--graphs").exit_code == 130
    assert run_toy("--seeds", "1", "--loss", "logistic", "--graphs").exit_code == 0
    (environment,) = written(tmp_path, "environment.json")
    assert environment["kernels"]["fallbacks"].keys() == {"graphs"}
    assert "earlier" not in environment


def test_precision_makes_other_runs_and_kernels_do_not(run_toy, tmp_path):
    folder = tmp_path / "results/toy/runs"
    assert run_toy("--seeds", "1").exit_code == 0
    first = {path.name for path in folder.iterdir()}
    again = run_toy("--seeds", "1", "--no-joint", "--parts", "2")
    assert "are done" in again.stderr
    assert "note: how a run is computed is no part of what it is" in again.stderr
    assert run_toy("--seeds", "1", "--set", "recipe.precision=bf16").exit_code == 0
    assert len({path.name for path in folder.iterdir()} - first) == 2


def test_what_cannot_be_had_is_named_with_its_reason(run_toy, tmp_path):
    result = run_toy("--seeds", "1", "--graphs")
    assert result.exit_code == 0
    said = "logistic on blobs, seed 0 and 1 more: without graphs: CUDA graphs exist on CUDA alone, not on cpu"
    assert said in result.stderr
    for environment in written(tmp_path, "environment.json"):
        assert environment["kernels"]["graphs"] is False
        assert environment["kernels"]["fallbacks"] == {"graphs": "CUDA graphs exist on CUDA alone, not on cpu"}


def test_products_that_this_device_does_not_have_are_named(run_toy, tmp_path):
    assert run_toy("--seeds", "1", "--loss", "logistic", "--set", "recipe.precision=tf32").exit_code == 0
    (environment,) = written(tmp_path, "environment.json")
    assert environment["kernels"]["fallbacks"] == {"tf32": "TF32 products exist on CUDA alone, not on cpu"}


def test_an_unknown_precision_is_refused_with_the_known_ones(run_toy):
    result = run_toy("--set", "recipe.precision=float16")
    assert result.exit_code == 2
    assert "'float32', 'tf32' or 'bf16'" in result.stderr


def test_parts_that_do_not_divide_a_batch_are_refused_before_anything_runs(run_toy, tmp_path):
    result = run_toy("--parts", "3")
    assert result.exit_code == 2
    assert "a batch of 16 has no 3 equal parts" in result.stderr
    assert "--parts 3 was asked for, so take a batch_size that 3 divides" in result.stderr
    assert not (tmp_path / "results").exists()
