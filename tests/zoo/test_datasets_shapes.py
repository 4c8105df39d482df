"""shapes: images that follow from their number, and a truth that knows its own and nothing else."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ganbench import ImageSpec
from ganbench.testing import check_component
from ganbench_zoo import outlines
from ganbench_zoo.counted import bits, integers, uniform
from ganbench_zoo.datasets.shapes import MODES, SIDE, SIZES, Shapes
from ganbench_zoo.outlines import COLOURS, KINDS, PALETTE, REACH, TOLERANCE, Placing, coverage, draw

ROOT = Path()


def placed(x=15.5, y=15.5, size=6.0, angle=0.0):
    return Placing(*(torch.tensor([number]) for number in (x, y, size, angle)))


def one(kind, colour, **where):
    return draw(torch.tensor([KINDS.index(kind)]), torch.tensor([COLOURS.index(colour)]), SIDE, placed(**where))


def mode(image, **fields):
    return Shapes(**fields).truth(ROOT).locate(image)[0].tolist()


def test_the_component():
    check_component(Shapes(train=300, test=200))


def test_numbers_are_those_of_splitmix64():
    start = 0x1234567890ABCDEF
    state, expected, mask = start, [], 2**64 - 1
    for _ in range(6):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        expected.append(z ^ (z >> 31))

    class Fixed:
        def digest(self):
            return start.to_bytes(8, "big") + bytes(24)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ganbench_zoo.counted.hashlib.sha256", lambda _: Fixed())
        assert bits("x", np.arange(2), 3).ravel().tolist() == expected
        assert bits("x", np.array([1]), 3).ravel().tolist() == expected[3:]


def test_numbers_are_even_and_follow_from_seed_and_place():
    numbers = uniform("a", np.arange(50_000), 2)
    assert abs(numbers.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(numbers.T)[0, 1]) < 0.02
    assert 0 <= numbers.min() < numbers.max() < 1
    assert (uniform("a", np.array([40_000]), 2) == numbers[40_000]).all()
    assert not (uniform("b", np.arange(100), 2) == numbers[:100]).any()
    counts = np.bincount(integers("a", np.arange(30_000), 1, 3).ravel())
    assert len(counts) == 3
    assert counts.min() > 9_600


def test_an_image_follows_from_seed_split_and_number_alone():
    few, many = Shapes(train=5, test=5), Shapes(train=50, test=5)
    small, large = few.load(ROOT, "train"), many.load(ROOT, "train")
    assert torch.equal(small.pixels, large.pixels[:5])
    assert torch.equal(small.labels, large.labels[:5])
    assert few.factors("train", range(3, 5))[1].x.tolist() == many.factors("train", range(50))[1].x[3:5].tolist()
    assert not torch.equal(few.load(ROOT, "test").pixels, small.pixels)
    assert not torch.equal(Shapes(seed=1, train=5).load(ROOT, "train").pixels, small.pixels)


def test_train_and_test_share_no_image_and_fill_every_mode():
    data = Shapes(train=3000, test=3000)
    train, test = data.load(ROOT, "train"), data.load(ROOT, "test")
    assert data.spec(ROOT) == ImageSpec((3, 32, 32), classes=24)
    assert train.pixels.dtype == torch.uint8
    assert len({row.numpy().tobytes() for part in (train, test) for row in part.pixels}) == 6000
    assert (train.labels.bincount(minlength=MODES) > 80).all()


@pytest.mark.parametrize("rotation", [True, False])
def test_the_truth_recognises_all_of_its_own_images(rotation):
    data = Shapes(rotation=rotation, test=4000)
    images = data.load(ROOT, "test")
    modes, deviations = data.truth(ROOT).locate(images.pixels)
    assert torch.equal(modes, images.labels)
    assert deviations is None
    assert data.truth(ROOT).width is None
    assert data.truth(ROOT).modes == 24


def test_slight_noise_never_changes_the_mode():
    data = Shapes(test=1000)
    images, rng = data.load(ROOT, "test"), torch.Generator().manual_seed(0)
    for deviation, least in ((5, 0.99), (12, 0.3)):
        noise = deviation * torch.randn(images.pixels.shape, generator=rng)
        modes = data.truth(ROOT).locate((images.pixels + noise).clamp(0, 255).byte())[0]
        assert (modes[modes >= 0] == images.labels[modes >= 0]).all()
        assert (modes >= 0).float().mean() > least


def test_what_is_no_shape_of_the_data_is_of_no_mode():
    rng = torch.Generator().manual_seed(0)
    ring = one("ring", "red")
    strange = {
        "noise": torch.randint(0, 256, (200, 3, 32, 32), generator=rng, dtype=torch.uint8),
        "black": torch.zeros(1, 3, 32, 32, dtype=torch.uint8),
        "white": torch.full((1, 3, 32, 32), 255, dtype=torch.uint8),
        "all red": torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 32),
        "two rings": torch.maximum(one("ring", "red", x=8.0, size=5.0), one("ring", "red", x=23.0, size=5.0)),
        "two colours": torch.maximum(ring, one("ring", "green", x=8.0, size=5.0)),
        "white ring": ring[:, :1].expand(1, 3, 32, 32),
        "orange ring": ring + ring.roll(1, 1) // 2,
        "dark ring": ring // 2,
        "grey ground": ring.clamp(min=64),
        "too large": one("ring", "red", size=11.0),
        "too small": one("ring", "red", size=3.0),
        "cut off": one("square", "red", x=1.0),
        "blurred": F.avg_pool2d(one("cross", "red", size=5.0).float(), 7, 1, 3).byte(),
        "hexagon": torch.minimum(one("triangle", "red", size=8.0), one("triangle", "red", size=8.0, angle=math.pi)),
        "disc": one("ring", "red", size=6.0).maximum(one("square", "red", size=5.0)),
    }
    found = {name: mode(image) for name, image in strange.items()}
    assert all(set(modes) == {-1} for modes in found.values()), found


def test_upright_data_know_no_turned_shape():
    assert mode(one("square", "red", angle=math.pi / 4), rotation=False) == [KINDS.index("square") * 6]
    assert mode(one("square", "red"), rotation=False) == [-1]
    assert mode(one("square", "red"), rotation=True) == [KINDS.index("square") * 6]


def test_modes_are_further_apart_than_two_tolerances():
    axis = torch.linspace(0, math.pi / 2, 13)
    sizes = torch.linspace(5, 6, 11)
    size, angle = (t.flatten() for t in torch.meshgrid(sizes, axis, indexing="ij"))
    middle = torch.full_like(size, 15.5)
    for kind in KINDS:
        own = coverage(kind, SIDE, placed(size=5.0))
        for other in KINDS:
            drawn = coverage(other, SIDE, Placing(middle, middle, size, angle))
            nearest = ((drawn - own).square().sum((1, 2)) / own.square().sum()).min()
            assert nearest < 1e-9 if kind == other else nearest > 4 * TOLERANCE
    for i, first in enumerate(PALETTE):  # the same shape in two colours
        for second in PALETTE[i + 1 :]:
            a, b = torch.tensor(first).float(), torch.tensor(second).float()
            assert (a - b).square().sum() / max(a.square().sum(), b.square().sum()) > 4 * TOLERANCE


@pytest.mark.parametrize("kind", KINDS)
def test_area_reach_and_place_are_as_documented(kind):
    for angle in (0.0, 0.4, 2.0):
        drawn = coverage(kind, SIDE, placed(x=14.2, y=17.1, size=6.0, angle=angle))[0]
        area, axis = drawn.sum(), torch.arange(32.0)
        assert area == pytest.approx(math.pi * 36, rel=0.01)
        assert (drawn.sum(0) * axis).sum() / area == pytest.approx(14.2, abs=0.06)
        assert (drawn.sum(1) * axis).sum() / area == pytest.approx(17.1, abs=0.06)
        distance = ((axis - 14.2).square() + (axis[:, None] - 17.1).square()).sqrt()
        assert distance[drawn > 0].max() <= 6 * REACH + 1
    assert 0 < drawn[(drawn > 0) & (drawn < 1)].min() < 1


def test_the_angle_is_that_of_a_furthest_point():
    for kind in outlines.FOLDS:
        drawn = coverage(kind, SIDE, placed(size=8.0, angle=0.3))[0]
        y, x = (drawn > 0.5).nonzero(as_tuple=True)
        distance = ((x - 15.5) ** 2 + (y - 15.5) ** 2).float()
        found = torch.atan2(y[distance.argmax()] - 15.5, x[distance.argmax()] - 15.5).item()
        turn = 2 * math.pi / outlines.FOLDS[kind]
        off = (found - 0.3 + turn / 2) % turn - turn / 2
        assert abs(off) < (0.35 if kind == "cross" else 0.15)  # a cross is furthest at the corners of its arms


def test_every_shape_lies_inside():
    pixels = Shapes(train=3000).load(ROOT, "train").pixels
    border = torch.cat([pixels[..., 0], pixels[..., -1], pixels[..., 0, :], pixels[..., -1, :]])
    assert border.max() <= 128
    _, placing = Shapes().factors("train", range(3000))
    assert SIZES[0] <= placing.size.min() < 5.1
    assert 7.9 < placing.size.max() <= SIZES[1]


@pytest.mark.parametrize("field", ["train", "test"])
def test_refusals(field):
    with pytest.raises(ValueError, match=f"shapes: {field} is 0; it must be at least 1"):
        Shapes(**{field: 0})
    with pytest.raises(ValueError, match="shapes has no split 'val'; it has: train, test"):
        Shapes().load(ROOT, "val")
