"""The engine on a CUDA device: the same weights and batches as on the CPU, and nearly the same steps."""

from __future__ import annotations

import pytest
import torch

from ganbench.training.checkpoint import capture
from ganbench.training.diagnosis import read_probe
from ganbench.training.engine import Engine
from ganbench.training.loop import Training

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]


def test_the_first_rounds_agree_with_the_cpu(make_setup):
    states = []
    for device in ("cpu", "cuda:0"):
        engine = Engine(make_setup(), torch.device(device))
        for _ in range(3):
            engine.play_round(0.0)
        states.append(capture(engine).tensors)
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name].cpu(), tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_a_whole_run_ends_and_resumes(make_setup, toys, tmp_path):
    setup = make_setup(toys.Stateful(), regularizers=(toys.SlopePenalty("real"),), augmentations=(toys.Brightness(),))
    assert Training(setup, tmp_path, torch.device("cuda:0")).run().status == "done"
    assert Training(setup, tmp_path, torch.device("cuda:0")).run().status == "done"


def test_reading_the_probe_leaves_the_run_and_the_stream_of_the_device_alone(make_setup, toys):
    device = torch.device("cuda:0")
    engine = Engine(make_setup(augmentations=(toys.Brightness(),)), device)
    engine.play_round(0.0)
    before, stream = capture(engine), torch.cuda.get_rng_state(device)
    reading = read_probe(engine.players, engine.probe())
    assert all(value is not None for value in reading.values())
    assert torch.equal(torch.cuda.get_rng_state(device), stream)
    after = capture(engine)
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in before.tensors.items())
