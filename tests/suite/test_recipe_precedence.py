"""core < architecture < loss < regularizer < suite < entry < [[cell]] < command line; every value knows its origin."""

from __future__ import annotations

import itertools

import pytest

from ganbench.errors import SuiteError
from ganbench.suite.layers import Layer, resolve
from ganbench.suite.recipe import Recipe

KEY = "ema_rampup"
LOSS = {"name": "logistic", "label": "loss"}
LEVELS = (  # level, its value, its origin, what sets it
    ("core", 0.05, "core", {}),
    ("architecture", 0.2, "architecture orderly", {"architectures": ["orderly"]}),
    ("loss", 0.3, "loss firm", {"loss": {"name": "firm"}}),
    ("regularizer", 0.4, "regularizer early", {"loss": {"regularizers": ["early"]}}),
    ("suite", 0.5, "suite [recipe]", {"recipe": {KEY: 0.5}}),
    ("entry", 0.6, "loss entry loss", {"loss": {"recipe": {KEY: 0.6}}}),
    ("cell", 0.7, "[[cell]] number 1", {"cell": [{"where": {"loss": "loss"}, "recipe": {KEY: 0.7}}]}),
    ("command line", 0.8, "command line", {"overrides": {KEY: 0.8}}),
)


def only_run(plan, **changes):
    (cell,) = plan(seeds=1, **changes).cells
    (run,) = cell.runs
    return run


def said(run, key: str) -> tuple:
    return run.origins[key]["value"], run.origins[key]["from"]


@pytest.mark.parametrize("levels", [*itertools.combinations(LEVELS, 2), LEVELS, LEVELS[:5]])
def test_the_highest_level_that_speaks_wins(plan, levels):
    changes, loss = {}, dict(LOSS)
    for _, _, _, change in levels:
        loss |= change.get("loss", {})
        changes |= {key: value for key, value in change.items() if key != "loss"}
    run = only_run(plan, losses=[], loss=[loss], **changes)
    _, value, origin, _ = levels[-1]
    assert said(run, KEY) == (value, origin)
    assert run.config["recipe"][KEY] == value


def test_every_key_has_a_value_and_an_origin(plan):
    run = only_run(plan)
    assert set(run.origins) == set(Recipe.model_fields)
    assert all(entry["from"] == "core" for entry in run.origins.values())
    assert said(run, "schedule") == (["D", "G"], "core")
    assert said(run, "g_optimizer") == ({"name": "adam"}, "core")


def test_of_entries_the_loss_wins_over_the_architecture_and_that_over_the_dataset(plan):
    recipes = {"dataset": {KEY: 0.1, "pac": 1, "g_lr": 0.1}, "architecture": {KEY: 0.2, "pac": 2}, "loss": {KEY: 0.3}}
    names = {"dataset": "blobs", "architecture": "tiny", "loss": "logistic"}
    entries = {axis: [{"name": names[axis], "recipe": recipe}] for axis, recipe in recipes.items()}
    run = only_run(plan, datasets=[], architectures=[], losses=[], **entries)
    assert said(run, KEY) == (0.3, "loss entry logistic")
    assert said(run, "pac") == (2, "architecture entry tiny")
    assert said(run, "g_lr") == (0.1, "dataset entry blobs")


def test_a_later_cell_rule_wins_where_both_match(plan):
    rules = [
        {"where": {"loss": ["logistic", "bilinear"]}, "recipe": {KEY: 0.1, "pac": 2}},
        {"where": {"loss": "logistic", "architecture": "tiny"}, "recipe": {KEY: 0.2}},
        {"where": {"dataset": "blobs", "loss": "bilinear"}, "recipe": {KEY: 0.3}},
        {"where": {}, "recipe": {"g_lr": 0.5}},
    ]
    logistic, bilinear = plan(losses=["logistic", "bilinear"], seeds=1, cell=rules).cells
    assert said(logistic.runs[0], KEY) == (0.2, "[[cell]] number 2")
    assert said(bilinear.runs[0], KEY) == (0.3, "[[cell]] number 3")
    for cell in (logistic, bilinear):
        assert said(cell.runs[0], "pac") == (2, "[[cell]] number 1")
        assert said(cell.runs[0], "g_lr") == (0.5, "[[cell]] number 4")


