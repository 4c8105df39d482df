"""Each class below breaks one clause of the contract; the message must name what is broken."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from ganbench import Critique, ImageSpec, Latent, PointSpec, Sample
from ganbench.catalog import load_catalog
from ganbench.errors import GanbenchError
from ganbench.testing import ComponentFault, check_component
from ganbench.testing.rehearsal import Stage, Understudy
from ganbench_zoo.architectures.mlp import Mlp

NEEDS_FILES = {
    *("mnist", "fashion_mnist", "image_folder", "array_file"),  # checked in test_check_samples, on files made for that
    *("kmnist", "emnist", "svhn", "cifar10", "cifar100", "stl10", "celeba", "lsun", "stacked_mnist"),  # in tests/zoo
}
SUITED = {"latent_optimisation": Mlp()}  # the stage that plays by default has codes


@cache
def bundled():
    return load_catalog().entries


@pytest.mark.parametrize("kind", sorted({kind for kind, _ in bundled()}))
def test_every_bundled_component_passes(kind):
    checked = [entry.component for (of, name), entry in bundled().items() if of == kind and name not in NEEDS_FILES]
    assert checked
    for component in checked:
        check_component(component, architecture=SUITED.get(component.name))


def test_what_the_checks_themselves_play_with_passes():
    check_component(Stage)
    check_component(Understudy)


TOYS = ["Tiny", "BatchCoupled", "Scalars", "Logistic", "Autoencoding", "TopK", "LatentStep", "SlopePenalty"]
TOYS += ["Counting", "Box", "Lookahead", "Brightness", "Extragradient", "PlainSgd", "PlainAdam"]


@pytest.mark.parametrize("name", TOYS)
def test_a_toy_for_every_part_of_the_contract_passes(toys, name):
    check_component(getattr(toys, name))


def test_an_instance_is_checked_as_it_stands(toys):
    check_component(toys.Tiny(norm=True, spectral=True), data=ImageSpec((3, 5, 7), classes=2))
    with pytest.raises(ComponentFault, match="update 1000 returned nan"):
        check_component(toys.Exploding(at=5))


def test_the_random_state_is_left_as_it_was():
    before = torch.get_rng_state()
    check_component(Understudy)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_fault_is_an_error_that_the_command_line_knows():
    assert issubclass(ComponentFault, GanbenchError)


# Descriptions


class Described:
    name: ClassVar[str] = "described"
    paper: ClassVar[str] = "none"

    def discriminator(self, game: Any) -> Any:
        return (game.fake_logits - game.real_logits).mean()


class Plain(Described):
    pass


@dataclass
class Thawed(Described):
    pass


@dataclass(frozen=True)
class Unhashable(Described):
    values: Any = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", [])


@dataclass(frozen=True)
class NotJson(Described):
    value: Any = frozenset()


@dataclass(frozen=True)
class Changing(Described):
    calls: int = 0

    def discriminator(self, game: Any) -> Any:
        object.__setattr__(self, "calls", self.calls + 1)
        return super().discriminator(game)


@dataclass(frozen=True)
class UnknownKey(Described):
    recipe: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-4}


@dataclass(frozen=True)
class BadValue(Described):
    recipe: ClassVar[Mapping[str, Any]] = {"schedule": ("D", "E")}


@dataclass(frozen=True)
class Nothing:
    name: ClassVar[str] = "nothing"
    paper: ClassVar[str] = "none"


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Plain, "Plain is not a dataclass"),
        (Thawed, "Thawed is a dataclass, but not frozen"),
        (Unhashable, "hash\\(\\) raised TypeError"),
        (NotJson, "JSON form of its fields raised TypeError"),
        (Changing, "changed its own fields"),
        (UnknownKey, "recipe key learning_rate.*known: batch_size"),
        (BadValue, "recipe key schedule"),
        (Nothing, "Nothing is a component of no kind"),
    ],
)
def test_a_component_that_is_no_value_is_refused(component, message):
    with pytest.raises(ComponentFault, match=message):
        check_component(component)


def test_a_named_kind_says_what_is_lacking():
    with pytest.raises(ComponentFault, match=r"metric Nothing lacks compute\(\)"):
        check_component(Nothing, kind="metric")
    with pytest.raises(ComponentFault, match="unknown kind 'metrik'"):
        check_component(Nothing, kind="metrik")


# Losses, regularizers, augmentations


def loss(body, **attributes):
    """Return a loss class whose discriminator is ``body(game)``."""
    namespace = {"discriminator": lambda self, game: body(game), "name": "faulty", "paper": "none", **attributes}
    return dataclass(frozen=True)(type("Faulty", (), namespace))


def gap(game):
    return (game.fake_logits - game.real_logits).mean()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda game: game.fake_logits - game.real_logits, r"returned shape \(8,\); wants a scalar"),
        (lambda game: 1.0, "returned float; wants a scalar tensor"),
        (lambda game: gap(game) * torch.nan, "returned nan"),
        (lambda game: gap(game).detach(), "without gradient"),
        (lambda game: gap(game) * 0, "no gradient: it would never move"),
        (
            lambda game: (game.real_logits - game.real_logits.detach()).abs().sqrt().mean(),
            "gradient that is not finite",
        ),
        (lambda game: game.nothing, "raised AttributeError"),
        (lambda game: gap(game) * float(torch.rand((), generator=UNSEEDED)), "two results for one seed"),
        (lambda game: gap(game) * gap(game).item(), "waits for the device at .*test_check_component.py:[0-9]+"),
        (lambda game: gap(game) * (1 + float(game.step)), "waits for the device"),
        (lambda game: gap(game) if game.progress < 2 else 0, "waits for the device"),
        (lambda game: gap(game) + game.real[game.real > 0].mean(), "waits for the device"),
        (lambda game: gap(game) + game.real.numpy().mean(), "cannot run without reading tensors"),
    ],
)
def test_a_faulty_loss_is_refused(body, message):
    with pytest.raises(ComponentFault, match=message):
        check_component(loss(body))


UNSEEDED = torch.Generator()


def test_a_loss_that_forgets_packing_is_told_how_to_say_so():
    def forgetful(game):
        return gap(game) + (game.fake_critique.codes[0][:, 0] * game.latents[:, 0]).mean()

    with pytest.raises(ComponentFault, match=r"with pac = 2 .*compatible"):
        check_component(loss(forgetful))
    check_component(loss(forgetful, compatible=lambda self, cell: "no packing" if cell.pac > 1 else None))


def test_a_loss_that_refuses_the_networks_asks_for_others(toys):
    choosy = loss(gap, compatible=lambda self, cell: None if cell.generator.name == "tiny" else "wants tiny")
    with pytest.raises(ComponentFault, match="refuses to be tried on stage: wants tiny; give architecture="):
        check_component(choosy)
    check_component(choosy, architecture=toys.Tiny())


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (lambda self, game, state: {"k": state["k"] / 0}, "'k' a value that is not finite"),
        (lambda self, game, state: {"k": state["k"].expand(2)}, "'k' another shape"),
        (lambda self, game, state: {"j": state["k"]}, "returned j, which state"),
        (lambda self, game, state: {"k": state["k"].add_(1)}, "changed its state 'k' in place"),
    ],
)
def test_a_faulty_state_is_refused(update, message):
    with pytest.raises(ComponentFault, match=message):
        check_component(loss(gap, state=lambda self: {"k": torch.zeros(())}, update=update))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"phases": frozenset({"critic"})}, "phases is .*possible: discriminator, generator"),
        ({"phases": frozenset()}, "never acts"),
        ({"differentiates": frozenset({"fakes"})}, "differentiates is .*possible: real, fake, latents"),
        ({"every": 0}, "every is 0"),
        ({"per_sample": "yes"}, "per_sample is 'yes'"),
        ({"penalty": lambda self, game: game.slope(game.real_logits, game.real).mean()}, "declare it in"),
    ],
)
def test_a_faulty_regularizer_is_refused(attributes, message):
    namespace = {"penalty": lambda self, game: game.real_logits.mean(), "name": "faulty", "paper": "none", **attributes}
    with pytest.raises(ComponentFault, match=message):
        check_component(dataclass(frozen=True)(type("Faulty", (), namespace)), kind="regularizer")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images[:, :, 1:], "of images of shape"),
        (lambda images: images.round().detach(), "not differentiable"),
        (lambda images: images.double(), "made torch.float64"),
        (lambda images: images.abs().sqrt() * 0 + (images * 0).sqrt(), "not finite"),
        (lambda images: images if images.mean() > 5 else -images, "waits for the device"),
    ],
)
def test_a_faulty_augmentation_is_refused(change, message):
    namespace = {"__call__": lambda self, images, game: change(images), "name": "faulty", "paper": "none"}
    with pytest.raises(ComponentFault, match=message):
        check_component(dataclass(frozen=True)(type("Faulty", (), namespace)))


# Architectures


class G(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 16)

    def forward(self, z, labels=None):
        return self.layer(z).tanh().view(len(z), 1, 4, 4)


class D(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(16 * channels, 1)

    def forward(self, x, labels=None):
        return self.layer(x.flatten(1))[:, 0]


def network(base, body):
    """Return a network class with the weights of ``base`` whose forward is ``body(self, x, labels)``."""
    return type("Faulty", (base,), {"forward": lambda self, x, labels=None: body(self, x, labels)})


def architecture(generator=G, discriminator=D, **attributes):
    namespace = {
        "name": "faulty",
        "paper": "none",
        "latent": lambda self, data: Latent(3),
        "generator": lambda self, data: generator(),
        "discriminator": lambda self, data: discriminator(data.shape[0]),
        "smallest": classmethod(lambda cls: (cls(), ImageSpec((1, 4, 4)))),
        **attributes,
    }
    return dataclass(frozen=True)(type("Faulty", (), namespace))


def test_the_plain_architecture_passes():
    check_component(architecture())


def unused(base):
    return type(
        "Faulty", (base,), {"extra": property(lambda self: None), "__init__": lambda self, *a: _unused(self, base, a)}
    )


def _unused(self, base, arguments):
    base.__init__(self, *arguments)
    self.never = nn.Linear(2, 2)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda self, z, labels: self.layer(z) * 20, "gave shape .*wants"),
        (lambda self, z, labels: G.forward(self, z) * 20, r"images in \[-.*wants \[-1, 1\]"),
        (lambda self, z, labels: G.forward(self, z).double(), "gave torch.float64; wants float32"),
        (lambda self, z, labels: G.forward(self, z) * torch.nan, "not finite"),
        (lambda self, z, labels: G.forward(self, z - z.mean(0)), "depend on the others in their batch"),
        (lambda self, z, labels: G.forward(self, z).detach(), "no gradient reaches layer.weight"),
        (lambda self, z, labels: G.forward(self, z) * torch.rand((), generator=UNSEEDED), "two results for one seed"),
        (lambda self, z, labels: G.forward(self, z) if z.norm() > 0 else z, "waits for the device"),
        (lambda self, z, labels: "image", "the generator, training, gave str"),
    ],
)
def test_a_faulty_generator_is_refused(body, message):
    with pytest.raises(ComponentFault, match=message):
        check_component(architecture(generator=network(G, body)))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda self, x, labels: self.layer(x.flatten(1)), r"logits of shape \(8, 1\); wants \(8,\)"),
        (lambda self, x, labels: D.forward(self, x) / 0, "not finite"),
        (lambda self, x, labels: D.forward(self, x - x.mean(0)), "declare batch_coupling"),
        (lambda self, x, labels: D.forward(self, x) + x.detach().std(0).mean(), "declare batch_coupling"),
        (
            lambda self, x, labels: D.forward(self, x.detach()),
            "no gradient reaches layer.weight, layer.bias of the generator",
        ),
        (lambda self, x, labels: D.forward(self, x) * int(self.layer.weight.sum() < 100), "waits for the device"),
    ],
)
def test_a_faulty_discriminator_is_refused(body, message):
    with pytest.raises(ComponentFault, match=message):
        check_component(architecture(discriminator=network(D, body)))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"generator": unused(G)}, "no gradient reaches never.weight, never.bias of the generator"),
        ({"discriminator": unused(D)}, "no gradient reaches never.weight, never.bias of the discriminator"),
        ({"batch_coupling": "statistic"}, "does not depend on the others; declare 'none'"),
        ({"batch_coupling": "batch"}, "batch_coupling is 'batch'; possible"),
        ({"compatible": lambda self, cell: "too small"}, "refuses ImageSpec.*: too small"),
        ({"latent": lambda self, data: 3}, "gave int; wants a Latent"),
        ({"companions": lambda self, data: {"encoder": nn.Linear(1, 1)}}, "'encoder' is no Companion"),
        ({"smallest": classmethod(lambda cls: 1 / 0)}, r"smallest\(\) raised ZeroDivisionError"),
    ],
)
def test_a_faulty_architecture_is_refused(attributes, message):
    with pytest.raises(ComponentFault, match=message):
        check_component(architecture(**attributes))


def test_weights_that_do_not_follow_the_seed_are_refused():
    def build(self, data):
        module = G()
        nn.init.normal_(module.layer.weight, generator=UNSEEDED)
        return module

    namespace = architecture()
    namespace.generator = build
    with pytest.raises(ComponentFault, match="two networks from one seed"):
        check_component(namespace)


def test_a_coupling_behind_a_layer_of_zeros_is_found():
    class Hidden(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.body, self.last = nn.Sequential(nn.Linear(16 * channels, 4), nn.BatchNorm1d(4)), nn.Linear(4, 1)
            nn.init.zeros_(self.last.weight)

        def forward(self, x, labels=None):
            return self.last(self.body(x.flatten(1)))[:, 0]

    with pytest.raises(ComponentFault, match="declare batch_coupling"):
        check_component(architecture(discriminator=Hidden))
    check_component(architecture(discriminator=Hidden, batch_coupling="normalisation"))


def test_points_may_lie_anywhere_and_need_no_labels():
    class Far(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, z, labels=None):
            return Sample(100 * self.layer(z), style=self.layer(z))

    class Near(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.layer = nn.Linear(size, 1)

        def forward(self, x, labels=None):
            return Critique(self.layer(x)[:, 0], features=(x,))

    given = frozenset({"style", "features"})
    check_component(architecture(Far, Near, offers=given), data=PointSpec((2,)))
    for offers, message in (
        (frozenset({"style"}), "the networks give features; name it in offers"),
        (given | {"embedding"}, "offers names embedding, which the networks do not give"),
        (frozenset({"logits"}), "offers is frozenset.*possible: class_logits, codes"),
        ("style", "offers is 'style'; possible"),
    ):
        with pytest.raises(ComponentFault, match=message):
            check_component(architecture(Far, Near, offers=offers), data=PointSpec((2,)))


# What changes weights


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda params: params[0].data.__setitem__(slice(None), torch.inf), "not finite"),
        (lambda params: setattr(params[0], "kept", params[0].set_(torch.zeros(2)) is None), "replaced a weight"),
        (lambda params: [p.clamp(-1, 1) for p in params], "returned list; change the weights in place"),
        (lambda params: setattr(params[0], "kept", params[0].div_(params[0].norm().item())), "waits for the device"),
        (lambda params: params[0].normal_(generator=UNSEEDED) is None, "returned bool"),
        (lambda params: setattr(params[0], "kept", params[0].normal_(generator=UNSEEDED)), "two results"),
    ],
)
def test_a_faulty_constraint_is_refused(body, message):
    namespace = {
        "__call__": lambda self, params, state: body(params),
        "after": "generator",
        "name": "faulty",
        "paper": "x",
    }
    with pytest.raises(ComponentFault, match=message):
        check_component(dataclass(frozen=True)(type("Faulty", (), namespace)))


class Uphill(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.add_(p.grad, alpha=group["lr"])


class Forgetful(torch.optim.SGD):
    def step(self, closure=None):
        self.steps = getattr(self, "steps", 0) + 1
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(p.grad, alpha=group["lr"] / self.steps)


@pytest.mark.parametrize(
    ("build", "attributes", "message"),
    [
        (Uphill, {}, "wants less"),
        (Forgetful, {}, "its state is not all there"),
        (torch.optim.SGD, {"evaluations": 2}, r"gave no extrapolate\(\)"),
        (torch.optim.SGD, {"evaluations": 3}, "evaluations is 3"),
        (lambda params, lr: "sgd", {}, r"build\(\) gave no torch.optim.Optimizer"),
    ],
)
def test_a_faulty_optimizer_is_refused(build, attributes, message):
    namespace = {
        "__annotations__": {"lr": float},
        "lr": 0.01,
        "build": lambda self, params: build(params, lr=self.lr),
        "name": "faulty",
        "paper": "none",
        **attributes,
    }
    with pytest.raises(ComponentFault, match=message):
        check_component(dataclass(frozen=True)(type("Faulty", (), namespace)))


# What is said to be separable


@dataclass(frozen=True)
class MeanSlope:
    per_batch: bool = False

    name: ClassVar[str] = "mean_slope"
    paper: ClassVar[str] = "none"
    differentiates: ClassVar[frozenset[str]] = frozenset({"real"})
    separable: ClassVar[Any] = True

    def penalty(self, game: Any) -> Any:
        slopes = game.slope(game.real_logits, game.real).square().sum(1)
        return slopes.max() if self.per_batch else slopes.mean()


@dataclass(frozen=True)
class Unsure(MeanSlope):
    separable: ClassVar[Any] = "yes"


def test_a_mean_over_samples_may_say_that_it_is_separable():
    check_component(MeanSlope())


def test_what_looks_at_the_whole_batch_may_not_say_that_it_is_separable():
    with pytest.raises(ComponentFault, match="in parts the discriminator's phase has another gradient"):
        check_component(MeanSlope(per_batch=True))


def test_separable_is_yes_or_no():
    with pytest.raises(ComponentFault, match="separable is 'yes'; possible: True, False"):
        check_component(Unsure())
