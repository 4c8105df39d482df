"""Checks what changes weights: constraints and optimizers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from ganbench.components import trait
from ganbench.testing.description import label_of
from ganbench.testing.fault import blaming, require
from ganbench.testing.phases import check_every
from ganbench.testing.rehearsal import Scene
from ganbench.testing.waiting import Dataless, dataless

_STEPS = 50


def check_constraint(constraint: Any, scene: Scene) -> None:  # noqa: ARG001  all checks take a scene
    """Check that weights and state are changed in place, stay finite, and that nothing waits for the device."""
    label = f"constraint {label_of(constraint)}"
    check_every(label, constraint)
    first, second = _weights(), _weights()
    for params in (first, second):
        with blaming(label), torch.no_grad():
            state = _constraint_state(constraint, params)
            places = [tensor.data_ptr() for tensor in (*params, *state.values())]
            shapes = [tensor.shape for tensor in (*params, *state.values())]
            for _ in range(3):
                returned = constraint(params, state)
                require(returned is None, f"{label} returned {type(returned).__name__}; change the weights in place")
        tensors = (*params, *state.values())
        kept = places == [t.data_ptr() for t in tensors] and shapes == [t.shape for t in tensors]
        require(kept, f"{label} replaced a weight or a state; change them in place (copy_, clamp_, lerp_)")
        require(all(bool(t.isfinite().all()) for t in tensors), f"{label} made weights that are not finite")
    same = all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    require(same, f"{label} made two results of the same weights")
    world = Dataless()
    empty = tuple(world.tensor(p.detach()) for p in _weights())
    states = dataless(_constraint_state(constraint, _weights()), world)
    with torch.no_grad():
        world.run(label, lambda: constraint(empty, states))


def check_optimizer(optimizer: Any, scene: Scene) -> None:  # noqa: ARG001
    """Check that an optimizer goes down a quadratic bowl, and goes on from its stored state as if never stopped."""
    label = f"optimizer {label_of(optimizer)}"
    evaluations = trait(optimizer, "evaluations")
    require(evaluations in (1, 2), f"{label}: evaluations is {evaluations!r}; possible: 1, 2")
    require(isinstance(getattr(optimizer, "lr", None), float), f"{label} has no field lr with a float")
    w = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
    before = _bowl(w).item()
    with blaming(label):
        built = optimizer.build([w])
        require(isinstance(built, torch.optim.Optimizer), f"{label}: build() gave no torch.optim.Optimizer")
        extrapolates = callable(getattr(built, "extrapolate", None))
        require(evaluations == 1 or extrapolates, f"{label}: evaluations is 2, but build() gave no extrapolate()")
        for _ in range(_STEPS):
            _step(built, w, evaluations)
    after = _bowl(w).item()
    require(
        after < before, f"{label} brought a quadratic from {before:.4g} to {after:.4g} in {_STEPS} steps; wants less"
    )
    twin = w.detach().clone().requires_grad_()
    with blaming(f"{label}: going on from its state_dict()"):
        resumed = optimizer.build([twin])
        resumed.load_state_dict(copy.deepcopy(built.state_dict()))
        for one, weights in ((built, w), (resumed, twin)):
            _step(one, weights, evaluations)
    require(torch.equal(w, twin), f"{label} goes another way after load_state_dict(): its state is not all there")


def _bowl(w: Tensor) -> Tensor:
    return (w.square() * torch.tensor([1.0, 2.0, 3.0])).sum()


def _step(optimizer: Any, w: Tensor, evaluations: int) -> None:
    for evaluation in range(evaluations):
        optimizer.zero_grad()
        _bowl(w).backward()  # type: ignore[no-untyped-call]
        if evaluation < evaluations - 1:
            optimizer.extrapolate()
    optimizer.step()


def _weights() -> tuple[Tensor, ...]:
    rng = torch.Generator().manual_seed(5)
    return tuple(torch.randn(shape, generator=rng).requires_grad_() for shape in ((4, 3), (4,), (1, 2, 3, 3)))


def _constraint_state(constraint: Any, params: tuple[Tensor, ...]) -> dict[str, Tensor]:
    return dict(constraint.state(params)) if hasattr(constraint, "state") else {}
