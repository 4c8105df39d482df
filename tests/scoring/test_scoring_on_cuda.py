"""Scoring on a GPU: the same protocol, the same scores to rounding, no trace in either device's random state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganbench import Images, ImageSpec, Latent
from ganbench.scoring.evaluate import Evaluator, ScoringSettings, Subject
from ganbench.scoring.sample import GeneratorSource, generated_rule
from ganbench_zoo.metrics.fd import FrechetDistance
from ganbench_zoo.metrics.precision import Precision

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")]
DATA = ImageSpec((1, 4, 4))


class Drawing(nn.Linear):
    def forward(self, z, labels=None):
        return torch.tanh(super().forward(z)).view(-1, 1, 4, 4)


def test_scores_on_cuda_equal_those_on_the_cpu(projections):
    rng = torch.Generator().manual_seed(1)
    real = Images(torch.randint(0, 256, (200, 1, 4, 4), dtype=torch.uint8, generator=rng))
    subject = Subject("toy", "toy", DATA, real, real, {})
    settings = ScoringSettings((("fd", FrechetDistance()), ("precision", Precision())), projections.Projection(), 300)
    generator, found = Drawing(3, 16), {}
    for name in ("cpu", "cuda"):
        device = torch.device(name)
        before = torch.get_rng_state(), torch.cuda.get_rng_state()
        source = GeneratorSource(generator.to(device).eval(), Latent(3), DATA, None, 0, device, generated_rule(0))
        evaluator = Evaluator(settings, subject, device)
        found[name] = [(score.metric, score.protocol, score.value) for score in evaluator.score(source)]
        evaluator.floors()
        assert torch.equal(torch.get_rng_state(), before[0])
        assert torch.equal(torch.cuda.get_rng_state(), before[1])
    for (metric, protocol, value), (*same, other) in zip(found["cpu"], found["cuda"], strict=True):
        assert [metric, protocol] == same
        assert value == pytest.approx(other, rel=1e-3)
