"""A phase in parts gives the gradient of the whole batch, and what cannot be cut is refused with the reason."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import weakref
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import ganbench_zoo.architectures
from ganbench.errors import CannotBeCut
from ganbench.training.compiled import Compiled
from ganbench.training.engine import Engine
from ganbench.training.parts import cannot_be_cut, in_parts
from ganbench.training.phase import Evaluation, Task, whole
from ganbench.training.seam import Seams
from ganbench.values import Images, ImageSpec, Sample
from ganbench_zoo.architectures import dcgan
from ganbench_zoo.losses import (
    began,
    ebgan,
    f_gan,
    fisher,
    hinge,
    least_squares,
    minimax,
    mmd,
    non_saturating,
    ragan,
    rpgan,
    wasserstein,
)
from ganbench_zoo.regularizers import (
    consensus,
    consistency,
    dragan,
    drift,
    feature_matching,
    latent_optimisation,
    lecam,
    max_gp,
    orthogonal,
    path_length,
    r1,
    r2,
    top_k,
    wgan_gp,
    wgan_lp,
    zero_centered_gp,
)

CPU = torch.device("cpu")
ARCHITECTURES = [
    architecture
    for module in pkgutil.iter_modules(ganbench_zoo.architectures.__path__)
    for architecture in importlib.import_module(f"ganbench_zoo.architectures.{module.name}").architectures()
]
PHASES = ("discriminator", "generator")

LOSSES = [
    began.Began(), ebgan.Ebgan(), f_gan.FGan(), fisher.Fisher(), hinge.Hinge(), least_squares.LeastSquares(),
    minimax.Minimax(), mmd.Mmd(penalty=0.0), non_saturating.NonSaturating(), ragan.RaGan(), rpgan.RpGan(),
    wasserstein.Wasserstein(),
]  # fmt: skip
REGULARIZERS = [
    consistency.Consistency(real=1.0, fake=1.0, latent_d=1.0, latent_g=1.0, shift=1), drift.Drift(),
    feature_matching.FeatureMatching(), lecam.LeCam(), orthogonal.Orthogonal(player="both"), r1.R1(every=2),
    r2.R2(), top_k.TopK(anneal=0.0), wgan_gp.WganGp(), wgan_lp.WganLp(), zero_centered_gp.ZeroCenteredGp(),
]  # fmt: skip
REFUSED = [
    (consensus.Consensus(), "consensus differentiates by both players' weights"),
    (latent_optimisation.LatentOptimisation(), "latent_optimisation differentiates by both players' weights"),
    (max_gp.MaxGp(), "max_gp asks the discriminator about the whole batch once more"),
    (dragan.Dragan(), "dragan asks the discriminator about the whole batch once more"),
    (path_length.PathLength(every=1), "path_length differentiates what the networks compute of the whole batch"),
]


def named(component: Any) -> str:
    return component.name


def doubled(engine: Engine) -> Engine:
    """Let the networks and the states of ``engine`` compute in float64."""
    networks = engine.players.networks
    for module in (networks.generator, networks.discriminator, *(c.module for c in networks.companions.values())):
        if module is not None:
            module.double()
    for _, tensors in engine.players.states:
        for name, tensor in tensors.items():
            tensors[name] = tensor.double() if tensor.is_floating_point() else tensor
    return engine


def evaluation(engine: Engine, player: str, differentiate: Any) -> tuple[Evaluation, list[Tensor | None]]:
    """Return what ``differentiate`` finds in the player's phase, and the gradients that it leaves."""
    found: list[Evaluation] = []

    def evaluate(task: Task) -> Evaluation:
        draws = task.draws
        wide = type(draws)(lambda: double(draws.real()), lambda: double(draws.latents()))
        found.append(differentiate(Task(**{**task.__dict__, "draws": wide})))
        return found[0]

    engine.differentiate = evaluate
    engine.gradient(player)
    return found[0], [p.grad for p in engine.sides[player].params]


