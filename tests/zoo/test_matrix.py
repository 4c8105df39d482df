"""The matrix: every compatible pair of bundled architecture and loss, with and without each penalty, moves once."""

from __future__ import annotations

import itertools

import pytest
import torch

from ganbench.catalog import load_catalog
from ganbench.components import companions, incompatibility, trait
from ganbench.suite.assemble import Assembly
from ganbench.suite.expand import core_incompatibility
from ganbench.suite.recipe import Budget, Recipe
from ganbench.training.engine import Engine
from ganbench.training.setup import Setup
from ganbench.values import Cell, Images, ImageSpec

CPU = torch.device("cpu")
BATCH = 4


def bundled(kind: str) -> list[type]:
    return [entry.component for entry in load_catalog().of_kind(kind) if entry.origin.startswith("ganbench ")]


def images(data, n: int) -> Images:
    rng = torch.Generator().manual_seed(0)
    if isinstance(data, ImageSpec):
        pixels = torch.randint(0, 256, (n, *data.shape), generator=rng, dtype=torch.uint8)
    else:
        pixels = torch.randn(n, *data.shape, generator=rng)
    return Images(pixels, torch.arange(n) % data.classes if data.classes else None)


def cell_of(architecture, data, loss, regularizers, constraints, pac) -> Cell:
    return Cell(
        data=data,
        generator=architecture,
        discriminator=architecture,
        latent=architecture.latent(data),
        batch_coupling=trait(architecture, "batch_coupling"),
        companions=tuple(companions(architecture, data)),
        loss=loss,
        regularizers=regularizers,
        constraints=constraints,
        augmentations=(),
        pac=pac,
        schedule=("D", "G"),
        batch_size=BATCH,
    )


ADDITIONS = [
    ((), ()),
    *(((regularizer,), ()) for regularizer in bundled("regularizer")),
    *(((), (constraint,)) for constraint in bundled("constraint")),
]


def pairs() -> tuple[list, dict[str, str]]:
    """Return the compatible combinations by name, and the reasons against the others."""
    compatible, refused = [], {}
    product = itertools.product(bundled("architecture"), bundled("loss"), ADDITIONS, (1, 2))
    for architecture, loss, (regularizers, constraints), pac in product:
        component, data = architecture.smallest()
        added = (tuple(cls() for cls in regularizers), tuple(cls() for cls in constraints))
        cell = cell_of(component, data, loss(), *added, pac)
        name = "-".join([architecture.name, loss.name, *(x.name for x in (*regularizers, *constraints)), f"pac{pac}"])
        reason = core_incompatibility(cell) or incompatibility(cell)
        if reason:
            refused[name] = reason
        else:
            compatible.append(pytest.param(cell, id=name))
    return compatible, refused


COMPATIBLE, REFUSED = pairs()


def test_at_its_smallest_every_architecture_goes_with_everything():
    assert REFUSED == {}
    assert len(COMPATIBLE) == len(bundled("architecture")) * len(bundled("loss")) * len(ADDITIONS) * 2


@pytest.mark.parametrize("cell", COMPATIBLE)
def test_a_compatible_pair_moves_once_and_stays_finite(cell):
    component, data = cell.generator, cell.data
    regularizers, constraints, pac = cell.regularizers, cell.constraints, cell.pac
    (adam,) = bundled("optimizer")
    parts = Assembly(
        generator=component,
        discriminator=component,
        loss=cell.loss,
        regularizers=regularizers,
        constraints=constraints,
        augmentations=(),
        g_optimizer=adam(),
        d_optimizer=adam(),
        recipe=Recipe(batch_size=BATCH, pac=pac),
        budget=Budget(images=BATCH),
    )
    setup = Setup(
        parts,
        data=data,
        train=images(data, 8),
        held_out=images(data, 8),
        seed=0,
        keys={"dataset": "made up", "generator": component.name, "discriminator": component.name},
    )
    engine = Engine(setup, CPU)
    before = [p.detach().clone() for side in engine.sides.values() for p in side.params]
    engine.play_round(0.0)
    assert int(engine.first_bad) == -1
    after = [p for side in engine.sides.values() for p in side.params]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
