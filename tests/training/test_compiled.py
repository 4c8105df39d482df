"""Phases that are compiled do what phases do that are not: same steps, same draws, same errors."""

from __future__ import annotations

import gc
import logging
import shutil
import weakref
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch

from ganbench.catalog import load_catalog
from ganbench.components import companions, incompatibility, offered, trait
from ganbench.training.checkpoint import capture
from ganbench.training.compiled import Compiled
from ganbench.training.engine import Engine
from ganbench.training.game import Draws
from ganbench.training.runner import Eager
from ganbench.values import Cell, Images, PointSpec

CPU = torch.device("cpu")
ROUNDS = 20
compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="inductor wants a C++ compiler, and there is no g++")


@dataclass(frozen=True)
class Waiting:
    """A regularizer that no graph can hold: it decides on the host."""

    name: ClassVar[str] = "waiting"

    def penalty(self, game: Any) -> torch.Tensor:
        mean = game.real_logits.mean()
        return mean if mean > 0 else -mean


class Backend:
    """A backend that runs what it is given as it is, and counts it; ``failing``, it runs it and then raises."""

    def __init__(self, failing: bool = False) -> None:
        self.graphs, self.failing = 0, failing

    def __call__(self, graph: torch.fx.GraphModule, example: Any) -> Any:
        self.graphs += 1

        def run(*args: Any) -> Any:
            found = graph.forward(*args)
            if self.failing:
                raise RuntimeError("this backend always fails")
            return found

        return run


