"""Recorded pieces equal pieces that are carried out: bit for bit, over every kind of game, on a stand-in recorder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ganbench.suite.recipe import Budget
from ganbench.training.checkpoint import capture, restore
from ganbench.training.compiled import Compiled
from ganbench.training.ema import Ema
from ganbench.training.engine import Engine
from ganbench.training.graphs import WARM_UP, CudaRecorder, Recorded, make_capturable
from ganbench.training.kernels import Kernels
from ganbench.training.loop import Training
from ganbench.training.parts import in_parts
from ganbench.training.side import all_modules
from ganbench.values import Images, ImageSpec, Latent

CPU = torch.device("cpu")
AT = torch.ops.aten
HOST_READS = {AT._local_scalar_dense, AT.nonzero, AT.masked_select, AT.equal, AT.is_nonzero}


def tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Tape(TorchDispatchMode):
    """Notes every operation with the very tensors that it reads and writes; refuses what waits for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any, set[int]]] = []
        self.found: dict[int, tuple[Any, Any]] = {}
        self.made: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in HOST_READS:
            raise RuntimeError(f"{func} waits for the device")
        given = {address(one) for one in tensors((args, kwargs))}
        for one in tensors((args, kwargs)):
            if address(one) not in self.made and address(one) not in self.found:
                self.found[address(one)] = one.untyped_storage(), one.untyped_storage().clone()
        out = func(*args, **(kwargs or {}))
        fresh = {address(one) for one in tensors(out)} - given
        self.made |= fresh
        self.calls.append((func, args, kwargs or {}, out, fresh))
        return out

    @torch.no_grad()
    def undo(self) -> None:
        """Leave all memory as if nothing had been carried out, and what was made in the meantime without meaning."""
        for _, _, _, out, fresh in self.calls:
            for one in tensors(out):
                if address(one) in fresh and one.is_floating_point():
                    one.fill_(torch.nan)
        for storage, content in self.found.values():
            storage.copy_(content)

    @torch.no_grad()
    def play(self) -> None:
        """Repeat the noted operations on the noted tensors; run no line of Python that led to them."""
        for func, args, kwargs, out, fresh in self.calls:
            if fresh or func._schema.is_mutable:
                again = func(*args, **kwargs)
                for one, other in zip(tensors(out), tensors(again), strict=True):
                    if address(one) in fresh:
                        one.copy_(other)


class TapeRecorder:
    """Does on the CPU what `CudaRecorder` does with CUDA graphs."""

    def __init__(self) -> None:
        self.recordings, self.plays, self.error = 0, 0, None
        self.rehearsed: list[str | None] = []  # what rehearsals are to say, one after another

    def warm(self, work: Callable[[], None]) -> None:
        work()

    def rehearse(self, work: Callable[[], None]) -> str | None:
        work()
        return self.rehearsed.pop(0) if self.rehearsed else None

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        tape, stream = Tape(), torch.get_rng_state()
        try:
            with tape:
                work()
                if self.error is not None:
                    raise self.error
        finally:
            tape.undo()
            torch.set_rng_state(stream)
        self.recordings += 1

        def play() -> None:
            self.plays += 1
            tape.play()

        return play


@dataclass(frozen=True)
class Simple:
    """An optimizer out of a torch class of this file that takes parameters and a rate."""

    kind: Any
    lr: float = 1e-2
    evaluations: int = 1

    name: ClassVar[str] = "simple"
    paper: ClassVar[str] = "none"

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        return self.kind(params, {"lr": self.lr})


@dataclass(frozen=True)
class Bright:
    """A lazy regularizer of the generator: bright images cost."""

    every: int = 3

    name: ClassVar[str] = "bright"
    paper: ClassVar[str] = "none"
    phases: ClassVar[frozenset[str]] = frozenset({"generator"})

    def penalty(self, game: Any) -> Tensor:
        return game.fake.square().mean()


