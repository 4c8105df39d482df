"""The value function against known optima, and the moving average against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from ganbench.training.ema import Ema, reestimate_normalisation
from ganbench.training.value import value_of_logits

LOG4 = math.log(4)


def test_an_undecided_discriminator_has_the_value_minus_log_4():
    zeros = np.zeros(256)
    values = value_of_logits(zeros, zeros)
    assert values["v_raw"] == pytest.approx(-LOG4)
    assert values["v_calibrated"] == pytest.approx(-LOG4)


def test_a_perfect_discriminator_reaches_zero():
    values = value_of_logits(np.full(256, 40.0), np.full(256, -40.0))
    assert values["v_raw"] == pytest.approx(0, abs=1e-12)
    assert values["v_calibrated"] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.01, 3), (250, -40), (-2, 1)])
def test_calibration_undoes_any_affine_map_of_the_logit(scale, shift):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(1, 1, 20_000), rng.normal(-1, 1, 20_000)  # the optimal logit is 2x
    best = value_of_logits(2 * real, 2 * fake)
    mapped = value_of_logits(scale * real + shift, scale * fake + shift)
    assert mapped["v_calibrated"] == pytest.approx(best["v_calibrated"], abs=1e-6)
    assert best["v_calibrated"] == pytest.approx(best["v_raw"], abs=0.02)


def test_the_optimal_discriminator_bounds_the_jensen_shannon_divergence():
    grid = np.linspace(-12, 12, 200_001)
    p, q = (np.exp(-((grid - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (1, -1))
    middle, step = (p + q) / 2, grid[1] - grid[0]
    jsd = 0.5 * ((p * np.log(p / middle)).sum() + (q * np.log(q / middle)).sum()) * step
    rng = np.random.default_rng(1)
    real, fake = rng.normal(1, 1, 200_000), rng.normal(-1, 1, 200_000)
    assert value_of_logits(2 * real, 2 * fake)["v_raw"] + LOG4 == pytest.approx(2 * jsd, abs=0.005)
    assert value_of_logits(0.7 * real, 0.7 * fake)["v_raw"] + LOG4 < 2 * jsd


def test_non_finite_logits_have_no_value():
    assert value_of_logits(np.array([1.0, np.nan]), np.zeros(2)) == {"v_raw": None, "v_calibrated": None}


def test_a_held_out_set_smaller_than_one_pack_has_no_value():
    assert value_of_logits(np.zeros(0), np.zeros(0)) == {"v_raw": None, "v_calibrated": None}


def test_after_one_half_life_half_of_the_old_weights_is_left():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0.0)
    ema = Ema(network, halflife_images=640, rampup=0)
    network.weight.data.fill_(1.0)
    for k in range(10):
        ema.move(ema.weight(64, 64 * (k + 1)))
    assert float(ema.network.weight) == pytest.approx(0.5, abs=1e-6)


def test_the_ramp_up_forgets_early_weights_faster():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0.0)
    ema = Ema(network, halflife_images=1e6, rampup=0.05)
    network.weight.data.fill_(1.0)
    for k in range(10):
        ema.move(ema.weight(64, 64 * (k + 1)))
    assert float(ema.network.weight) > 0.99


def test_no_half_life_takes_the_live_weights():
    network = nn.Linear(2, 2)
    ema = Ema(network, 0, 0.05)
    network.weight.data.add_(1)
    ema.move(ema.weight(64, 64))
    assert torch.equal(ema.network.weight, network.weight)


@pytest.mark.parametrize("weight", [0.0, 1e-4, 0.3, 0.5, 0.9, 1.0])
def test_a_weight_on_the_device_moves_the_average_as_a_number_does(weight):
    averages = []
    for form in (float, lambda number: torch.tensor(number, dtype=torch.float64)):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
        ema = Ema(network, 100, 0)
        for p in network.parameters():
            nn.init.normal_(p)
        network(torch.randn(8, 3, dtype=torch.float64))  # moves the buffers, a count among them
        ema.move(form(weight))
        averages.append(ema.network.state_dict())
    assert averages[0].keys() == averages[1].keys()
    for name, tensor in averages[0].items():
        torch.testing.assert_close(averages[1][name], tensor, rtol=0, atol=1e-14)
    assert int(averages[1]["1.num_batches_tracked"]) == 1
    assert bool(averages[1]["1.running_mean"].any())


def test_rampup_bounds_how_far_the_average_moves():
    network = nn.Linear(2, 2)
    nn.init.zeros_(network.weight)
    ema = Ema(network, 1000, 0.05)
    nn.init.ones_(network.weight)
    ema.move(ema.weight(64, 640))
    assert float(ema.network.weight[0, 0]) == pytest.approx(1 - 0.5 ** (64 / 32))


def test_batchnorm_statistics_are_the_plain_average_over_the_fixed_batches():
    norm = nn.BatchNorm1d(3, momentum=0.1)
    norm.running_mean.fill_(50)
    batches = [torch.randn(32, 3, generator=torch.Generator().manual_seed(i)) + i for i in range(16)]
    reestimate_normalisation(norm, lambda module, i: module(batches[i]))
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in batches]).mean(0))
    assert norm.momentum == 0.1
    assert not norm.training


def test_dropout_stays_off_while_statistics_are_taken():
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(2))
    reestimate_normalisation(network, lambda module, i: module(torch.ones(8, 2) * i))
    assert float(network[1].running_mean[0]) == pytest.approx(7.5)
