"""The matrix: every bundled architecture with every bundled loss, and every addition, moves once or is refused by name.

The reasons against the others are kept in ``incompatible.txt``; after a change that is meant, write it anew with
``python tests/zoo/test_matrix.py``.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from ganbench.catalog import load_catalog
from ganbench.components import companions, incompatibility, offered, trait
from ganbench.suite.assemble import Assembly
from ganbench.suite.expand import core_incompatibility
from ganbench.suite.recipe import Budget, Recipe
from ganbench.suite.terms import parse_term
from ganbench.training.engine import Engine
from ganbench.training.setup import Setup
from ganbench.values import Cell, Images, ImageSpec

CPU = torch.device("cpu")
BATCH = 4
REASONS = Path(__file__).with_name("incompatible.txt")
VARIANTS = {"infogan_net": {"d_kind": "autoencoder"}}
"""Fields beside those of ``smallest()`` under which an architecture offers other things."""
COMPANY = ("mlp", "dcgan", "stylegan2", "infogan_net(autoencoder)")
"""The architectures with which additions are tried: between them they offer everything."""


def bundled(kind: str) -> dict[str, type]:
    return {e.name: e.component for e in load_catalog().of_kind(kind) if e.origin.startswith("ganbench ")}


def architectures() -> dict:
    """Return the smallest instance of each architecture and of its variants, with the data that it draws."""
    found = {}
    for name, cls in bundled("architecture").items():
        smallest, data = cls.smallest()
        found[name] = smallest, data
        if name in VARIANTS:
            found[f"{name}({'-'.join(VARIANTS[name].values())})"] = cls(**{**vars(smallest), **VARIANTS[name]}), data
    return found


def cell_of(architecture, data, loss, regularizers=(), constraints=(), pac=1) -> Cell:
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
        offers=offered(architecture, architecture),
    )


def cells() -> dict[str, Cell]:
    """Return every architecture with every loss, and in some company every addition, alone and packed."""
    networks, losses = architectures(), bundled("loss")
    found = {f"{name} + {loss}": cell_of(*networks[name], losses[loss]()) for name in networks for loss in losses}
    added = [((cls(),), ()) for cls in bundled("regularizer").values()]
    added += [((), (cls(),)) for cls in bundled("constraint").values()]
    plain = losses["non_saturating"]()
    for name, (regularizers, constraints), pac in itertools.product(COMPANY, added, (1, 2)):
        (addition,) = (*regularizers, *constraints)
        packed = f" + pac {pac}" if pac > 1 else ""
        cell = cell_of(*networks[name], plain, regularizers, constraints, pac)
        found[f"{name} + non_saturating + {addition.name}{packed}"] = cell
    for name, loss in itertools.product(COMPANY, losses):
        found[f"{name} + {loss} + pac 2"] = cell_of(*networks[name], losses[loss](), pac=2)
    return found


def reason_against(cell: Cell) -> str | None:
    return core_incompatibility(cell) or incompatibility(cell)


def said(refused: dict[str, str]) -> str:
    return "".join(f"{name}: {reason}\n" for name, reason in sorted(refused.items()))


CELLS = cells()
REFUSED = {name: reason for name, cell in CELLS.items() if (reason := reason_against(cell))}
COMPATIBLE = [pytest.param(cell, id=name) for name, cell in CELLS.items() if name not in REFUSED]


def test_the_reasons_against_the_others_are_those_on_file():
    assert said(REFUSED) == REASONS.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["loss", "regularizer", "constraint"])
def test_everything_goes_with_something(kind):
    tried = {name for name in bundled(kind) if any(f" + {name}" in param.id for param in COMPATIBLE)}
    assert tried == set(bundled(kind))


@pytest.mark.parametrize("cell", COMPATIBLE)
def test_a_compatible_combination_moves_once_and_stays_finite(cell):
    moves(cell, Recipe(batch_size=BATCH, pac=cell.pac))


OPTIMIZERS = [
    *bundled("optimizer"),
    *(f"{name}(base={base})" for name in ("optimistic", "extragradient") for base in ("sgd", "adam")),
]


@pytest.mark.parametrize("schedule", [("D", "G"), ("DG",)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_moves_both_players(optimizer, schedule):
    term = parse_term(optimizer)
    step = bundled("optimizer")[term.name](**term.parameters)
    cell = cell_of(*architectures()["mlp"], bundled("loss")["non_saturating"]())
    moves(cell, Recipe(batch_size=BATCH, schedule=schedule), step)


def moves(cell: Cell, recipe: Recipe, optimizer=None) -> None:
    """Play one round of ``cell`` and check that something moved and all is finite."""
    optimizer = optimizer or bundled("optimizer")["adam"]()
    parts = Assembly(
        generator=cell.generator,
        discriminator=cell.discriminator,
        loss=cell.loss,
        regularizers=cell.regularizers,
        constraints=cell.constraints,
        augmentations=(),
        g_optimizer=optimizer,
        d_optimizer=optimizer,
        recipe=recipe,
        budget=Budget(images=BATCH),
    )
    name = cell.generator.name
    setup = Setup(
        parts,
        data=cell.data,
        train=images(cell.data, 8),
        held_out=images(cell.data, 8),
        seed=0,
        keys={"dataset": "made up", "generator": name, "discriminator": name},
    )
    engine = Engine(setup, CPU)
    before = [p.detach().clone() for side in engine.sides.values() for p in side.params]
    engine.play_round(0.0)
    assert int(engine.first_bad) == -1
    after = [p for side in engine.sides.values() for p in side.params]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def images(data, n: int) -> Images:
    rng = torch.Generator().manual_seed(0)
    if isinstance(data, ImageSpec):
        pixels = torch.randint(0, 256, (n, *data.shape), generator=rng, dtype=torch.uint8)
    else:
        pixels = torch.randn(n, *data.shape, generator=rng)
    return Images(pixels, torch.arange(n) % data.classes if data.classes else None)


if __name__ == "__main__":
    REASONS.write_text(said(REFUSED), encoding="utf-8")