class Drift(torch.nn.Module):
    """A generator that keeps a running mean as a new tensor each time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 16)
        self.register_buffer("mean", torch.zeros(16))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        x = self.layer(z)
        self.mean = 0.5 * self.mean + 0.5 * x.detach().mean(0)
        return (x - self.mean).tanh().view(-1, 1, 4, 4)


@dataclass(frozen=True)
class Drifting:
    """`Drift` against a linear critic."""

    name: ClassVar[str] = "drifting"
    paper: ClassVar[str] = "none"

    def latent(self, data: Any) -> Latent:
        return Latent(4)

    def generator(self, data: Any) -> torch.nn.Module:
        return Drift()

    def discriminator(self, data: Any) -> torch.nn.Module:
        return Linear()


class Linear(torch.nn.Module):
    """A critic of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(16, 1)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layer(x.flatten(1))[:, 0]


def with_gradient(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for p in optimizer.param_groups[0]["params"] if p.grad is not None]


class Listing(torch.optim.Optimizer):
    """Extragradient that keeps the starts in a list of its own, made anew each time."""

    def __init__(self, params, defaults) -> None:
        super().__init__(params, defaults)
        self.kept: list[Tensor] = []

    @torch.no_grad()
    def extrapolate(self) -> None:
        self.kept = [p.clone() for p in with_gradient(self)]
        for p in with_gradient(self):
            p.sub_(p.grad * self.param_groups[0]["lr"])

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for p, start in zip(with_gradient(self), self.kept, strict=True):
            p.copy_(start - p.grad * self.param_groups[0]["lr"])


class Popping(torch.optim.Optimizer):
    """Extragradient that keeps the starts in its state for as long as they are needed."""

    @torch.no_grad()
    def extrapolate(self) -> None:
        for p in with_gradient(self):
            self.state[p]["start"] = p.clone()
            p.sub_(p.grad * self.param_groups[0]["lr"])

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for p in with_gradient(self):
            p.copy_(self.state[p].pop("start") - p.grad * self.param_groups[0]["lr"])


class Optimistic(torch.optim.Optimizer):
    """Keeps the last two gradients as new tensors each time, one handed on to the other."""

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for p in with_gradient(self):
            state = self.state[p]
            last, earlier = state.get("last", torch.zeros_like(p)), state.get("earlier", torch.zeros_like(p))
            p.sub_((2 * p.grad - 0.5 * last - 0.5 * earlier) * self.param_groups[0]["lr"])
            state["last"], state["earlier"] = p.grad.clone(), last


class Counting(torch.optim.Optimizer):
    """Lets its steps shrink by a count that the host keeps."""

    steps = 0

    @torch.no_grad()
    def step(self, closure=None) -> None:
        self.steps = self.steps + 1
        for p in with_gradient(self):
            p.sub_(p.grad * self.param_groups[0]["lr"], alpha=1 / self.steps)


class Growing(torch.optim.Optimizer):
    """Keeps all gradients in one tensor that grows."""

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for p in with_gradient(self):
            row = p.grad.flatten()[None]
            self.state[p]["all"] = torch.cat([self.state[p]["all"], row]) if "all" in self.state[p] else row
            p.sub_(self.state[p]["all"].mean(0).view_as(p) * self.param_groups[0]["lr"])


def plain(setup, **kernels) -> Engine:
    engine = Engine(setup, CPU, Kernels(**kernels))
    for side in engine.sides.values():
        make_capturable(side.optimizer)
    return engine


def record(engine: Engine) -> TapeRecorder:
    recorder = TapeRecorder()
    modules = all_modules(engine.players.networks)
    engine.runner = Recorded(engine.sides, modules, engine.kernels.channels_last, recorder)
    return recorder


def play(engine: Engine, rounds: int = 20) -> Engine:
    for _ in range(rounds):
        engine.play_round(engine.counters.rounds / 40)
    return engine


def assert_equal(one: Engine, other: Engine) -> None:
    """Compare everything that a run's state consists of, and its curves, bit for bit; the average may be rounded."""
    found, wanted = capture(one), capture(other)
    assert found.numbers == wanted.numbers
    assert found.tensors.keys() == wanted.tensors.keys()
    for name, tensor in wanted.tensors.items():
        if name.startswith("average."):
            torch.testing.assert_close(found.tensors[name], tensor, rtol=1e-5, atol=1e-6)
        else:
            assert torch.equal(found.tensors[name], tensor), name
    assert one.meter.read() == other.meter.read()


