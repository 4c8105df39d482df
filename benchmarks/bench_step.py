"""One round (a D and a G update) of the quickstart's networks, in images a second, by pytest-benchmark.

Run with ``tox -e bench``. Absolute times belong to one machine: compare two versions by interleaved runs on it.
"""

from __future__ import annotations

import pytest
import torch

from ganbench.suite.assemble import Assembly
from ganbench.suite.recipe import Budget, Recipe
from ganbench.training.engine import Engine
from ganbench.training.setup import Setup
from ganbench.values import Images, ImageSpec

BATCH = 64


def engine(architecture: object, loss: object, regularizers: tuple[object, ...] = ()) -> Engine:
    from ganbench_zoo.optimizers.adam import Adam

    data = ImageSpec((1, 16, 16))
    pixels = torch.randint(0, 256, (512, *data.shape), dtype=torch.uint8)
    images = Images(pixels)
    parts = Assembly(
        generator=architecture,
        discriminator=architecture,
        loss=loss,
        regularizers=regularizers,
        constraints=(),
        augmentations=(),
        g_optimizer=Adam(),
        d_optimizer=Adam(),
        recipe=Recipe(batch_size=BATCH),
        budget=Budget(images=BATCH),
    )
    setup = Setup(
        parts,
        data=data,
        train=images,
        held_out=images,
        seed=0,
        keys={"dataset": "made up", "generator": "g", "discriminator": "d"},
    )
    return Engine(setup, torch.device("cpu"))


@pytest.mark.parametrize("name", ["mlp", "dcgan", "dcgan+wgan_gp"])
def test_round(benchmark, name):
    from ganbench_zoo.architectures.dcgan import Dcgan
    from ganbench_zoo.architectures.mlp import Mlp
    from ganbench_zoo.losses.non_saturating import NonSaturating
    from ganbench_zoo.losses.wasserstein import Wasserstein
    from ganbench_zoo.regularizers.wgan_gp import WganGp

    torch.set_num_threads(1)
    architecture = Mlp() if name == "mlp" else Dcgan(width=16, d_norm="none")
    penalised = name.endswith("wgan_gp")
    playing = engine(architecture, Wasserstein() if penalised else NonSaturating(), (WganGp(),) if penalised else ())
    playing.play_round(0.0)
    benchmark.extra_info["images"] = BATCH
    benchmark.pedantic(playing.play_round, args=(0.0,), rounds=30, warmup_rounds=5)