def test_of_a_pair_the_discriminator_sets_its_own_keys(plan):
    run = only_run(plan, architectures=[{"generator": "orderly", "discriminator": "strict"}])
    assert said(run, "g_lr") == (0.01, "architecture orderly")
    assert said(run, "d_lr") == (0.04, "architecture strict")
    assert said(run, "d_betas") == ([0.1, 0.2], "architecture strict")
    assert said(run, "batch_size") == (8, "architecture orderly")
    assert run.config["d_optimizer"]["parameters"]["lr"] == 0.04
    turned = only_run(plan, architectures=[{"generator": "strict", "discriminator": "orderly"}])
    assert said(turned, "g_lr") == (0.03, "architecture strict")
    assert said(turned, "d_lr") == (0.02, "architecture orderly")
    assert said(turned, "d_betas") == ([0.5, 0.999], "core")
    assert said(turned, "ema_rampup") == (0.05, "core")
    assert run.config["g_optimizer"]["parameters"]["betas"] == [0.5, 0.999]


SETTLING = [
    ({"recipe": {KEY: 0.5}}, "suite [recipe]"),
    ({"architectures": [{"name": "tiny", "recipe": {KEY: 0.5}}]}, "architecture entry tiny"),
    ({"cell": [{"where": {}, "recipe": {KEY: 0.5}}]}, "[[cell]] number 1"),
    ({"overrides": {KEY: 0.5}}, "command line"),
]


@pytest.mark.parametrize(("settling", "origin"), SETTLING)
def test_regularizers_that_disagree_want_it_settled_above_them(plan, settling, origin):
    with pytest.raises(SuiteError, match=r"regularizer early wants ema_rampup = 0.4, regularizer late wants 0.45"):
        plan(losses=["firm+early+late"])  # the loss stands below
    assert said(only_run(plan, losses=["firm+early+late"], **settling), KEY) == (0.5, origin)


def test_a_rule_that_matches_another_cell_settles_nothing(plan):
    rule = {"where": {"loss": "logistic"}, "recipe": {KEY: 0.5}}
    with pytest.raises(SuiteError, match=r"set recipe.ema_rampup in the suite to settle it"):
        plan(losses=["logistic", "firm+early+late"], cell=[rule])


def test_a_constraint_brings_its_recipe_and_may_disagree_too(plan):
    run = only_run(plan, constraints=["twofold"])
    assert said(run, KEY) == (0.41, "constraint twofold")
    with pytest.raises(SuiteError, match=r"regularizer early wants ema_rampup = 0.4, constraint twofold wants 0.41"):
        plan(constraints=["twofold"], regularizers=["early"])


def test_a_list_and_a_tuple_agree(plan):
    run = only_run(plan, regularizers=["early", "late"], recipe={KEY: 0.1})
    assert said(run, "schedule") == (["D", "G"], "regularizer late")


def test_the_optimizer_takes_its_part_of_the_recipe_and_its_own_parameters(plan):
    run = only_run(plan, recipe={"g_lr": 1, "g_optimizer": "adam(eps=1e-7)", "d_optimizer": "plain_sgd", "d_lr": 0.5})
    assert run.config["g_optimizer"]["parameters"] == {"lr": 1.0, "betas": [0.5, 0.999], "eps": 1e-7}
    assert run.config["d_optimizer"]["parameters"] == {"lr": 0.5}
    assert not {"g_lr", "d_lr", "g_betas", "d_betas", "g_optimizer", "d_optimizer"} & set(run.config["recipe"])


def test_a_component_whose_recipe_is_wrong_is_named():
    with pytest.raises(SuiteError, match=r"^loss odd: unknown recipe key 'lr'; did you mean 'g_lr'\? known: "):
        resolve([Layer("loss odd", {"lr": 1})])
    with pytest.raises(SuiteError, match=r"^recipe \(from regularizer odd\): d_lr: wants a number; found 'x'$"):
        resolve([Layer("suite [recipe]", {"d_lr": 1}), Layer("regularizer odd", {"d_lr": "x"})])
