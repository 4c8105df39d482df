import pytest
import torch

from ganbench_zoo.constraints.weight_clip import WeightClip
from ganbench_zoo.optimizers.adam import Adam


def test_adam_follows_algorithm_1():
    lr, (b1, b2), eps = 0.01, (0.5, 0.9), 1e-8
    w = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
    optimizer = Adam(lr=lr, betas=(b1, b2), eps=eps).build([w])
    expected, m, v = w.detach().clone(), torch.zeros(3).double(), torch.zeros(3).double()
    for t in range(1, 6):
        g = 2 * expected
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        expected = expected - lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps)
        optimizer.zero_grad()
        w.square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(w.detach(), expected, rtol=1e-10, atol=1e-12)


def test_adam_uses_the_fused_kernel_where_there_is_one():
    assert Adam().build([torch.zeros(2, requires_grad=True)]).param_groups[0]["fused"]
    assert not Adam().build([torch.zeros(2, device="meta", requires_grad=True)]).param_groups[0]["fused"]


def test_adam_takes_betas_as_a_suite_file_writes_them():
    assert Adam(betas=[0.0, 0.9]).build([torch.zeros(1, requires_grad=True)]).defaults["betas"] == (0.0, 0.9)


@pytest.mark.parametrize(
    "fields", [{"lr": -1.0}, {"lr": float("nan")}, {"betas": (0.5, 1.0)}, {"betas": (0.5,)}, {"eps": 0.0}]
)
def test_adam_refuses_what_has_no_meaning(fields):
    with pytest.raises(ValueError, match="adam needs"):
        Adam(**fields)


def test_weight_clip_clamps_in_place_and_keeps_what_is_inside():
    params = [torch.tensor([-1.0, 0.005, 0.5], requires_grad=True), torch.full((2, 2), -3.0, requires_grad=True)]
    addresses = [p.data_ptr() for p in params]
    WeightClip()(params, {})
    assert params[0].tolist() == pytest.approx([-0.01, 0.005, 0.01])
    assert (params[1] == -0.01).all()
    assert [p.data_ptr() for p in params] == addresses
    assert all(p.requires_grad and p.is_leaf for p in params)


@pytest.mark.parametrize("c", [0.0, -1.0, float("inf")])
def test_weight_clip_refuses_what_has_no_meaning(c):
    with pytest.raises(ValueError, match="weight_clip needs"):
        WeightClip(c=c)
