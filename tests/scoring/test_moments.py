"""Streaming moments equal those of the whole set, however it is divided."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganbench.scoring import moments as module
from ganbench.scoring.moments import Moments

ROWS = torch.randn(60, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def streamed(rows: torch.Tensor, sizes: list[int]) -> Moments:
    moments = Moments()
    for part in rows.split(sizes):
        moments.update(part)
    return moments


def expect_numpy(moments: Moments, rows: torch.Tensor, atol: float = 1e-13) -> None:
    np.testing.assert_allclose(moments.mean, rows.numpy().mean(axis=0), rtol=1e-12, atol=atol)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.numpy(), rowvar=False), rtol=1e-12, atol=atol)


@given(st.lists(st.integers(0, 60), max_size=8))
def test_streaming_equals_the_batch_for_any_division(cuts):
    edges = [0, *sorted(cuts), 60]
    expect_numpy(streamed(ROWS, [b - a for a, b in pairwise(edges)]), ROWS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 5, 600])
def test_any_division_gives_the_same_bits(monkeypatch, dtype, width):
    monkeypatch.setattr(module, "BLOCK", 16)
    rows = 3 + torch.randn(75, width, generator=torch.Generator().manual_seed(2), dtype=dtype)
    whole = streamed(rows, [75])
    for sizes in ([1] * 75, [16] * 4 + [11], [7] * 10 + [5], [74, 1], [40, 35]):
        parts = streamed(rows, sizes)
        assert torch.equal(parts.mean, whole.mean)
        assert torch.equal(parts.covariance, whole.covariance)
    expect_numpy(whole, rows.double(), atol=1e-12)


def test_reading_in_between_changes_nothing(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 16)
    read = Moments()
    for i, part in enumerate(ROWS.split(9)):
        read.update(part)
        so_far = ROWS[: 9 * (i + 1)]
        expect_numpy(read, so_far)
        assert read.count == len(so_far)
    assert torch.equal(read.covariance, streamed(ROWS, [60]).covariance)


def test_single_rows():
    expect_numpy(streamed(ROWS, [1] * 60), ROWS)


@pytest.mark.parametrize("sizes", [[60], [1] * 60, [7] * 8 + [4]])
def test_a_large_common_offset_costs_no_precision(sizes):
    exact = Moments()
    exact.update(ROWS)
    shifted = streamed(ROWS + 1e6, sizes)
    # the offset itself rounds each row to 1e-10
    torch.testing.assert_close(shifted.covariance, exact.covariance, rtol=0, atol=1e-9)
    torch.testing.assert_close(shifted.mean - 1e6, exact.mean, rtol=0, atol=1e-9)


def test_float32_rows_are_accumulated_in_float64():
    rows = ROWS.float()
    expect_numpy(streamed(rows, [20, 40]), rows.double())


@pytest.mark.parametrize("block", [16, 1024])
def test_merged_parts_equal_the_whole_and_stay_as_they_were(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    left, right = streamed(ROWS[:17], [17]), streamed(ROWS[17:], [43])
    before = right.mean.clone(), right.covariance.clone()
    empty = Moments()
    empty.merge(left)
    empty.merge(right)
    empty.merge(Moments())
    assert empty.count == 60
    expect_numpy(empty, ROWS)
    assert torch.equal(right.mean, before[0])
    assert torch.equal(right.covariance, before[1])
    assert left.count == 17
    left.update(ROWS[17:])
    expect_numpy(left, ROWS)
    expect_numpy(empty, ROWS)


def test_one_row_has_a_mean_and_no_covariance():
    moments = streamed(ROWS[:1], [1])
    assert torch.equal(moments.mean, ROWS[0])
    assert moments.covariance.isnan().all()


def test_no_rows_have_neither():
    moments = Moments()
    moments.update(ROWS[:0])
    with pytest.raises(ValueError, match="no rows"):
        _ = moments.mean
    with pytest.raises(ValueError, match="no rows"):
        _ = moments.covariance


def test_covariance_is_exactly_symmetric():
    covariance = streamed(ROWS, [3] * 20).covariance
    assert torch.equal(covariance, covariance.T)


def test_wrong_shapes_are_refused():
    moments = streamed(ROWS, [60])
    with pytest.raises(ValueError, match="width 3"):
        moments.update(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"\(5,\)"):
        moments.update(ROWS[0])