def extragradient(kind: Any) -> dict[str, Any]:
    return {side: Simple(kind, evaluations=2) for side in ("g_optimizer", "d_optimizer")}


CASES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "D, G": lambda toys: {},
    "DG": lambda toys: {"schedule": ("DG",), "g_lr_decay": "linear"},
    "D, D, G": lambda toys: {"schedule": ("D", "D", "G"), "d_lr_decay": "cosine"},
    "lazy penalty": lambda toys: {"regularizers": (toys.SlopePenalty("real", every=4), toys.SlopePenalty())},
    "lazy penalty, DG": lambda toys: {"regularizers": (toys.SlopePenalty("fake", every=4),), "schedule": ("DG",)},
    "gradients come and go, DG": lambda toys: {
        "loss": toys.Stateful(),  # reads no logits
        "regularizers": (toys.SlopePenalty(every=4),),
        "schedule": ("DG",),
    },
    "gradients come and go, both lazy": lambda toys: {
        "loss": toys.Stateful(),
        "regularizers": (toys.SlopePenalty(every=4), Bright()),
        "schedule": ("DG",),
    },
    "buffers made anew": lambda toys: {"architecture": Drifting()},
    "extragradient in a list": lambda toys: {"schedule": ("DG",), **extragradient(Listing)},
    "extragradient in the state, lazy": lambda toys: {
        "schedule": ("DG", "D"),
        "regularizers": (toys.SlopePenalty(every=4),),
        **extragradient(Popping),
    },
    "one extrapolates": lambda toys: {"schedule": ("DG",), "d_optimizer": Simple(Popping, evaluations=2)},
    "optimistic": lambda toys: {"schedule": ("DG",), "g_optimizer": Simple(Optimistic)},
    "constraints": lambda toys: {"constraints": (toys.Box(), toys.Lookahead()), "d_optimizer": toys.PlainSgd()},
    "states": lambda toys: {"loss": toys.Stateful(), "regularizers": (toys.Counting(), toys.Counting())},
    "augmentation": lambda toys: {"augmentations": (toys.Brightness(),), "pac": 2},
    "latents moved": lambda toys: {"regularizers": (toys.LatentStep(), toys.TopK())},
    "normalised": lambda toys: {"architecture": toys.Tiny(norm=True, spectral=True), "schedule": ("D", "DG")},
    "batch-coupled": lambda toys: {"architecture": toys.BatchCoupled(norm=True)},
    "one player": lambda toys: {"loss": toys.Autoencoding(), "schedule": ("G",)},
    "bf16": lambda toys: {"precision": "bf16", "regularizers": (toys.SlopePenalty(every=4),)},
}


@pytest.mark.parametrize("case", CASES)
def test_twenty_recorded_rounds_equal_twenty_plain_ones(make_setup, toys, case):
    options = CASES[case](toys)
    wanted, engine = plain(make_setup(**options)), Engine(make_setup(**options), CPU)
    recorder = record(engine)
    assert_equal(play(engine), play(wanted))
    assert engine.fallbacks == {}
    assert all(piece.play is not None or piece.runs <= WARM_UP for piece in engine.runner._pieces.values())
    assert recorder.plays > 20


def test_a_piece_is_recorded_after_its_warm_up_and_once(make_setup):
    engine = Engine(make_setup(), CPU)
    recorder = record(engine)
    play(engine, WARM_UP)
    assert (recorder.recordings, recorder.plays) == (0, 0)
    play(engine, 1)
    assert (recorder.recordings, recorder.plays) == (3, 3)  # D, G, the end of the round
    play(engine, 2)
    assert (recorder.recordings, recorder.plays) == (3, 9)


@pytest.mark.parametrize("channels_last", [True, False])
def test_what_a_phase_does_not_read_is_not_drawn(make_setup, channels_last):
    engine = Engine(make_setup(), CPU)
    engine.runner = Recorded(engine.sides, [], channels_last, TapeRecorder())
    drawn = []
    for player, side in engine.sides.items():
        images, latents = side.images.batch, side.latents.batch
        side.images.batch = lambda k, p=player, f=images: (drawn.append((p, "real")), f(k))[1]
        side.latents.batch = lambda k, n, p=player, f=latents: (drawn.append((p, "latents")), f(k, n))[1]
    play(engine, 6)
    of_d = [("discriminator", "real"), ("discriminator", "latents")]
    assert sorted(drawn) == sorted([*of_d, ("generator", "latents")] * 6)


