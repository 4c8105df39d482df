"""From arrays as people have them to stored samples: axes, ranges, rounding, and what is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganbench import ImageSpec, PointSpec
from ganbench.scoring.reference import content_hash
from ganbench.stored import Held, content_sha, dtype_name, form_of

CHW = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("shape", "axes", "data"),
    [
        ((9, 3, 32, 32), "NCHW", ImageSpec((3, 32, 32))),
        ((9, 1, 28, 28), "NCHW", ImageSpec((1, 28, 28))),
        ((9, 32, 48, 3), "NHWC", ImageSpec((3, 32, 48))),
        ((9, 4, 4, 1), "NHWC", ImageSpec((1, 4, 4))),
        ((9, 3, 8, 3), "NCHW", ImageSpec((3, 8, 3))),
        ((9, 32, 32, 4), "NHWC", ImageSpec((4, 32, 32))),
        ((9, 2, 32, 32), "NCHW", ImageSpec((2, 32, 32))),
        ((9, 28, 30), "NHW", ImageSpec((1, 28, 30))),
    ],
)
def test_axes_are_told_by_their_lengths(shape, axes, data):
    form = form_of("x", shape, "uint8")
    assert (form.axes, form.data) == (axes, data)


def test_the_axes_are_put_in_order_without_changing_a_pixel():
    last = CHW.permute(0, 2, 3, 1).contiguous()
    assert torch.equal(form_of("x", tuple(last.shape), "uint8").store(last), CHW)
    grey = CHW[:, 0]
    assert torch.equal(form_of("x", tuple(grey.shape), "uint8").store(grey), CHW[:, :1])


@given(st.integers(0, 255), st.sampled_from([(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-3.0, 5.0)]))
def test_every_grey_level_comes_back_from_every_range(level, limits):
    low, high = limits
    value = torch.full((1, 1, 2, 2), level / 255 * (high - low) + low)
    assert form_of("x", (1, 1, 2, 2), "float32", limits).store(value).eq(level).all()


@given(st.lists(st.floats(-1, 1, width=32), min_size=4, max_size=4))
def test_floats_are_rounded_as_a_generators_images_are(values):
    images = torch.tensor(values).view(1, 1, 2, 2)
    stored = form_of("x", (1, 1, 2, 2), "float32", (-1.0, 1.0)).store(images)
    assert torch.equal(stored, ImageSpec((1, 2, 2)).encode(images))


def test_points_are_floats_as_they_are():
    points = torch.randn(4, 2, dtype=torch.float64)
    form = form_of("x", (4, 2), "float64")
    assert form.data == PointSpec((2,))
    assert torch.equal(form.store(points), points.float())


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((5,), "uint8", r"x has shape \(5,\); images are"),
        ((5, 1, 2, 3, 4), "uint8", "x has shape"),
        ((5, 0, 4, 4), "uint8", "x has shape"),
        ((5, 7, 8, 9), "uint8", "neither the second nor the last axis"),
        ((5, 2), "uint8", r"points \(N, d\) are floats"),
        ((5, 1, 4, 4), "uint16", "x holds uint16; images are uint8 or floats"),
        ((5, 1, 4, 4), "bool", "x holds bool"),
        ((5, 2), "complex64", "x holds complex64"),
    ],
)
def test_what_no_samples_are_is_refused(shape, dtype, message):
    with pytest.raises(ValueError, match=message):
        form_of("x", shape, dtype)


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match="the range 1,0 of x is empty"):
        form_of("x", (5, 1, 4, 4), "float32", (1.0, 0.0))


@pytest.mark.parametrize(
    ("value", "message"), [(float("nan"), "NaN or infinity"), (-float("inf"), "NaN"), (1.2, "1.2")]
)
def test_broken_values_are_refused_with_their_row(value, message):
    images = torch.zeros(4, 1, 2, 2)
    images[2, 0, 1, 1] = value
    form = form_of("x.npy", (4, 1, 2, 2), "float32")
    with pytest.raises(ValueError, match=rf"x.npy holds {message}.* in row 2"):
        form.store(images)
    with pytest.raises(ValueError, match=r"row 12 \(from 0\)"):
        form.store(images, torch.arange(10, 14))


def test_rounding_beyond_the_range_is_no_fault():
    images = torch.full((1, 1, 2, 2), 1.0005)
    assert form_of("x", (1, 1, 2, 2), "float32").store(images).eq(255).all()


def test_floats_that_are_never_negative_are_not_guessed_to_lie_in_minus_one_to_one():
    form = form_of("x", (1, 1, 2, 2), "float32")
    with pytest.raises(ValueError, match=r"none is negative.*--range 0,1"):
        form.check_lowest(form.lowest(torch.zeros(1, 1, 2, 2)))
    form.check_lowest(form.lowest(torch.full((1, 1, 2, 2), -0.1)))
    sure = form_of("x", (1, 1, 2, 2), "float32", (-1.0, 1.0))
    sure.check_lowest(sure.lowest(torch.zeros(1, 1, 2, 2)))
    points = form_of("x", (4, 2), "float32")
    points.check_lowest(points.lowest(torch.ones(4, 2)))


def test_the_hash_is_that_of_scoring_whatever_the_chunks():
    data = ImageSpec((3, 4, 5))
    assert content_sha(data, 2, [CHW]) == content_sha(data, 2, [CHW[:1], CHW[1:]]) == content_hash(CHW)
    assert Held(CHW, data).fingerprint == content_hash(CHW)
    points = torch.randn(5, 2)
    assert Held(points, PointSpec((2,))).fingerprint == content_hash(points)


def test_types_have_one_name():
    import numpy as np

    assert dtype_name(torch.float16) == dtype_name(np.dtype("float16")) == "float16"