def double(drawn: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    return drawn[0].double(), drawn[1]


def given(gradients: list[Tensor | None]) -> list[Tensor]:
    return [gradient for gradient in gradients if gradient is not None]


def assert_same(make: Any, parts: int, phases: tuple[str, ...] = PHASES) -> None:
    for player in phases:
        (plain, wanted), (cut, found) = (
            evaluation(doubled(make()), player, how) for how in (whole, partial(in_parts, parts=parts))
        )
        assert [gradient is None for gradient in found] == [gradient is None for gradient in wanted]
        torch.testing.assert_close(given(found), given(wanted), rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(cut.value, plain.value.detach(), rtol=1e-6, atol=1e-7)  # slopes are float32
        assert cut.logs.keys() == plain.logs.keys()
        for name, value in plain.logs.items():
            torch.testing.assert_close(cut.logs[name], value, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(dict(cut.states), dict(plain.states), rtol=1e-12, atol=1e-13)
        assert any(gradient is not None and gradient.any() for gradient in wanted)


@pytest.fixture
def make(make_setup, toys):
    """Return a maker of engines around the toy networks, which have every output that a component may read."""

    def make(loss: Any = None, **others: Any) -> Engine:
        return Engine(make_setup(loss, **{"architecture": toys.Tiny(), **others}), CPU)

    return make


@pytest.mark.parametrize("loss", LOSSES, ids=named)
def test_every_loss_of_the_zoo_is_the_same_in_parts(make, loss):
    assert_same(lambda: make(loss), 4)


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=named)
def test_regularizers_of_the_zoo_are_the_same_in_parts(make, regularizer):
    assert_same(lambda: make(ragan.RaGan(), regularizers=(regularizer,)), 2)


def refusal(engine: Engine, parts: int = 2) -> str:
    """Return why the batch of ``engine`` cannot be cut."""
    engine.differentiate = partial(in_parts, parts=parts)
    with pytest.raises(CannotBeCut) as refused:
        list(map(engine.gradient, engine.sides))
    return str(refused.value)


@pytest.mark.parametrize(("regularizer", "reason"), REFUSED, ids=lambda x: getattr(x, "name", ""))
def test_what_looks_at_the_whole_batch_is_refused(make, regularizer, reason):
    assert reason in refusal(make(regularizers=(regularizer,)))


def test_a_loss_that_asks_for_more_than_critiques_is_refused(make, toys):
    assert refusal(make(mmd.Mmd())) == "mmd asks the discriminator about the whole batch once more"
    assert "runs the companion encoder on the whole batch" in refusal(make(toys.Autoencoding()))


@dataclass(frozen=True)
class Sly:
    """Differentiates by weights without saying so, and takes what it does not find for zero."""

    name: ClassVar[str] = "sly"

    def penalty(self, game: Any) -> Tensor:
        by = torch.autograd.grad(game.fake_logits.sum(), game.weights("discriminator"), materialize_grads=True)
        return torch.stack([g.square().sum() for g in by]).sum()


def test_a_gradient_that_would_be_taken_for_zero_is_refused(make):
    assert refusal(make(regularizers=(Sly(),))) == "sly differentiates what the networks compute of the whole batch"


def test_a_separable_loss_is_evaluated_part_by_part(make, toys):
    class Plain(toys.Autoencoding):
        separable = True

    assert_same(lambda: make(Plain()), 4, ("generator",))


def test_two_regularizers_that_draw_get_the_numbers_of_the_whole_batch(make):
    pair = (wgan_gp.WganGp(), lecam.LeCam(), consistency.Consistency(fake=1.0, shift=1))
    assert_same(lambda: make(regularizers=pair), 4)


@pytest.mark.parametrize("loss", [began.Began(), ragan.RaGan()], ids=named)
def test_augmented_and_packed_samples_get_the_numbers_of_the_whole_batch(make, toys, loss):
    class Bright(toys.Brightness):
        separable = True

    assert_same(lambda: make(loss, augmentations=(Bright(), Bright())), 4)
    assert_same(lambda: make(augmentations=(Bright(),), regularizers=(wgan_gp.WganGp(),), pac=2), 2)
    assert_same(lambda: make(loss, augmentations=(Bright(),), regularizers=(r2.R2(), orthogonal.Orthogonal())), 2)


@dataclass(frozen=True)
class Late:
    """Lets the generator's phase draw for the real samples first here, then draws on."""

    name: ClassVar[str] = "late"
    phases: ClassVar[frozenset[str]] = frozenset({"generator"})
    separable: ClassVar[bool] = True

    def penalty(self, game: Any) -> Tensor:
        distances = (game.real - game.fake).flatten(1).square().mean(dim=1)
        return (distances * game.uniform(len(distances))).mean()


def test_what_is_first_read_of_a_part_draws_as_the_whole_batch_would(make, toys, monkeypatch):
    monkeypatch.setattr(toys.Brightness, "separable", True, raising=False)
    bright = {"loss": hinge.Hinge(), "augmentations": (toys.Brightness(),)}
    assert_same(lambda: make(regularizers=(Late(), Late()), **bright), 4)
    after = make(regularizers=(Late(), feature_matching.FeatureMatching()), **bright)
    assert refusal(after) == "feature_matching draws random numbers after one that is evaluated on parts"


def test_an_augmentation_that_says_nothing_is_refused(make, toys):
    assert "brightness does not say that it is separable" in refusal(make(augmentations=(toys.Brightness(),)))


def test_latents_are_moved_part_by_part(make, toys):
    class Step(toys.LatentStep):
        separable = True

    @dataclass(frozen=True)
    class Pull:
        name: ClassVar[str] = "pull"
        phases: ClassVar[frozenset[str]] = frozenset(PHASES)

        def penalty(self, game: Any) -> Tensor:
            return game.latents.square().mean()

    assert_same(lambda: make(regularizers=(Step(),)), 4)
    assert_same(lambda: make(regularizers=(Step(), Pull())), 4)
    assert "latent_step differentiates on the whole batch" in refusal(make(regularizers=(toys.LatentStep(),)))


def test_a_generator_with_batch_norm_sees_the_whole_batch(make, toys):
    for others in ({}, {"regularizers": (orthogonal.Orthogonal(), r1.R1())}):
        engines = [doubled(make(ebgan.Ebgan(), architecture=toys.Tiny(norm=True), **others)) for _ in range(2)]
        for player in PHASES:
            found = [
                evaluation(engine, player, how)[1]
                for engine, how in zip(engines, (whole, partial(in_parts, parts=4)), strict=True)
            ]
            torch.testing.assert_close(given(found[1]), given(found[0]), rtol=1e-12, atol=1e-13)
        norms = [engine.players.networks.generator.body[1] for engine in engines]
        torch.testing.assert_close(norms[1].running_var, norms[0].running_var, rtol=1e-12, atol=0)
        assert norms[0].num_batches_tracked == norms[1].num_batches_tracked == 2
    spread = make(architecture=toys.Tiny(norm=True), regularizers=(consistency.Consistency(latent_g=1.0, shift=1),))
    assert "consistency runs the generator, which couples the batch" in refusal(spread)


class Noisy(nn.Module):
    """A generator that draws noise of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 16)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Sample:
        style = self.linear(z)
        return Sample((style + torch.randn_like(style)).view(-1, 1, 4, 4).tanh(), style)


def test_a_generator_that_draws_sees_the_whole_batch(make, toys):
    class Architecture(toys.Tiny):
        def generator(self, data: ImageSpec) -> nn.Module:
            return Noisy()

    assert_same(lambda: make(ragan.RaGan(), architecture=Architecture(), regularizers=(r1.R1(),)), 4)


def test_a_discriminator_that_couples_or_draws_is_refused(make, toys):
    class Dropping(toys.Tiny):
        def discriminator(self, data: ImageSpec) -> nn.Module:
            critic = super().discriminator(data)
            critic.body.append(nn.Dropout())
            return critic

    class Comparing(toys.Tiny):
        batch_coupling = "statistic"

    assert "the discriminator draws random numbers" in refusal(make(architecture=Dropping()))
    assert "BatchNorm in the discriminator" in refusal(make(architecture=toys.BatchCoupled()))
    assert "compares the samples of a batch" in refusal(make(architecture=Comparing()))


def test_parts_have_to_be_whole_packs(make):
    assert refusal(make(), 3) == "a batch of 16 has no 3 equal parts of whole samples"
    assert refusal(make(pac=4), 8) == "a batch of 16 has no 8 equal parts of whole packs of 4"
    assert cannot_be_cut(make(pac=4).players, (), 4, 16) is None


def test_spectral_norm_takes_its_one_step_for_all_parts(make, toys):
    assert_same(lambda: make(ragan.RaGan(), architecture=toys.Tiny(spectral=True), regularizers=(r1.R1(),)), 4)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=named)
def test_architectures_of_the_zoo_are_the_same_in_parts(make, architecture):
    component, data = architecture.smallest()
    generator = torch.Generator().manual_seed(0)
    samples = torch.randint(0, 256, (8, *data.shape), generator=generator).byte()
    images = Images(samples if len(data.shape) == 3 else samples.float() / 255, torch.arange(8) % 3)
    few = {"data": data, "train": images, "test": images, "batch_size": 4}

    def engine() -> Engine:
        return make(ragan.RaGan(), architecture=component, regularizers=(r1.R1(),), **few)

    if engine().players.networks.batch_coupling == "none":
        assert_same(engine, 2)
    else:
        assert "samples of a batch" in refusal(engine())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_twenty_rounds_in_parts_stay_with_the_plain_ones(make_setup, toys, precision):
    engines = []
    for parts in (1, 4):
        regularizers = (wgan_gp.WganGp(), lecam.LeCam(), consistency.Consistency(shift=1))
        setup = make_setup(ragan.RaGan(), regularizers=regularizers, precision=precision, architecture=toys.Tiny())
        engine = Engine(setup, CPU)
        if parts > 1:
            engine.differentiate = partial(in_parts, parts=parts)
        for _ in range(20):
            engine.play_round(0.0)
        engines.append(engine)
    z = torch.randn(64, 4)
    with torch.no_grad():
        plain, cut = (engine.players.networks.generator(z).images for engine in engines)
    assert float((plain - cut).abs().max()) < (1e-4 if precision == "float32" else 2e-2)
    assert engines[1].meter.read().keys() == engines[0].meter.read().keys()


def test_nothing_of_a_phase_stays(make, monkeypatch):
    seams = []
    build = Seams.__init__

    def built(found: Seams, upstream: Any) -> None:
        build(found, upstream)
        seams.append(weakref.ref(found))

    monkeypatch.setattr(Seams, "__init__", built)
    engine = make(ragan.RaGan())
    engine.differentiate = partial(in_parts, parts=2)
    engine.play_round(0.0)
    generator = weakref.ref(engine.players.networks.generator)
    gc.collect()
    assert [found() for found in seams] == [None, None]
    del engine
    gc.collect()
    assert generator() is None


@pytest.mark.parametrize(
    "how", [whole, partial(in_parts, parts=2), Compiled("aot_eager")], ids=["whole", "parts", "compiled"]
)
def test_gradients_lie_in_memory_as_their_parameters_do(make_setup, how):
    terms = (orthogonal.Orthogonal(player="both"), r1.R1())
    pixels = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
    data = {"data": ImageSpec((3, 16, 16)), "train": Images(pixels), "test": Images(pixels)}
    architecture = dcgan.Dcgan(width=4, d_norm="none", latent_size=4)
    engine = Engine(make_setup(architecture=architecture, regularizers=terms, **data), CPU)
    engine.differentiate = how
    for player in PHASES:
        engine.gradient(player)
        params = engine.sides[player].params
        assert any(p.dim() == 4 and not p.is_contiguous() for p in params)
        assert all(p.grad is None or p.grad.stride() == p.stride() for p in params)


def kept_bytes(engine: Engine, player: str) -> int:
    """Return the largest number of bytes that autograd keeps at a time in the player's phase."""
    now = peak = 0

    class Kept:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal now, peak
            self.tensor = tensor.detach()  # an output that held its own graph would never be freed
            now += tensor.nbytes
            peak = max(peak, now)

        def __del__(self) -> None:
            nonlocal now
            now -= self.tensor.nbytes

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        engine.gradient(player)
    return peak


def test_what_is_kept_for_the_backward_pass_shrinks_with_the_parts(make_setup, toys):
    class Deep(toys.Tiny):
        def generator(self, data: ImageSpec) -> nn.Module:
            network = super().generator(data)
            network.body.extend(nn.Softplus() for _ in range(20))
            return network

        def discriminator(self, data: ImageSpec) -> nn.Module:
            network = super().discriminator(data)
            network.body.extend(nn.Softplus() for _ in range(20))
            return network

    def peak(player: str, parts: int) -> int:
        setup = make_setup(ragan.RaGan(), batch_size=96, regularizers=(wgan_gp.WganGp(),), architecture=Deep())
        engine = Engine(setup, CPU)
        if parts > 1:
            engine.differentiate = partial(in_parts, parts=parts)
        return kept_bytes(engine, player)

    for player in PHASES:
        at_once = peak(player, 1)
        assert peak(player, 2) < 0.6 * at_once
        assert peak(player, 8) < 0.2 * at_once
