"""The engine on a CUDA device: the same weights and batches as on the CPU, and nearly the same steps."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from ganbench.suite.recipe import Budget
from ganbench.training.checkpoint import capture, restore
from ganbench.training.compiled import Compiled
from ganbench.training.diagnosis import read_probe
from ganbench.training.ema import Ema
from ganbench.training.engine import Engine
from ganbench.training.graphs import WARM_UP, CudaRecorder, Recorded, make_capturable
from ganbench.training.loop import Training
from ganbench.training.side import all_modules
from ganbench.values import DataSpec, Latent

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]


def test_the_first_rounds_agree_with_the_cpu(make_setup):
    states = []
    for device in ("cpu", "cuda:0"):
        engine = Engine(make_setup(), torch.device(device))
        for _ in range(3):
            engine.play_round(0.0)
        states.append(capture(engine).tensors)
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name].cpu(), tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_a_whole_run_ends_and_resumes(make_setup, toys, tmp_path):
    setup = make_setup(toys.Stateful(), regularizers=(toys.SlopePenalty("real"),), augmentations=(toys.Brightness(),))
    assert Training(setup, tmp_path, torch.device("cuda:0")).run().status == "done"
    assert Training(setup, tmp_path, torch.device("cuda:0")).run().status == "done"


def test_reading_the_probe_leaves_the_run_and_the_stream_of_the_device_alone(make_setup, toys):
    device = torch.device("cuda:0")
    engine = Engine(make_setup(augmentations=(toys.Brightness(),)), device)
    engine.play_round(0.0)
    before, stream = capture(engine), torch.cuda.get_rng_state(device)
    reading = read_probe(engine.players, engine.probe())
    assert all(value is not None for value in reading.values())
    assert torch.equal(torch.cuda.get_rng_state(device), stream)
    after = capture(engine)
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in before.tensors.items())


# CUDA graphs


DEVICE = torch.device("cuda:0")


@dataclass(frozen=True)
class Convolutional:
    """A DCGAN of three layers a side: transposed convolutions, BatchNorm, spectral norm in the critic."""

    name: ClassVar[str] = "convolutional"
    paper: ClassVar[str] = "none"

    def latent(self, data: DataSpec) -> Latent:
        return Latent(8)

    def generator(self, data: DataSpec) -> nn.Module:
        return ByLatent(
            nn.Unflatten(1, (8, 1, 1)),
            nn.ConvTranspose2d(8, 16, 2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.ConvTranspose2d(16, data.shape[0], 4, 2, 1),
            nn.Tanh(),
        )

    def discriminator(self, data: DataSpec) -> nn.Module:
        return ByLatent(
            nn.utils.parametrizations.spectral_norm(nn.Conv2d(data.shape[0], 16, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            nn.Dropout2d(0.2),
            nn.Flatten(),
            nn.Linear(64, 1),
            nn.Flatten(0),
        )


class ByLatent(nn.Sequential):
    """Layers one after another that look at no labels."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(x)


def plain(setup) -> Engine:
    engine = Engine(setup, DEVICE)
    for side in engine.sides.values():
        make_capturable(side.optimizer)
    return engine


def recorded(setup) -> Engine:
    return record(Engine(setup, DEVICE))


def record(engine: Engine) -> Engine:
    modules = all_modules(engine.players.networks)
    engine.runner = Recorded(engine.sides, modules, engine.kernels.channels_last, CudaRecorder(DEVICE))
    return engine


def play(engine: Engine, rounds: int = 20) -> Engine:
    for _ in range(rounds):
        engine.play_round(engine.counters.rounds / 100)
    return engine


@torch.no_grad()
def outputs(engine: Engine) -> list[Tensor]:
    """Return what the networks and the average say of fixed inputs; a bias before BatchNorm may be what it likes."""
    networks, stream = engine.players.networks, torch.Generator().manual_seed(0)
    z = torch.randn(32, networks.latent.size, generator=stream).to(DEVICE)
    x = torch.rand(32, 1, 4, 4, generator=stream).to(DEVICE)
    judge, *makers = (copy.deepcopy(m).eval() for m in (networks.discriminator, networks.generator, engine.ema.network))
    made = [maker(z, None) for maker in makers]
    said = judge(x, None)
    return [*(getattr(sample, "images", sample) for sample in made), getattr(said, "logits", said)]


def assert_close(one: Engine, other: Engine) -> None:
    """Compare two runs: their kernels are the same, though some add up in another order each time."""
    assert capture(one).numbers == capture(other).numbers
    torch.testing.assert_close(outputs(one), outputs(other), rtol=1e-3, atol=1e-4)
    values = other.meter.read()
    assert one.meter.read() == {key: pytest.approx(value, rel=1e-3, abs=1e-4) for key, value in values.items()}


def cases(toys) -> Mapping[str, dict[str, Any]]:
    lazy = (toys.SlopePenalty("real", every=4), toys.SlopePenalty())
    return {
        "mlp": {"architecture": toys.Tiny(norm=True)},
        "mlp, DG, lazy": {"schedule": ("DG",), "regularizers": lazy, "loss": toys.Stateful()},
        "convolutions": {"architecture": Convolutional(), "schedule": ("D", "D", "G"), "regularizers": lazy},
        "convolutions, bf16": {"architecture": Convolutional(), "precision": "bf16", "regularizers": lazy[1:]},
        "sgd, constraints": {"d_optimizer": toys.PlainSgd(), "constraints": (toys.Box(), toys.Lookahead())},
        "augmentation": {"augmentations": (toys.Brightness(),), "g_lr_decay": "linear"},
    }