def test_images_are_laid_out_as_the_engine_says(make_setup, toys):
    images = torch.randint(0, 255, (40, 3, 4, 4), dtype=torch.uint8)
    train = Images(images)
    data = ImageSpec((3, 4, 4))
    for channels_last in (True, False):
        engine = Engine(make_setup(train=train, test=train, data=data), CPU, Kernels(channels_last=channels_last))
        record(engine)
        draws = [engine.runner.draws(engine.sides["discriminator"], k, 16).real()[0] for k in range(2)]
        assert draws[0].data_ptr() == draws[1].data_ptr()
        assert torch.equal(draws[1], engine.sides["discriminator"].images.batch(1)[0])
        assert draws[0].is_contiguous(memory_format=torch.channels_last) is channels_last


def test_a_run_resumed_in_the_middle_is_the_same_run(make_setup, toys):
    options = {"schedule": ("DG",), "regularizers": (toys.SlopePenalty(every=4),), "loss": toys.Stateful()}
    whole = play(plain(make_setup(**options)))
    engine = Engine(make_setup(**options), CPU)
    record(engine)
    state = capture(play(engine, 9))
    play(engine, 3)
    recordings = dict(engine.runner._pieces)
    restore(engine, state)  # in place: the recordings stay
    assert_equal(play(engine, 11), whole)
    assert all(engine.runner._pieces[key] is piece for key, piece in recordings.items())
    fresh = Engine(make_setup(**options), CPU)
    recorder = record(fresh)
    restore(fresh, state)
    whole = play(plain(make_setup(**options)))
    assert_equal(play(fresh, 11), whole)
    assert recorder.plays > 0, fresh.fallbacks


@pytest.mark.parametrize("change", ["cleared", "replaced"])
def test_an_optimizer_that_got_another_state_is_recorded_anew(make_setup, change):
    engines = [plain(make_setup(schedule=("DG",))), Engine(make_setup(schedule=("DG",)), CPU)]
    recorder = record(engines[1])
    for engine in engines:
        play(engine, 8)
        optimizer = engine.sides["generator"].optimizer
        if change == "cleared":
            optimizer.state.clear()
        else:
            state = optimizer.state_dict()
            for entry in state["state"].values():
                entry["exp_avg"] = entry["exp_avg"] + 1
            optimizer.load_state_dict(state)
        play(engine, 8)
    assert_equal(*engines)
    assert recorder.recordings == 2 * 3


def test_a_diverging_run_goes_back_and_replays_the_same(make_setup, toys, tmp_path):
    states = []
    for name in ("plain", "recorded"):
        setup = make_setup(toys.Exploding(at=40), batch_size=8, budget=Budget(images=8 * 60))
        training = Training(setup, tmp_path / name, CPU)
        if name == "plain":
            for side in training.engine.sides.values():
                make_capturable(side.optimizer)
        else:
            recorder = record(training.engine)
        outcome = training.run()
        assert (outcome.status, outcome.step) == ("diverged", 40)
        states.append(training.engine)
    assert states[0].counters.rounds == 40
    assert_equal(*states)
    assert recorder.plays > 100


class Reading:
    """A loss that reads a number on the host in the generator's phase."""

    name: ClassVar[str] = "reading"
    paper: ClassVar[str] = "none"

    def discriminator(self, game: Any) -> Tensor:
        return torch.nn.functional.softplus(game.fake_logits - game.real_logits).mean()

    def generator(self, game: Any) -> Tensor:
        return -game.fake_logits.mean() * (1 + (game.fake_logits.mean().item() > 0))


@pytest.mark.parametrize("schedule", [("D", "G"), ("DG",)])
def test_a_piece_that_reads_on_the_host_is_carried_out_for_good_and_says_why(make_setup, toys, schedule):
    options = {"loss": Reading(), "schedule": schedule, "regularizers": (toys.SlopePenalty(every=4),)}
    wanted, engine = plain(make_setup(**options)), Engine(make_setup(**options), CPU)
    recorder = record(engine)
    assert_equal(play(engine), play(wanted))
    name = f"graph of {schedule[-1]} generator"
    assert set(engine.fallbacks) == {name}
    assert "cannot be recorded" in engine.fallbacks[name]
    assert "waits for the device" in engine.fallbacks[name]
    assert recorder.plays > 20  # D and the end of the round go on being played
    assert engine.used()["fallbacks"] == engine.fallbacks


