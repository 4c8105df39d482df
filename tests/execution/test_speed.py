"""What `ganbench bench` measures: operations counted by hand, memory, ceilings, and combinations that take turns."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ganbench.catalog import load_catalog
from ganbench.errors import SuiteError
from ganbench.execution import ceiling as ceilings
from ganbench.execution import race as races
from ganbench.execution import timing
from ganbench.execution.ceiling import Ceiling, Convolution
from ganbench.execution.footprint import Footprint
from ganbench.execution.race import Ask, entrants, race
from ganbench.execution.speed import Pace, count_flop, rounds_of_a_turn
from ganbench.execution.synthetic import MadeUp, parse_shape, term, with_made_up
from ganbench.execution.timing import Spread, enough, timed
from ganbench.memory import keep_large_blocks
from ganbench.suite.assemble import Assembly
from ganbench.suite.recipe import Budget, Recipe
from ganbench.suite.source import Flags, read_request
from ganbench.training.kernels import Kernels
from ganbench.training.setup import Setup
from ganbench.values import ImageSpec, PointSpec

CPU = torch.device("cpu")
TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
N = 8  # a batch
GENERATOR = 4 * 16 + 16 * 16  # weights of the toy's generator: 4 latents, 16 hidden, 16 pixels
BODY, HEADS = 16 * 16, 16 + 16 + 16 * 16  # of its discriminator: to 16 hidden; logit, code and reconstruction


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch, tmp_path):
    monkeypatch.setattr(timing, "BATCH_SECONDS", 0.0)
    monkeypatch.setattr(ceilings, "SIZES", ((4, 8), (8, 4)))
    monkeypatch.setattr(ceilings, "SEARCH_SECONDS", 0.0)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path))


def setup(toys, loss, regularizers=(), **recipe) -> Setup:
    data = MadeUp((1, 4, 4))
    images, tiny = data.load(Path(), "train"), toys.Tiny()
    parts = Assembly(
        generator=tiny,
        discriminator=tiny,
        loss=loss,
        regularizers=tuple(regularizers),
        constraints=(),
        augmentations=(),
        g_optimizer=toys.PlainSgd(),
        d_optimizer=toys.PlainSgd(),
        recipe=Recipe(batch_size=N, **recipe),
        budget=Budget(images=N),
    )
    keys = {"dataset": "made up", "generator": "tiny", "discriminator": "tiny"}
    return Setup(parts, data=data.spec(Path()), train=images, held_out=images, seed=0, keys=keys)


# Operations


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_and_its_gradients_come_to_three_times_as_many_products_as_it_has(groups, transposed):
    images = torch.randn(3, 4, 8, 8, requires_grad=True)
    if transposed:
        weights, places = torch.randn(4, 6 // groups, 2, 2, requires_grad=True), 8 * 8
    else:
        weights, places = torch.randn(6, 4 // groups, 2, 2, requires_grad=True), 4 * 4
    convolve = F.conv_transpose2d if transposed else F.conv2d
    forward = 2 * 3 * places * weights.numel()
    assert count_flop(lambda: convolve(images, weights, stride=2, groups=groups)) == forward
    assert count_flop(lambda: convolve(images, weights, stride=2, groups=groups).sum().backward()) == 3 * forward
    frozen = weights.detach()
    assert count_flop(lambda: convolve(images, frozen, stride=2, groups=groups).sum().backward()) == 2 * forward


def test_a_gradient_of_a_gradient_is_counted_in_a_module_too():
    layer = torch.nn.Linear(5, 7, bias=False)
    x, first = torch.randn(3, 5, requires_grad=True), 2 * 3 * 5 * 7

    def penalise() -> None:
        (slope,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()

    assert count_flop(penalise) == 6 * first  # y = xW; s = yW'; then by s: y and W; by y: x and W


def test_the_operations_of_a_round_are_those_counted_by_hand(toys):
    speed = measured(Pace(setup(toys, toys.Logistic()), CPU))
    d = GENERATOR + 2 * (BODY + HEADS) + 2 * (2 * 16 + BODY)  # real and fake; back by logit, its input, the body
    g = GENERATOR + BODY + HEADS + (16 + BODY) + (16 * 16 + GENERATOR)  # back through D; G's inner layer by its input
    assert speed.flop_per_round == 2 * N * (d + g)
    assert speed.images_per_round == N


def test_two_passes_count_as_one_and_more_moves_as_more(toys):
    once = measured(Pace(setup(toys, toys.Logistic()), CPU)).flop_per_round
    apart = measured(Pace(setup(toys, toys.Logistic()), CPU, Kernels(joint=False))).flop_per_round
    often = measured(Pace(setup(toys, toys.Logistic(), schedule=("D", "D", "D", "G")), CPU))
    d = 2 * N * (GENERATOR + 2 * (BODY + HEADS) + 2 * (2 * 16 + BODY))
    assert apart == once
    assert often.flop_per_round == once + 2 * d
    assert often.images_per_round == 3 * N


def test_a_lazy_regularizer_counts_with_the_share_of_rounds_in_which_it_is_due(toys):
    def flop(*regularizers):
        return measured(Pace(setup(toys, toys.Logistic(), regularizers), CPU)).flop_per_round

    never, always, lazily = flop(), flop(toys.SlopePenalty()), flop(toys.SlopePenalty(every=4))
    assert never < lazily < always
    assert lazily - never == (always - never) / 4


@pytest.mark.parametrize(
    ("every", "schedule", "rounds"),
    [(1, "DG", 1), (4, "DG", 4), (4, "DDG", 2), (6, "DDDDG", 3), (5, "DDDDDG", 1), (3, "DDG", 3)],
)
def test_a_turn_lasts_until_every_regularizer_was_due_equally_often(toys, every, schedule, rounds):
    parts = setup(toys, toys.Logistic(), [toys.SlopePenalty(every=every)], schedule=tuple(schedule)).parts
    assert rounds_of_a_turn(parts) == rounds


# Times


def measured(pace: Pace, repetitions: int = 1):
    for _ in range(repetitions):
        pace.repeat()
    return pace.speed()


def test_each_kind_of_move_and_the_whole_round_are_timed(toys):
    speed = measured(Pace(setup(toys, toys.Logistic(), schedule=("D", "D", "DG")), CPU), 3)
    assert list(speed.moves) == ["D", "DG"]
    assert speed.repetitions == 3
    assert 0 < speed.round.low <= speed.round.median <= speed.round.high
    assert speed.images_per_second == 3 * N / speed.round.median
    assert speed.seconds_of_first_round > 0


def test_a_player_without_a_loss_has_no_move(toys):
    speed = measured(Pace(setup(toys, toys.Autoencoding()), CPU))
    assert list(speed.moves) == ["G"]
    assert speed.images_per_round == N


def test_median_and_quartiles():
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


def test_a_batch_lasts_and_is_whole(monkeypatch):
    monkeypatch.setattr(timing, "BATCH_SECONDS", 0.1)
    assert [enough(seconds) for seconds in (1.0, 0.1, 0.03)] == [1, 1, 4]
    assert [enough(seconds, 16) for seconds in (1.0, 0.001)] == [16, 112]
    calls: list[int] = []
    assert timed(CPU, lambda: calls.append(1), 5) > 0
    assert len(calls) == 5


# The ceiling


def test_the_ceiling_is_that_of_the_convolutions_that_were_tried():
    found = Ceiling(CPU, "bf16", batch_size=2)
    found.repeat()
    described = found.as_json()
    assert (described["channels"], described["pixels"]) in ((4, 8), (8, 4))
    assert described["timings"] == 2
    low, high = described["quartiles"]
    assert 0 < low <= found.flop_per_second <= high


def test_the_ceiling_counts_as_networks_are_counted():
    shape = Convolution(batch_size=3, channels=4, pixels=8, channels_last=False)
    images, weights = torch.randn(3, 4, 8, 8, requires_grad=True), torch.randn(4, 4, 3, 3, requires_grad=True)
    assert shape.flop == count_flop(lambda: F.conv2d(images, weights, padding=1).sum().backward())


# Memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked to give pages back")
def test_memory_is_what_was_needed_beyond_before_whatever_was_freed_earlier():
    keep_large_blocks()
    mb = 1 << 20
    torch.ones(128 * mb, dtype=torch.uint8)  # freed, but kept by the allocator
    small = Footprint(CPU)
    torch.ones(48 * mb, dtype=torch.uint8)
    assert 47 * mb < small.read() < 64 * mb
    idle = Footprint(CPU)
    assert idle.read() < 8 * mb


# Made-up data


def test_made_up_samples_have_their_shape_and_are_the_same_each_time():
    made = MadeUp((3, 8, 8), classes=4)
    images = made.load(Path(), "train")
    assert made.spec(Path()) == ImageSpec((3, 8, 8), 4)
    assert images.pixels.dtype == torch.uint8
    assert images.pixels.shape[1:] == (3, 8, 8)
    assert set(images.labels.tolist()) == {0, 1, 2, 3}
    assert torch.equal(images.pixels, made.load(Path(), "train").pixels)
    assert not torch.equal(images.pixels, made.load(Path(), "test").pixels)
    points = MadeUp((2,))
    assert points.spec(Path()) == PointSpec((2,))
    assert points.load(Path(), "train").pixels.dtype == torch.float32
    assert len(MadeUp((3, 1024, 1024)).load(Path(), "test")) < 32


def test_shapes_are_read_and_others_refused():
    assert parse_shape("3x32x32") == (3, 32, 32)
    assert parse_shape("2") == (2,)
    for text in ("3x32", "32*32", "0x4x4", "", "3x32x32x2", "-1"):
        with pytest.raises(SuiteError, match="cannot read the shape"):
            parse_shape(text)


def test_made_up_data_stand_in_a_copy_of_the_catalog():
    catalog = load_catalog()
    assert ("dataset", "made_up") in with_made_up(catalog).entries
    assert ("dataset", "made_up") not in catalog.entries


# The race


def ask(tmp_path, losses: str, **choices):
    catalog = with_made_up(load_catalog([TOYS]))
    settings = ["recipe.batch_size=8", *choices.pop("settings", ())]
    flags = Flags(
        datasets=[term((1, 4, 4))],
        architectures=["tiny"],
        losses=[losses],
        settings=settings,
        seeds="1",
        name="bench",
    )
    request = read_request(None, flags, catalog)
    return Ask(request=request, device=CPU, data_root=tmp_path, plugins=(TOYS,), threads=1, **choices), catalog


def test_rows_stand_in_the_order_of_the_suite_each_in_every_precision(tmp_path):
    found = entrants(*ask(tmp_path, "logistic,stateful", precisions=("float32", "bf16")))
    assert [(one.labels["loss"], one.precision) for one in found] == [
        ("logistic", "float32"),
        ("logistic", "bf16"),
        ("stateful", "float32"),
        ("stateful", "bf16"),
    ]
    assert [one.setup.parts.recipe.precision for one in found] == ["float32", "bf16"] * 2


def test_combinations_take_turns(tmp_path, monkeypatch):
    order: list[str] = []

    class Seen(Pace):
        def repeat(self) -> None:
            order.append(self.setup.parts.loss.name)
            super().repeat()

    monkeypatch.setattr(races, "Pace", Seen)
    outcome = race(*ask(tmp_path, "logistic,stateful", repetitions=3))
    assert order == ["logistic", "stateful"] * 3
    assert [row.speed.repetitions for row in outcome.rows] == [3, 3]
    assert all(
        row.share == row.speed.flop_per_second / outcome.ceilings["float32"].flop_per_second > 0 for row in outcome.rows
    )


def test_what_cannot_be_run_has_its_reason_and_the_others_go_on(tmp_path):
    outcome = race(*ask(tmp_path, "raising,logistic,stateful", settings=["recipe.pac=2"], repetitions=1))
    raising, logistic, stateful = outcome.rows
    assert raising.reason == "this loss always raises"
    assert raising.speed is None
    assert logistic.reason is None
    assert logistic.speed.flop_per_round > 0
    assert stateful.reason == "a reconstruction of packed samples cannot be compared with single ones"


def test_tf32_is_no_precision_of_a_cpu(tmp_path):
    (row,) = race(*ask(tmp_path, "logistic", precisions=("tf32",))).rows
    assert row.reason == "TF32 products exist on CUDA only, not on cpu"


def test_a_combination_that_fails_while_its_kernels_are_looked_for_drops_out_alone(tmp_path, monkeypatch):
    def kernels(bench, run):
        if run.labels["loss"] == "stateful":
            raise RuntimeError("no memory left")
        return Kernels()

    monkeypatch.setattr("ganbench.execution.bench.Bench.kernels", kernels)
    logistic, stateful = race(*ask(tmp_path, "logistic,stateful", repetitions=1)).rows
    assert logistic.reason is None
    assert stateful.reason == "RuntimeError: no memory left"


def test_a_combination_that_fails_on_the_way_is_not_asked_again(tmp_path, monkeypatch):
    calls: list[str] = []

    class Failing(Pace):
        def repeat(self) -> None:
            calls.append(self.setup.parts.loss.name)
            if self.setup.parts.loss.name == "logistic":
                raise MemoryError("no more")
            super().repeat()

    monkeypatch.setattr(races, "Pace", Failing)
    logistic, stateful = race(*ask(tmp_path, "logistic,stateful", repetitions=2)).rows
    assert calls == ["logistic", "stateful", "stateful"]
    assert (logistic.reason, logistic.speed) == ("MemoryError: no more", None)
    assert stateful.speed.repetitions == 2
