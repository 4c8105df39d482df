"""Run with ``pytest`` after ``pip install -e .``; nothing here needs a GPU, a data set or a network."""

import math
from types import SimpleNamespace

import pytest
import torch

from ganbench.testing import check_component
from ganbench_example.logit_drift import LogitDrift
from ganbench_example.softmax import Softmax


@pytest.mark.parametrize("component", [Softmax, LogitDrift, LogitDrift(weight=2.0)])
def test_the_contract_is_kept(component):
    check_component(component)


def test_softmax_at_equal_logits():
    game = SimpleNamespace(real_logits=torch.zeros(4), fake_logits=torch.zeros(4))
    assert Softmax().discriminator(game).item() == pytest.approx(math.log(8))
    assert Softmax().generator(game).item() == pytest.approx(math.log(8))


def test_logit_drift_is_the_weighted_mean_square():
    game = SimpleNamespace(real_logits=torch.tensor([1.0, -3.0]))
    assert LogitDrift(weight=0.5).penalty(game).item() == pytest.approx(2.5)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="weight >= 0"):
        LogitDrift(weight=-1.0)