def test_a_recording_that_fails_midway_leaves_buffers_as_they_were(make_setup):
    options = {"loss": Reading(), "architecture": Drifting()}
    wanted, engine = plain(make_setup(**options)), Engine(make_setup(**options), CPU)
    record(engine)
    assert_equal(play(engine, 6), play(wanted, 6))
    assert set(engine.fallbacks) == {"graph of G generator"}


class ReadingBalance(Reading):
    """The same, with a discriminator whose logits are not always looked at."""

    def discriminator(self, game: Any) -> Tensor:
        return (game.fake_critique.embedding - game.real_critique.embedding).mean()


def test_a_piece_that_is_carried_out_steps_the_gradients_that_a_recording_left(make_setup, toys):
    options = {"loss": ReadingBalance(), "schedule": ("DG",), "regularizers": (toys.SlopePenalty(every=4),)}
    wanted, engine = plain(make_setup(**options)), Engine(make_setup(**options), CPU)
    recorder = record(engine)
    assert_equal(play(engine, 24), play(wanted, 24))
    assert set(engine.fallbacks) == {"graph of DG generator"}
    assert recorder.recordings == 3  # D with the penalty and without, the end of the round


def test_an_optimizer_that_counts_on_the_host_is_carried_out(make_setup):
    options = {"d_optimizer": Simple(Counting), "schedule": ("DG",)}
    wanted, engine = plain(make_setup(**options)), Engine(make_setup(**options), CPU)
    record(engine)
    assert_equal(play(engine), play(wanted))
    assert engine.fallbacks == {
        "graph of DG generator": "it cannot be recorded: its optimizer changes 'steps' on the host"
    }


def test_what_grows_makes_all_pieces_be_carried_out(make_setup):
    options = {"d_optimizer": Simple(Growing)}
    wanted, engine = plain(make_setup(**options)), Engine(make_setup(**options), CPU)
    recorder = record(engine)
    assert_equal(play(engine, 6), play(wanted, 6))
    assert "changes its shape" in engine.fallbacks["graphs"]
    assert recorder.recordings == 0


def test_without_memory_for_recordings_all_pieces_are_carried_out(make_setup):
    wanted, engine = plain(make_setup()), Engine(make_setup(), CPU)
    recorder = record(engine)
    play(engine, 4)
    engine.runner.forget()
    recorder.error = torch.OutOfMemoryError("out of memory")
    recordings = recorder.recordings
    assert_equal(play(engine, 8), play(wanted, 12))
    assert recorder.recordings == recordings
    assert "no memory" in engine.fallbacks["graphs"]


def test_what_is_in_the_way_at_the_rehearsal_is_not_recorded_at_all(make_setup):
    wanted, engine = plain(make_setup()), Engine(make_setup(), CPU)
    recorder = record(engine)
    recorder.rehearsed = [None, "it waits for the device"]
    assert_equal(play(engine), play(wanted))
    assert engine.fallbacks == {"graph of G generator": "it cannot be recorded: it waits for the device"}
    assert recorder.recordings == 2


@pytest.mark.parametrize("kind", [Popping, Listing])
def test_a_failed_recording_leaves_the_optimizer_as_it_was(make_setup, kind):
    options = {"schedule": ("DG",), **extragradient(kind)}
    wanted, engine = plain(make_setup(**options)), Engine(make_setup(**options), CPU)
    record(engine).error = RuntimeError("no")
    assert_equal(play(engine, 6), play(wanted, 6))
    assert all(piece.fallen for piece in engine.runner._pieces.values())


def test_the_first_of_several_errors_is_the_reason(make_setup):
    engine = Engine(make_setup(), CPU)
    recorder = record(engine)
    recorder.error = RuntimeError("operation failed due to a previous error")
    recorder.error.__context__ = ValueError("what went wrong\nat length")
    play(engine, 4)
    assert set(engine.fallbacks.values()) == {"it cannot be recorded: what went wrong"}


