"""From a run's configuration back to its components, in another process, after it went through JSON."""

from __future__ import annotations

import json

import pytest

from ganbench.errors import SuiteError, UnknownComponent
from ganbench.suite.assemble import assemble, component
from ganbench.suite.recipe import Budget, Recipe


def stored(plan) -> dict:
    (cell,) = plan.cells
    return json.loads(json.dumps(cell.runs[0].config))


def test_components_come_back_as_they_were(plan, catalog):
    made = plan(
        architectures=[{"generator": "tiny(codes=3)", "discriminator": "batch_coupled(norm=true)"}],
        losses=["exploding(at=7)+slope_penalty(side=real,every=2)+box(c=0.2)+brightness"],
        recipe={"g_optimizer": "adam(eps=1e-7)", "d_optimizer": "plain_sgd", "g_lr": 0.5, "schedule": ["D", "DG"]},
        budget={"seconds": 2},
    )

    def of(kind, name, **parameters):
        return catalog.find(kind, name).component(**parameters)

    found = assemble(stored(made), catalog)
    assert found.generator == of("architecture", "tiny", codes=3)
    assert found.discriminator == of("architecture", "batch_coupled", norm=True)
    assert found.loss == of("loss", "exploding", at=7)
    assert found.regularizers == (of("regularizer", "slope_penalty", side="real", every=2),)
    assert found.constraints == (of("constraint", "box", c=0.2),)
    assert found.augmentations == (of("augmentation", "brightness"),)
    assert found.g_optimizer == of("optimizer", "adam", lr=0.5, betas=(0.5, 0.999), eps=1e-7)
    assert found.d_optimizer == of("optimizer", "plain_sgd", lr=2e-4)
    assert found.recipe == Recipe(schedule=("D", "DG"))
    assert found.budget == Budget(seconds=2)


def test_a_dataset_comes_back_too(plan, catalog, tmp_path):
    (tmp_path / "content.txt").write_text("a")
    made = plan(datasets=["own(path=p,sizes=[4,8],tags={b=1})"])
    found = component(catalog, "dataset", stored(made)["dataset"])
    assert found == catalog.find("dataset", "own").component(path="p", sizes=(4, 8), tags={"b": 1})


def test_a_source_that_changed_since_is_refused(plan, edited):
    config = stored(plan(using=edited(), losses=["edited(weight=2)"]))
    assert assemble(config, edited()).loss.weight == 2.0
    with pytest.raises(SuiteError) as error:
        assemble(config, edited("Half a loss", "Half of a loss"))
    assert str(error.value) == "the source of loss 'edited' has changed since the run was planned"


def test_a_plugin_that_is_gone_is_named(plan, edited, catalog):
    config = stored(plan(using=edited(), losses=["edited"]))
    with pytest.raises(UnknownComponent, match="unknown loss 'edited'"):
        assemble(config, catalog)
