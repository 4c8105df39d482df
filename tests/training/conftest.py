"""A factory of small setups around the toy components."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ganbench.suite.assemble import Assembly
from ganbench.suite.recipe import Budget, Recipe
from ganbench.training.engine import Engine
from ganbench.training.setup import Setup

CPU = torch.device("cpu")


@pytest.fixture
def make_setup(toys):
    def make(
        loss=None, *, architecture=None, data=None, budget=None, seed=0, snapshots=(1.0,), stop_on=(), **others
    ) -> Setup:
        architecture = architecture or toys.Tiny()
        dataset = toys.Blobs()
        train, held_out = (others.pop(split, None) or dataset.load(Path(), split) for split in ("train", "test"))
        sides = {"g_optimizer": toys.PlainAdam(), "d_optimizer": toys.PlainAdam()}
        components = {key: others.pop(key, ()) for key in ("regularizers", "constraints", "augmentations")}
        optimizers = {key: others.pop(key, default) for key, default in sides.items()}
        parts = Assembly(
            generator=architecture,
            discriminator=architecture,
            loss=loss or toys.Logistic(),
            recipe=Recipe(**{"batch_size": 16, **others}),
            budget=budget or Budget(images=160),
            **components,
            **optimizers,
        )
        return Setup(
            parts,
            data=data or dataset.spec(Path()),
            train=train,
            held_out=held_out,
            seed=seed,
            keys={"dataset": "blobs", "generator": architecture.name, "discriminator": architecture.name},
            snapshots=snapshots,
            stop_on=stop_on,
        )

    return make


@pytest.fixture
def play(make_setup):
    """Play some rounds of a setup and return the engine."""

    def play(rounds: int = 3, *args, joint: bool = True, double: bool = False, **others) -> Engine:
        engine = Engine(make_setup(*args, **others), CPU)
        if not joint:
            object.__setattr__(engine.players, "joint", False)
        for _ in range(rounds):
            engine.play_round(0.0)
        return engine

    return play