NAMES = ("mlp", "mlp, DG, lazy", "convolutions", "convolutions, bf16", "sgd, constraints", "augmentation")


@pytest.mark.parametrize("case", NAMES)
def test_recorded_rounds_equal_plain_ones(make_setup, toys, case):
    options = cases(toys)[case]
    engine = play(recorded(make_setup(**options)))
    assert_close(engine, play(plain(make_setup(**options))))
    assert engine.fallbacks == {}
    assert all(piece.play is not None for piece in engine.runner._pieces.values())


def test_a_replay_draws_what_a_plain_piece_would():
    runner, found = Recorded({}, [], False, CudaRecorder(DEVICE)), torch.zeros(2, 1000, device=DEVICE)

    def draw() -> None:
        found[0].copy_(torch.randn(1000, device=DEVICE))
        found[1].copy_(nn.functional.dropout(torch.ones(1000, device=DEVICE)))

    generator = torch.cuda.default_generators[0]
    for seed in range(WARM_UP + 3):
        generator.manual_seed(seed)
        draw()
        wanted, after = found.clone(), torch.rand(10, device=DEVICE)
        found.zero_()
        generator.manual_seed(seed)
        runner.run("draw", draw)
        assert torch.equal(found, wanted)
        assert torch.equal(torch.rand(10, device=DEVICE), after)
    assert runner.fallbacks == {}


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # PyTorch calls it a prototype
def test_recorded_rounds_never_wait_for_the_device(make_setup, toys):
    train = toys.Blobs(4096).load(None, "train")
    engine = play(recorded(make_setup(train=train, schedule=("D", "D", "G"))), 2 * WARM_UP)
    torch.cuda.set_sync_debug_mode("error")
    try:
        play(engine, 8)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert engine.fallbacks == {}


def test_recorded_rounds_take_no_more_memory(make_setup, toys):
    options = {"architecture": Convolutional(), "regularizers": (toys.SlopePenalty("real", every=4),)}
    engine = play(recorded(make_setup(**options)), 4 * (WARM_UP + 2))  # all variants are recorded
    torch.cuda.synchronize()
    held, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    play(engine, 100)
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= held
    assert torch.cuda.memory_reserved() <= reserved


class Reading:
    """A loss that reads a number on the host in the generator's phase."""

    name: ClassVar[str] = "reading"
    paper: ClassVar[str] = "none"

    def discriminator(self, game: Any) -> Tensor:
        return nn.functional.softplus(game.fake_logits - game.real_logits).mean()

    def generator(self, game: Any) -> Tensor:
        return -game.fake_logits.mean() * (1 + (game.fake_logits.mean().item() > 0))


def test_what_cannot_be_recorded_is_carried_out_and_says_why(make_setup):
    engine = play(recorded(make_setup(loss=Reading())))
    assert_close(engine, play(plain(make_setup(loss=Reading()))))
    assert set(engine.fallbacks) == {"graph of G generator"}
    assert "waits for the device in test_cuda.py, line" in engine.fallbacks["graph of G generator"]
    assert sum(piece.play is not None for piece in engine.runner._pieces.values()) == 2


def test_host_draws_are_not_recorded():
    runner, total = Recorded({}, [], False, CudaRecorder(DEVICE)), torch.zeros((), device=DEVICE)
    for _ in range(WARM_UP + 2):
        runner.run("draw", lambda: total.add_(torch.rand(()).item()))
    assert "on the host" in runner.fallbacks["graph of draw"]


def test_a_recorded_run_is_saved_and_goes_on(make_setup, toys):
    options = {"loss": toys.Stateful(), "schedule": ("DG",)}
    engine = recorded(make_setup(**options))
    state = capture(play(engine, 9))
    restored = recorded(make_setup(**options))
    restore(restored, state)
    assert_close(play(restored, 11), play(engine, 11))
    restore(engine, state)
    restored = recorded(make_setup(**options))
    restore(restored, state)
    assert_close(play(engine, 11), play(restored, 11))


def test_a_recorded_run_that_diverges_ends_where_a_plain_one_does(make_setup, toys, tmp_path):
    engines = []
    for name in ("plain", "recorded"):
        setup = make_setup(toys.Exploding(at=40), batch_size=8, budget=Budget(images=8 * 60))
        training = Training(setup, tmp_path / name, DEVICE)
        if name == "recorded":
            record(training.engine)
        outcome = training.run()
        assert (outcome.status, outcome.step) == ("diverged", 40)
        engines.append(training.engine)
    assert [engine.counters.rounds for engine in engines] == [40, 40]


def test_compiled_phases_are_recorded(make_setup, toys):
    options = {"architecture": toys.Tiny(norm=True)}
    engine = recorded(make_setup(**options))
    engine.differentiate = Compiled()
    assert_close(play(engine, 8), play(plain(make_setup(**options)), 8))
    assert engine.fallbacks == {}
    assert all(piece.play is not None for piece in engine.runner._pieces.values())


def test_the_average_is_recorded():
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).to(DEVICE)
    averages = [Ema(network, 1000, 0.05) for _ in range(2)]
    runner = Recorded({}, [network], False, CudaRecorder(DEVICE))
    share = torch.zeros((), dtype=torch.float64, device=DEVICE)
    for k in range(WARM_UP + 5):
        with torch.no_grad():
            network[0].weight.add_(1)
            network(torch.randn(8, 4, device=DEVICE))
        weight = averages[0].weight(64, 64 * (k + 1))
        averages[0].move(weight)
        share.fill_(weight)
        runner.run("average", lambda: averages[1].move(share))
    assert runner.fallbacks == {}
    for one, other in zip(*(average.network.state_dict().values() for average in averages), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