class FakeStream:
    """As much of a stream as is asked for; `log` takes what happens in order."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def wait_stream(self, other: FakeStream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def fake_cuda(monkeypatch):
    """Replace what `CudaRecorder` calls of torch.cuda, as there is no device here; return the log of the calls."""
    log: list[str] = []
    mode = ["default"]

    @contextmanager
    def within(*args, **kwargs):
        log.append(f"in {[arg.name if isinstance(arg, FakeStream) else arg for arg in args]} {kwargs}")
        yield
        log.append("out")

    def warn(name: str) -> None:
        mode[0] = name
        warnings.warn("Synchronization debug mode is a prototype feature", stacklevel=1)

    pools = iter(range(1, 10))
    calls = {
        "Stream": lambda device: FakeStream("side", log),
        "current_stream": lambda device: FakeStream("main", log),
        "stream": within,
        "device": lambda device: nullcontext(),
        "graph": lambda graph, pool, stream, capture_error_mode: within(pool, stream, mode=capture_error_mode),
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: log.append("replay")),
        "graph_pool_handle": lambda: next(pools),
        "default_generators": (torch.Generator(),),
        "get_sync_debug_mode": lambda: mode[0],
        "set_sync_debug_mode": warn,
    }
    for name, call in calls.items():
        monkeypatch.setattr(torch.cuda, name, call)
    return log


def test_warm_work_runs_on_the_side_stream_between_what_was_and_what_will_be(fake_cuda):
    CudaRecorder(torch.device("cuda")).warm(lambda: fake_cuda.append("work"))
    assert fake_cuda == ["side waits for main", "in ['side'] {}", "work", "out", "main waits for side"]


def test_graphs_share_a_pool_until_a_recording_fails(fake_cuda):
    recorder = CudaRecorder(torch.device("cuda"))

    def fail() -> None:
        raise ValueError("no")

    recorder.record(lambda: None)()
    recorder.record(lambda: None)
    with pytest.raises(ValueError, match="no"):
        recorder.record(fail)
    recorder.record(lambda: None)
    entered = [line for line in fake_cuda if line.startswith("in")]
    assert [line.split("'")[0] for line in entered] == ["in [1, ", "in [1, ", "in [1, ", "in [2, "]
    assert "thread_local" in entered[0]
    assert fake_cuda[2] == "replay"


def test_recording_leaves_the_random_streams_where_they_were(fake_cuda):
    recorder, generator = CudaRecorder(torch.device("cuda")), torch.cuda.default_generators[0]
    before, host = generator.get_state(), torch.get_rng_state()
    recorder.record(lambda: torch.rand(3, generator=generator))
    assert torch.equal(generator.get_state(), before)
    with pytest.raises(RuntimeError, match="on the host"):
        recorder.record(lambda: torch.rand(3))
    assert torch.equal(torch.get_rng_state(), host)


def test_a_rehearsal_says_where_work_waits_and_passes_other_warnings_on(fake_cuda):
    recorder = CudaRecorder(torch.device("cuda"))
    assert recorder.rehearse(lambda: fake_cuda.append("work")) is None
    assert "work" in fake_cuda

    def wait() -> None:
        assert torch.cuda.get_sync_debug_mode() == "warn"
        warnings.warn("called a synchronizing CUDA operation (Triggered internally)", stacklevel=1)
        warnings.warn("something else", stacklevel=1)

    with pytest.warns(UserWarning, match="something else") as passed:
        reason = recorder.rehearse(wait)
    assert len(passed) == 1
    assert reason == f"it waits for the device in test_graphs.py, line {wait.__code__.co_firstlineno + 2}"
    assert torch.cuda.get_sync_debug_mode() == "default"


class Late:
    """A loss that raises in its fifth generator's phase, recorded or not."""

    name: ClassVar[str] = "late"
    paper: ClassVar[str] = "none"

    def __init__(self) -> None:
        self.calls = 0

    def discriminator(self, game: Any) -> Tensor:
        return (game.fake_logits - game.real_logits).mean()

    def generator(self, game: Any) -> Tensor:
        self.calls += 1
        if self.calls > WARM_UP:
            raise ValueError("the loss says no")
        return -game.fake_logits.mean()


