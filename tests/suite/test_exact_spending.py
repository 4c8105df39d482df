"""What a budget comes to, by hand; and the engine plays exactly that."""

from __future__ import annotations

import pytest

from ganbench.suite.plan import exact_spending
from ganbench.suite.recipe import Budget, Recipe

CASES = [  # schedule, batch, budget, has a discriminator, rounds, images, D updates, G updates
    (["D", "G"], 64, {"images": 640}, True, 10, 640, 10, 10),
    (["D", "G"], 64, {"images": 641}, True, 11, 704, 11, 11),
    (["D", "D", "G"], 10, {"images": 100}, True, 5, 100, 10, 5),
    (["D", "D", "G"], 10, {"images": 101}, True, 6, 120, 12, 6),
    (["D", "G", "G"], 10, {"images": 30}, True, 3, 30, 3, 6),
    (["DG"], 10, {"images": 30}, True, 3, 30, 3, 3),
    (["D", "DG"], 10, {"images": 30}, True, 2, 40, 4, 2),
    (["D"] * 5 + ["G"], 64, {"images": 50_000}, True, 157, 50_240, 785, 157),
    (["D", "D", "G"], 10, {"generator_updates": 4}, True, 4, 80, 8, 4),
    (["D", "G", "G"], 10, {"generator_updates": 5}, True, 3, 30, 3, 6),
    (["D", "G"], 10, {"images": 35}, False, 4, 40, 0, 4),
    (["D", "G", "G"], 10, {"images": 35}, False, 2, 40, 0, 4),
    (["DG"], 10, {"generator_updates": 3}, False, 3, 30, 0, 3),
    (["D", "D", "G"], 10, {"generator_updates": 3}, False, 3, 30, 0, 3),
    (["G"], 10, {"images": 10}, False, 1, 10, 0, 1),
]


@pytest.mark.parametrize("case", CASES)
def test_by_hand(case):
    schedule, batch, budget, judged, rounds, images, d, g = case
    found = exact_spending(Recipe(schedule=schedule, batch_size=batch), Budget(**budget), judged)
    assert found == {"rounds": rounds, "images": images, "d_updates": d, "g_updates": g}


def test_seconds_cannot_be_foretold():
    assert exact_spending(Recipe(), Budget(seconds=5)) is None


@pytest.mark.parametrize("case", CASES[2:7] + CASES[8:])
def test_training_spends_exactly_that(toys, plan, catalog, tmp_path, case):
    import torch

    from ganbench.suite.assemble import assemble
    from ganbench.training.loop import Training
    from ganbench.training.setup import Setup

    schedule, batch, budget, judged, *expected = case
    loss = "logistic" if judged else "autoencoding"
    made = plan(losses=[loss], seeds=1, recipe={"schedule": schedule, "batch_size": batch}, budget=budget)
    data = toys.Blobs(n=32)
    setup = Setup(
        assemble(made.cells[0].runs[0].config, catalog),
        data=data.spec(tmp_path), train=data.load(tmp_path, "train"), held_out=data.load(tmp_path, "test"), seed=0,
        keys={"dataset": "blobs", "generator": "tiny", "discriminator": "tiny"}, snapshots=(1.0,),
    )  # fmt: skip
    facts = Training(setup, tmp_path / "run", torch.device("cpu")).run().facts
    found = [facts[key] for key in ("rounds", "images_seen", "d_updates", "g_updates")]
    assert found == expected
