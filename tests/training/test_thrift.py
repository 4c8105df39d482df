"""What a run does when memory runs out: it goes on with less of it, or says what was tried."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganbench.errors import MemoryExhausted
from ganbench.suite.recipe import Budget
from ganbench.training.checkpoint import capture
from ganbench.training.kernels import Kernels
from ganbench.training.loop import Controls, Training
from ganbench.values import ImageSpec
from ganbench_zoo.regularizers.max_gp import MaxGp

CPU = torch.device("cpu")


class Bounded(nn.Module):
    """A layer on a device with room for ``most`` samples, from the call number ``since`` on, counted over all runs."""

    calls = 0

    def __init__(self, most: int, since: int, error: Exception) -> None:
        super().__init__()
        self.most, self.since, self.error = most, since, error

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            Bounded.calls += 1
            if len(x) > self.most and Bounded.calls > self.since:
                raise self.error
        return x


@pytest.fixture
def bounded(toys):
    """Return a maker of architectures whose discriminator takes so many samples at a time."""

    def bounded(most: int, since: int = 0, error: Exception | None = None, base: type = toys.Tiny) -> Any:
        Bounded.calls = 0

        class Architecture(base):
            def discriminator(self, data: ImageSpec) -> nn.Module:
                network = super().discriminator(data)
                network.body.append(Bounded(most, since, error or torch.OutOfMemoryError("CUDA out of memory. Tried")))
                return network

        return Architecture(spectral=True)

    return bounded


def weights_of(training: Training) -> dict[str, Tensor]:
    tensors = capture(training.engine).tensors
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(("optimizer", "meter"))}


@pytest.fixture
def train(make_setup, tmp_path):
    """Return a function that trains with an architecture, and gives the training, its outcome and the notes."""

    def train(architecture: Any, kernels: Kernels | None = None, thrifty: bool = True, **others: Any) -> Any:
        notes: list[str] = []
        setup = make_setup(architecture=architecture, budget=Budget(images=16 * 40), **others)
        controls = Controls(note=notes.append, thrifty=thrifty)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        training = Training(setup, folder, CPU, controls, kernels)
        return training, training.run, notes

    return train


def assert_close(training: Training, plain: Training) -> None:
    wanted, found = weights_of(plain), weights_of(training)
    assert wanted.keys() == found.keys()
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("since", [0, 1, 45, 66])
def test_a_batch_that_does_not_fit_is_cut_and_the_run_ends_as_it_would_have(train, bounded, toys, since):
    sgd = {"d_optimizer": toys.PlainSgd(), "g_optimizer": toys.PlainSgd()}
    plain, run, notes = train(toys.Tiny(spectral=True), **sgd)
    outcome = run()
    assert notes == []
    assert "notes" not in outcome.facts
    training, run, notes = train(bounded(8, since), **sgd)  # two times 4 samples of real and fake
    outcome = run()
    assert notes == [
        "out of memory with channels_last, joint: CUDA out of memory; "
        "the run goes on with channels_last, joint, checkpoint, 4 parts"
    ]
    assert outcome.status == "done"
    assert outcome.facts["notes"] == notes
    assert outcome.facts["kernels"]["parts"] == 4
    assert outcome.facts["rounds"] == 40
    assert_close(training, plain)


def test_the_round_is_played_from_the_safe_state_with_an_optimizer_that_had_begun(train, bounded, toys):
    """The first round breaks off after the discriminator's step; Adam must not remember it."""
    plain, run, _ = train(toys.Tiny(spectral=True))
    run()
    training, run, notes = train(bounded(15, since=1), kernels=Kernels(checkpoint=True))
    run()
    assert len(notes) == 1
    for side, other in zip(training.engine.sides.values(), plain.engine.sides.values(), strict=True):
        steps = [state["step"] for state in side.optimizer.state_dict()["state"].values()]
        assert steps == [state["step"] for state in other.optimizer.state_dict()["state"].values()]


def test_what_the_allocator_of_the_cpu_says_is_understood(train, bounded):
    said = RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried")
    _, run, notes = train(bounded(16, error=said))
    assert run().status == "done"
    assert len(notes) == 1


def test_other_errors_are_not_taken_for_it(train, bounded):
    _, run, notes = train(bounded(16, error=RuntimeError("shapes cannot be multiplied")))
    with pytest.raises(RuntimeError, match="shapes"):
        run()
    assert notes == []


def test_what_was_tried_is_said_when_nothing_is_left(train, bounded, toys):
    _, run, _ = train(bounded(0))
    with pytest.raises(MemoryExhausted) as exhausted:
        run()
    assert str(exhausted.value) == (
        "a batch of 16 does not fit into the memory of cpu; channels_last, joint: CUDA out of memory; "
        "checkpoint: CUDA out of memory; 2 parts: CUDA out of memory; 4 parts: CUDA out of memory; "
        "8 parts: CUDA out of memory; 16 parts: CUDA out of memory"
    )
    _, run, _ = train(bounded(0), pac=4)
    with pytest.raises(MemoryExhausted, match=r"4 parts: CUDA out of memory$"):
        run()


def test_why_a_batch_cannot_be_cut_is_said(train, bounded, toys):
    _, run, _ = train(bounded(0, base=toys.BatchCoupled))
    with pytest.raises(MemoryExhausted, match="2 parts: n/a, BatchNorm in the discriminator couples the samples"):
        run()
    _, run, _ = train(bounded(16), regularizers=(MaxGp(),))
    with pytest.raises(MemoryExhausted, match="2 parts: n/a, max_gp asks the discriminator about the whole batch"):
        run()


def test_nothing_is_changed_where_it_is_not_allowed(train, bounded):
    training, run, notes = train(bounded(8), thrifty=False)
    with pytest.raises(MemoryExhausted, match=r"memory of cpu; channels_last, joint: CUDA out of memory$"):
        run()
    assert notes == []
    assert training.engine.kernels == Kernels()