def test_an_error_that_a_plain_piece_raises_too_surfaces_as_itself(make_setup):
    engine = Engine(make_setup(loss=Late()), CPU)
    record(engine)
    play(engine, WARM_UP)
    with pytest.raises(ValueError, match="the loss says no"):
        play(engine, 1)


class Curious(Late):
    """A loss that asks for real images in the generator's phase only when it is recorded."""

    name: ClassVar[str] = "curious"

    def generator(self, game: Any) -> Tensor:
        self.calls += 1
        value = -game.fake_logits.mean()
        return value + 0 * game.real_logits.mean() if self.calls > WARM_UP else value


def test_nothing_is_drawn_while_recording(make_setup):
    engine = Engine(make_setup(loss=Curious()), CPU)
    record(engine)
    play(engine, 6)
    assert "reads real samples, which it did not before" in engine.fallbacks["graph of G generator"]


def test_the_average_moves_by_a_number_that_a_recording_reads():
    network = torch.nn.Linear(2, 2)
    ema = Ema(network, 1000, 0.05)
    runner = Recorded({}, [network], False, TapeRecorder())
    runner._numbers["weight"] = torch.zeros((), dtype=torch.float64)
    wanted = Ema(network, 1000, 0.05)
    wanted.network.load_state_dict(ema.network.state_dict())
    for k in range(8):
        with torch.no_grad():
            network.weight.add_(1)
        weight = ema.weight(64, 64 * (k + 1))
        number = runner.number("weight", weight)
        runner.run("ema", lambda number=number: ema.move(number))
        wanted.move(weight)
    torch.testing.assert_close(ema.network.weight, wanted.network.weight, rtol=1e-6, atol=0)
    assert runner._pieces["ema", ()].play is not None


def test_numbers_stay_where_they_are(make_setup):
    engine = Engine(make_setup(), CPU)
    record(engine)
    first, second = engine.runner.number("share", 0.25), engine.runner.number("share", 0.5)
    assert first is second
    assert float(first) == 0.5


def test_learning_rates_become_tensors_that_the_engine_fills_in_place(make_setup, toys):
    engine = Engine(make_setup(g_lr_decay="linear", d_optimizer=toys.PlainSgd()), CPU)
    record(engine)
    groups = {player: side.optimizer.param_groups[0] for player, side in engine.sides.items()}
    rates = {player: group["lr"] for player, group in groups.items()}
    engine.play_round(0.5)
    assert all(groups[player]["lr"] is rate for player, rate in rates.items())
    assert float(rates["generator"]) == pytest.approx(5e-4)
    assert all(group["fused"] for group in groups.values())


def test_phases_in_parts_look_at_the_random_streams_and_are_carried_out(make_setup):
    engines = [plain(make_setup(schedule=("DG",))), Engine(make_setup(schedule=("DG",)), CPU)]
    recorder = record(engines[1])
    for engine in engines:
        engine.differentiate = lambda task: in_parts(task, 2)
        play(engine, 8)
    assert_equal(*engines)
    assert set(engines[1].fallbacks) == {"graph of DG discriminator", "graph of DG generator"}
    assert recorder.recordings == 1  # the end of the round


class Repeating:
    """A recorder for compiled phases, which no tape can look into: to play is to call again."""

    def warm(self, work: Callable[[], None]) -> None:
        work()

    def rehearse(self, work: Callable[[], None]) -> None:
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        return work


def test_phases_are_compiled_before_they_are_recorded(make_setup, toys):
    options = {"loss": toys.Autoencoding(), "schedule": ("G",)}
    engines = [plain(make_setup(**options)), Engine(make_setup(**options), CPU)]
    engines[1].runner = Recorded(engines[1].sides, [], True, Repeating())
    for engine in engines:
        engine.differentiate = Compiled("eager")
        play(engine, WARM_UP)
        assert list(engine.differentiate.seconds) == ["generator"]
        play(engine, 5)
    assert_equal(*engines)
    assert engines[1].fallbacks == {}
    assert all(piece.play for piece in engines[1].runner._pieces.values())