@pytest.fixture(autouse=True)
def _no_trace(monkeypatch):
    """Let torch not write down every step of a compiler because pytest would listen to it."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)


@pytest.fixture
def pair(make_setup, toys):
    """Return an engine and one whose phases are compiled, of the same setup."""

    def pair(*args, backend=None, note=None, **others) -> tuple[Engine, Engine, Compiled]:
        sides = {"g_optimizer": toys.PlainSgd(0.05), "d_optimizer": toys.PlainSgd(0.05)}  # see Adam on zero gradients
        plain, other = (Engine(make_setup(*args, **{**sides, **others}), CPU) for _ in range(2))
        other.differentiate = compiled = Compiled(backend or Backend(), note)
        return plain, other, compiled

    return pair


def tensors(engine: Engine) -> dict[str, torch.Tensor]:
    return {k: v for k, v in capture(engine).tensors.items() if not k.startswith("optimizer")}


def assert_same(a: Engine, b: Engine, tolerance: float = 0.0) -> None:
    one, two = tensors(a), tensors(b)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


def play(*engines: Engine, rounds: int = ROUNDS) -> None:
    for k in range(rounds):
        for engine in engines:
            engine.play_round(k / rounds)


COMBINATIONS = {
    "spectral": lambda t: {"architecture": t.Tiny(spectral=True), "regularizers": (t.SlopePenalty("real"),)},
    "packed": lambda t: {"architecture": t.Tiny(norm=True), "regularizers": (t.SlopePenalty("fake"),), "pac": 2},
    "coupled": lambda t: {"architecture": t.BatchCoupled(), "regularizers": (t.SlopePenalty(every=2),)},
    "stateful": lambda t: {"loss": t.Stateful(), "regularizers": (t.Counting(), t.Counting())},
    "auxiliary": lambda t: {"architecture": t.Tiny(codes=3), "regularizers": (t.Auxiliary(),), "schedule": ("DG",)},
    "augmented": lambda t: {"augmentations": (t.Brightness(),), "regularizers": (t.LatentStep(0.05), t.TopK())},
    "alone": lambda t: {"loss": t.Autoencoding()},
    "extrapolating": lambda t: {
        **{"loss": t.Bilinear(), "architecture": t.Scalars(), "data": PointSpec((1,)), "schedule": ("DG",)},
        **{"g_optimizer": t.Extragradient(), "d_optimizer": t.Extragradient()},
        **dict.fromkeys(("train", "test"), Images(torch.zeros(16, 1))),
    },
    "half": lambda t: {"architecture": t.Tiny(spectral=True), "precision": "bf16"},
}


QUICK = ("spectral", "packed", "augmented", "half")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in COMBINATIONS if name not in QUICK]


@pytest.mark.parametrize("combination", [*QUICK, *SLOW])
def test_twenty_rounds_are_those_of_eager_evaluation(pair, toys, combination):
    plain, other, compiled = pair(**COMBINATIONS[combination](toys), backend="aot_eager")
    play(plain, other)
    assert compiled.fallbacks == {}
    assert compiled.seconds
    assert_same(plain, other, 1e-6)


def test_one_round_in_double_precision_is_the_same_to_1e_12(pair, toys):
    class Double(Eager):
        def draws(self, side, k, n):
            drawn = super().draws(side, k, n)
            return Draws(lambda: (drawn.real()[0].double(), drawn.real()[1]), drawn.latents)

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        plain, other, compiled = pair(**COMBINATIONS["spectral"](toys), backend="aot_eager")
        plain.runner = other.runner = Double(channels_last=False)
        play(plain, other, rounds=1)
    finally:
        torch.set_default_dtype(before)
    assert compiled.fallbacks == {}
    assert all(p.dtype == torch.float64 for side in other.sides.values() for p in side.params)
    assert_same(plain, other, 1e-12)


def test_one_graph_a_variant_whatever_progress_step_and_rate_become(pair, toys):
    backend = Backend()
    _, other, compiled = pair(regularizers=(toys.SlopePenalty("real", every=4),), d_lr_decay="linear", backend=backend)
    play(other, rounds=4)
    assert list(compiled.seconds) == ["discriminator with slope_penalty", "generator", "discriminator"]
    assert backend.graphs == 3
    play(other, rounds=9)
    assert backend.graphs == 3


def test_a_phase_draws_what_it_uses_and_nothing_else(pair, toys):
    class Listening(Eager):
        def __init__(self) -> None:
            super().__init__(channels_last=False)
            self.heard: list[tuple[str, int]] = []

        def draws(self, side, k, n):
            drawn, name = super().draws(side, k, n), "D" if side is other.sides["discriminator"] else "G"

            def hear(what):
                self.heard.append((f"{name} {what}", k))
                return getattr(drawn, what)()

            return Draws(lambda: hear("real"), lambda: hear("latents"))

    _, other, compiled = pair()
    other.runner = listening = Listening()
    play(other, rounds=2)
    assert compiled.fallbacks == {}
    assert listening.heard == [(what, k) for k in range(2) for what in ("D real", "D latents", "G latents")]


def test_gradients_add_up_as_those_of_a_backward_pass_do(pair, toys):
    plain, other, compiled = pair(architecture=toys.Tiny(norm=True), regularizers=(toys.SlopePenalty("real"),))

    def twice(differentiate):
        def both(task):
            differentiate(task)
            plain.seed(3)
            return differentiate(task)

        return both

    for engine in (plain, other):
        engine.differentiate = twice(engine.differentiate)
        engine.gradient("discriminator")
    assert compiled.fallbacks == {}
    for p, q in zip(plain.sides["discriminator"].params, other.sides["discriminator"].params, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            torch.testing.assert_close(q.grad, p.grad)
            assert q.grad.stride() == p.grad.stride()


def test_a_backend_that_fails_halfway_leaves_no_trace(pair, toys):
    backend, said = Backend(failing=True), []
    combination = {"architecture": toys.Tiny(norm=True, spectral=True), "augmentations": (toys.Brightness(),)}
    plain, other, compiled = pair(**combination, backend=backend, note=said.append)
    play(plain, other, rounds=3)
    assert_same(plain, other)
    assert backend.graphs == 2
    assert compiled.fallbacks == dict.fromkeys(
        ["discriminator", "generator"], "RuntimeError: this backend always fails"
    )
    assert said == [f"{name} is not compiled: {reason}" for name, reason in compiled.fallbacks.items()]
    assert compiled.seconds == {}


def test_a_component_that_waits_for_the_device_falls_back_alone(pair, toys):
    plain, other, compiled = pair(regularizers=(Waiting(),))
    play(plain, other, rounds=3)
    assert_same(plain, other, 1e-6)
    assert list(compiled.seconds) == ["generator"]
    ((name, reason),) = compiled.fallbacks.items()
    assert name == "discriminator with waiting"
    assert len(reason.splitlines()) == 1
    assert len(reason) <= 300


def test_an_unknown_backend_is_a_reason_not_an_end(pair):
    plain, other, compiled = pair(backend="no_such_backend")
    play(plain, other, rounds=1)
    assert_same(plain, other)
    assert "no_such_backend" in compiled.fallbacks["generator"]


def test_an_error_of_the_component_itself_is_raised_as_it_is(pair, toys):
    _, other, compiled = pair(toys.Raising())
    with pytest.raises(ValueError, match="this loss always raises"):
        other.play_round(0.0)
    assert compiled.fallbacks == {}


def test_what_differentiates_by_spectrally_normalised_weights_is_evaluated_eagerly(pair, toys):
    @dataclass(frozen=True)
    class Consensus:
        name: ClassVar[str] = "consensus"
        differentiates: ClassVar[frozenset[str]] = frozenset({"weights"})

        def penalty(self, game: Any) -> torch.Tensor:
            weights = [w for player in ("discriminator", "generator") for w in game.weights(player)]
            slopes = torch.autograd.grad(game.objective("generator"), weights, create_graph=True, allow_unused=True)
            return sum(slope.square().sum() for slope in slopes if slope is not None)

    for spectral in (False, True):
        plain, other, compiled = pair(architecture=toys.Tiny(spectral=spectral), regularizers=(Consensus(),))
        play(plain, other, rounds=3)
        assert_same(plain, other, 1e-6)
        assert set(compiled.fallbacks) == ({"discriminator with consensus"} if spectral else set())
    assert "computed from others" in compiled.fallbacks["discriminator with consensus"]


def test_ten_engines_in_a_row_all_compile_and_none_stays(pair, toys):
    gone, backend = [], Backend()
    for _ in range(10):
        _, other, compiled = pair(**COMBINATIONS["extrapolating"](toys), backend=backend)
        play(other, rounds=1)
        assert compiled.fallbacks == {}
        gone += [weakref.ref(other.players.networks.generator), weakref.ref(compiled)]
        del other, compiled
    gc.collect()
    assert backend.graphs == 20
    assert [ref() for ref in gone] == [None] * 20


def test_settings_of_the_compiler_are_as_before_outside(pair):
    _, other, _ = pair()
    play(other, rounds=2)
    assert not torch._dynamo.config.trace_autograd_ops
    assert not torch._inductor.config.fallback_random


@compiler
def test_inductor_differentiates_a_penalty_with_the_same_draws(pair, toys):
    combination = {"regularizers": (toys.SlopePenalty(),), "augmentations": (toys.Brightness(),)}
    plain, other, compiled = pair(backend="inductor", **combination)
    for engine in (plain, other):
        engine.gradient("discriminator")
    assert compiled.fallbacks == {}
    for p, q in zip(plain.sides["discriminator"].params, other.sides["discriminator"].params, strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-5, atol=1e-6)


@compiler
@pytest.mark.slow
def test_inductor_plays_twenty_rounds_nearly_as_eager_evaluation_does(pair, toys):
    plain, other, compiled = pair(architecture=toys.Tiny(norm=True, spectral=True), backend="inductor")
    play(plain, other)
    assert compiled.fallbacks == {}
    assert_same(plain, other, 1e-4)


def zoo() -> dict[str, tuple[Any, ...]]:
    """Return combinations of bundled components: every architecture, loss and regularizer, in the first company."""
    kinds = ("architecture", "loss", "regularizer")
    catalog = load_catalog()
    bundled = {kind: {e.name: e.component for e in catalog.of_kind(kind)} for kind in kinds}
    company = [bundled["architecture"]["mlp"].smallest(), bundled["architecture"]["stylegan2"].smallest()]
    smallest, spec = bundled["architecture"]["infogan_net"].smallest()
    company.append((replace(smallest, d_kind="autoencoder"), spec))
    plain = bundled["loss"]["non_saturating"]()
    found = {name: (*cls.smallest(), plain, ()) for name, cls in bundled["architecture"].items()}
    others = [(name, cls(), ()) for name, cls in bundled["loss"].items()]
    others += [(name, plain, (cls(),)) for name, cls in bundled["regularizer"].items()]
    for name, loss, regularizers in others:
        goes = [(a, data) for a, data in company if incompatibility(cell(a, data, loss, regularizers)) is None]
        found[name] = (*goes[0], loss, regularizers)
    return found


def cell(architecture, data, loss, regularizers) -> Cell:
    return Cell(
        data=data,
        generator=architecture,
        discriminator=architecture,
        latent=architecture.latent(data),
        batch_coupling=trait(architecture, "batch_coupling"),
        companions=tuple(companions(architecture, data)),
        loss=loss,
        regularizers=regularizers,
        constraints=(),
        augmentations=(),
        pac=1,
        schedule=("D", "G"),
        batch_size=4,
        offers=offered(architecture, architecture),
    )


@pytest.mark.slow
def test_everything_bundled_compiles_and_plays_as_eager_evaluation_does(pair):
    combinations, failed = zoo(), {}
    for name, (architecture, data, loss, regularizers) in combinations.items():
        pixels = torch.randint(0, 256, (8, *data.shape), generator=torch.Generator().manual_seed(0))
        points = isinstance(data, PointSpec)
        images = Images(
            pixels.float() if points else pixels.byte(), torch.arange(8) % data.classes if data.classes else None
        )
        others = {"architecture": architecture, "data": data, "train": images, "test": images, "batch_size": 4}
        plain, other, compiled = pair(loss, regularizers=regularizers, backend="aot_eager", **others)
        play(plain, other, rounds=3)
        failed |= {f"{name}: {phase}": reason for phase, reason in compiled.fallbacks.items()}
        try:
            assert_same(plain, other, 1e-5)
        except AssertionError as error:
            failed[name] = str(error)
    assert len(combinations) > 30
    assert failed == {}
