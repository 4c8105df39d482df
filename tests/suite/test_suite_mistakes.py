"""What a suite file gets wrong is said in one sentence that names the key, what was found, what is possible."""

from __future__ import annotations

import pytest

from ganbench.errors import GanbenchError, SuiteError
from ganbench.suite.recipe import Budget, Recipe
from ganbench.suite.schema import Entry, SuiteFile
from ganbench.suite.source import validate

WHOLE = {"name": "s", "datasets": ["blobs"], "architectures": ["tiny"], "losses": ["logistic"], "budget": {"images": 9}}
RECIPE_KEYS = ", ".join(sorted(Recipe.model_fields))
SEEDS = "s.toml: seeds wants a number of at least 1 and at most 10000, or a list; found "
UNITS = "s.toml: budget: wants exactly one of images, generator_updates, seconds; found "
EITHER = "s.toml: architecture number 1: wants either name, or both generator and discriminator"
RECIPE = "recipe (from suite [recipe]): "
SUITE_KEYS = ", ".join(sorted(SuiteFile.model_fields))
SCORING_KEYS = "at, extractor, force, metrics, samples, seed"
ENTRY_KEYS = "augmentations, constraints, label, recipe, regularizers, sweep"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        # unknown keys, level by level
        ({"bugdet": 1}, f"s.toml: unknown key 'bugdet'; did you mean 'budget'? known: {SUITE_KEYS}"),
        (
            {"scoring": {"sample": 5}},
            "s.toml: unknown key 'sample' in scoring; did you mean 'samples'? known: " + SCORING_KEYS,
        ),
        (
            {"budget": {"image": 5}},
            "s.toml: unknown key 'image' in budget; did you mean 'images'? known: generator_updates, images, seconds",
        ),
        (
            {"cell": [{"where": {}, "recipe": {}}, {"wher": {}, "recipe": {}}]},
            "s.toml: unknown key 'wher' in cell number 2; did you mean 'where'? known: recipe, where",
        ),
        (
            {"cell": [{"where": {"arch": "tiny"}, "recipe": {}}]},
            "s.toml: cell number 1, where: unknown axis 'arch'; known: architecture, dataset, loss",
        ),
        # missing keys
        ({"budget": None}, "s.toml: the key 'budget' is missing"),
        ({"cell": [{"recipe": {}}]}, "s.toml: the key 'where' is missing in cell number 1"),
        ({"loss": [{"label": "a"}]}, "s.toml: the key 'name' is missing in loss number 1"),
        # the budget
        ({"budget": {}}, UNITS + "none"),
        ({"budget": {"images": 1, "seconds": 2}}, UNITS + "images and seconds"),
        ({"budget": {"images": 1.5}}, "s.toml: budget.images: wants a whole number; found 1.5"),
        ({"budget": {"images": 0}}, "s.toml: budget.images: input should be greater than or equal to 1; found 0"),
        ({"budget": {"images": "1"}}, "s.toml: budget.images: wants a number; found '1'"),
        ({"budget": {"images": True}}, "s.toml: budget.images: wants a number; found True"),
        ({"budget": {"seconds": float("inf")}}, "s.toml: budget.seconds: wants a finite number; found inf"),
        ({"budget": 5}, "s.toml: budget: wants a table; found 5"),
        # seeds
        ({"seeds": 0}, SEEDS + "0"),
        ({"seeds": -3}, SEEDS + "-3"),
        ({"seeds": 2.5}, SEEDS + "2.5"),
        ({"seeds": 10**9}, SEEDS + str(10**9)),
        ({"seeds": True}, SEEDS + "True"),
        ({"seeds": "3"}, SEEDS + "'3'"),
        ({"seeds": []}, "s.toml: seeds is empty or names a seed twice; found []"),
        ({"seeds": [4, 4]}, "s.toml: seeds is empty or names a seed twice; found [4, 4]"),
        ({"seeds": [1, -1]}, "s.toml: seeds number 2: input should be greater than or equal to 0; found -1"),
        ({"seeds": [1, "2"]}, "s.toml: seeds number 2: wants a number; found '2'"),
        # wrong types, in TOML's words
        ({"datasets": "blobs"}, "s.toml: datasets: wants a list; found 'blobs'"),
        ({"datasets": [5]}, "s.toml: datasets number 1: wants a name or a table; found 5"),
        (
            {"losses": ["hin ge"]},
            "s.toml: losses number 1: cannot read 'hin ge'; write a name, or name(parameter=value, ...)",
        ),
        (
            {"name": "A b"},
            "s.toml: name: wants lower-case letters, digits and any of . _ + -, a letter or digit first; found 'A b'",
        ),
        ({"loss": [{"name": "firm", "label": 5}]}, "s.toml: loss number 1, label: wants text; found 5"),
        ({"loss": [{"name": "firm", "recipe": 5}]}, "s.toml: loss number 1, recipe: wants a table; found 5"),
        (
            {"loss": [{"name": "firm", "regularizers": [5]}]},
            "s.toml: loss number 1, regularizers number 1: wants a name or a table; found 5",
        ),
        ({"loss": [{"name": "firm", "sweep": {"w": 5}}]}, "s.toml: loss number 1, sweep.w: wants a list; found 5"),
        ({"loss": [{"name": "firm", "sweep": {"w": []}}]}, "s.toml: loss number 1: sweep.w is empty"),
        ({"cell": {"where": {}}}, "s.toml: cell: wants a list; found {'where': {}}"),
        ({"cell": [{"where": {"loss": 5}, "recipe": {}}]}, "s.toml: cell number 1, where.loss: wants a list; found 5"),
        (
            {"cell": [{"where": {"loss": [5]}, "recipe": {}}]},
            "s.toml: cell number 1, where.loss number 1: wants text; found 5",
        ),
        (
            {"cell": [{"where": {"loss": []}, "recipe": {}}]},
            "s.toml: cell number 1, where.loss: wants at least 1 of them; found []",
        ),
        ({"scoring": {"at": [0.5, 0]}}, "s.toml: scoring.at number 2: input should be greater than 0; found 0"),
        ({"scoring": {"at": []}}, "s.toml: scoring.at: wants at least 1 of them; found []"),
        ({"scoring": {"samples": 1}}, "s.toml: scoring.samples: input should be greater than or equal to 2; found 1"),
        ({"scoring": {"force": "yes"}}, "s.toml: scoring.force: wants true or false; found 'yes'"),
        ({"allow_incompatible": 1}, "s.toml: allow_incompatible: wants true or false; found 1"),
        (
            {"regularizers": ["r1+box"]},
            "s.toml: regularizers number 1: nothing can be added to 'r1' with + here; list every component on its own",
        ),
        # nothing to do, or too much
        ({"datasets": []}, "s.toml: the suite names no datasets"),
        ({"architectures": []}, "s.toml: the suite names no architectures"),
        ({"losses": []}, "s.toml: the suite names no losses"),
        ({"architecture": [{"generator": "tiny"}]}, EITHER),
        ({"architecture": [{"label": "a"}]}, EITHER),
        ({"architecture": [{"name": "tiny", "generator": "tiny", "discriminator": "tiny"}]}, EITHER),
    ],
)
def test_a_file_that_says_what_it_may_not(changes, sentence):
    table = {key: value for key, value in {**WHOLE, **changes}.items() if value is not None}
    with pytest.raises(SuiteError) as error:
        validate(table, "s.toml")
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        # names
        ({"losses": ["logistc"]}, "unknown loss 'logistc'; did you mean 'logistic'? known: "),
        ({"architectures": ["tny"]}, "unknown architecture 'tny'; did you mean 'tiny'? known: "),
        ({"datasets": ["blob"]}, "unknown dataset 'blob'; did you mean 'blobs'? known: "),
        ({"losses": ["tiny"]}, "unknown loss 'tiny' (there is the architecture of this name); known: "),
        ({"regularizers": ["zzz"]}, "unknown regularizer 'zzz'; known: "),
        ({"baselines": ["reel"]}, "unknown baseline 'reel'; did you mean 'real'? known: "),
        ({"scoring": {"extractor": "pixel"}}, "unknown extractor 'pixel'; did you mean 'pixels'? known: "),
        (
            {"losses": ["logistic+erly"]},
            "unknown regularizer 'erly', nor is it a constraint or augmentation; did you mean 'early'? known: ",
        ),
        (
            {"losses": ["logistic+twofold"]},
            "+twofold may be a regularizer or a constraint; name it under regularizers = [...]",
        ),
        ({"baselines": ["noise", "noise"]}, "baseline 'noise' is named twice; a table has one row for each"),
        ({"recipe": {"g_optimizer": "adm"}}, "unknown optimizer 'adm'; did you mean 'adam'? known: "),
        # parameters
        (
            {"architectures": ["tiny(nrm=true)"]},
            "architecture 'tiny' has no parameter 'nrm'; did you mean 'norm'? known: augmentations, codes, ",
        ),
        (
            {"loss": [{"name": "firm", "lable": "x"}]},
            f"loss 'firm' has no parameter 'lable'; did you mean 'label'? known: {ENTRY_KEYS}",
        ),
        (
            {"losses": ["logistic+r1(gama=1)"]},
            "regularizer 'r1' has no parameter 'gama'; did you mean 'gamma'? known: every, gamma",
        ),
        ({"losses": ["logistic+r1(gamma=-1)"]}, "regularizer 'r1': r1 needs a finite gamma >= 0, not -1.0"),
        (
            {"architecture": [{"generator": "tiny", "discriminator": "tiny", "norm": True}]},
            "a pair of architectures takes no parameters of its own; found norm",
        ),
        ({"recipe": {"g_optimizer": "adam(lr=1)"}}, "g_optimizer 'adam' cannot be given lr; set recipe.g_lr"),
        (
            {"recipe": {"d_optimizer": "adam(betas=[0,0])"}},
            "d_optimizer 'adam' cannot be given betas; set recipe.d_betas",
        ),
        ({"recipe": {"d_optimizer": "adam(eps=0)"}}, "optimizer 'adam': adam needs a finite eps > 0, not 0.0"),
        # sweeps and labels
        (
            {"architecture": [{"name": "tiny", "codes": 1, "sweep": {"codes": [2]}}]},
            "architecture entry 'tiny': codes is both set and swept; keep one of the two",
        ),
        (
            {"architecture": [{"name": "orderly", "sweep": {"label": ["a"]}}]},
            "architecture entry 'orderly': label is no parameter, so it cannot be swept",
        ),
        ({"losses": ["logistic", "logistic"]}, "two loss entries have the label 'logistic'"),
        ({"loss": [{"name": "firm", "label": "logistic"}]}, "two loss entries have the label 'logistic'"),
        (
            {"architecture": [{"name": "tiny", "label": "a", "sweep": {"codes": [2, 2]}}]},
            "two architecture entries have the label 'a-codes2'",
        ),
        (
            {"cell": [{"where": {"architecture": "tny"}, "recipe": {}}]},
            "[[cell]] number 1: no architecture is labelled 'tny'; labels: tiny",
        ),
        # recipes
        ({"recipe": {"lr": 1}}, f"suite [recipe]: unknown recipe key 'lr'; did you mean 'g_lr'? known: {RECIPE_KEYS}"),
        (
            {"loss": [{"name": "firm", "recipe": {"pack": 1}}]},
            "loss entry firm: unknown recipe key 'pack'; did you mean 'pac'? known: ",
        ),
        (
            {"architecture": [{"name": "orderly", "recipe": {"pack": 1}}]},
            "architecture entry orderly: unknown recipe key 'pack'",
        ),
        (
            {"dataset": [{"name": "blobs", "label": "b", "recipe": {"pack": 1}}]},
            "dataset entry b: unknown recipe key 'pack'",
        ),
        (
            {"cell": [{"where": {}, "recipe": {"pack": 1}}]},
            "[[cell]] number 1: unknown recipe key 'pack'; did you mean 'pac'?",
        ),
        ({"recipe": {"batch_size": "64"}}, RECIPE + "batch_size: wants a number; found '64'"),
        ({"recipe": {"batch_size": True}}, RECIPE + "batch_size: wants a number; found True"),
        ({"recipe": {"batch_size": 0}}, RECIPE + "batch_size: input should be greater than or equal to 1; found 0"),
        ({"recipe": {"batch_size": [1]}}, RECIPE + "batch_size: wants a whole number; found [1]"),
        ({"recipe": {"pac": 3}}, "batch_size 64 is not a multiple of pac 3"),
        ({"recipe": {"g_lr": 0}}, RECIPE + "g_lr: input should be greater than 0; found 0"),
        ({"recipe": {"g_lr": float("inf")}}, RECIPE + "g_lr: wants a finite number; found inf"),
        ({"recipe": {"ema_halflife_images": float("inf")}}, "ema_halflife_images: wants a finite number; found inf"),
        ({"recipe": {"g_betas": [0.5]}}, RECIPE + "g_betas number 2 is missing"),
        ({"recipe": {"g_betas": [0.5, 1]}}, RECIPE + "g_betas number 2: input should be less than 1; found 1"),
        ({"recipe": {"g_betas": [0.1, 0.2, 0.3]}}, "g_betas: wants at most 2 of them; found [0.1, 0.2, 0.3]"),
        ({"recipe": {"schedule": "DG"}}, RECIPE + "schedule: wants a list; found 'DG'"),
        ({"recipe": {"schedule": []}}, "schedule: wants at least 1 of them; found []"),
        ({"recipe": {"schedule": ["D", "E"]}}, "schedule number 2: input should be 'D', 'G' or 'DG'; found 'E'"),
        ({"recipe": {"schedule": ["D"]}}, RECIPE + "schedule: the generator never moves in this schedule"),
        (
            {"recipe": {"schedule": ["G"]}},
            RECIPE + "schedule: the discriminator of logistic never moves in ['G']; add D or DG",
        ),
        (
            {"recipe": {"g_lr_decay": "step"}},
            "g_lr_decay: input should be 'constant', 'linear' or 'cosine'; found 'step'",
        ),
        ({"recipe": {"g_optimizer": 5}}, RECIPE + "g_optimizer: wants a name or a table; found 5"),
        ({"recipe": {"g_optimizer": {"eps": 1}}}, RECIPE + "g_optimizer.name is missing"),
        (
            {"losses": ["logistic+early+late"]},
            "regularizer early wants ema_rampup = 0.4, regularizer late wants 0.45; set recipe.ema_rampup",
        ),
    ],
)
def test_a_suite_that_asks_for_what_has_no_meaning(plan, changes, sentence):
    with pytest.raises(GanbenchError) as error:
        plan(**changes)
    assert sentence in str(error.value)


def test_sentences_never_speak_of_pydantic(plan):
    wrong = [5, "x", True, [], [5], {}, {"x": 5}, [[]], 0.5, [{"x": 5}]]
    said = []
    for key in SuiteFile.model_fields:
        for value in wrong:
            try:
                validate({**WHOLE, key: value}, "s.toml")
            except SuiteError as error:
                said.append(str(error))
    assert len(said) > 100
    for sentence in said:
        assert not any(word in sentence for word in ("tuple", "dictionary", "Choice", "Entry", "instance", "function-"))
        assert "\n" not in sentence


@pytest.mark.parametrize(
    ("given", "seeds"),
    [(1, (0,)), (3, (0, 1, 2)), (2.0, (0, 1)), ([7, 0], (7, 0)), ([1e1], (10,)), (None, (0, 1, 2))],
)
def test_seeds_are_a_number_or_a_list(given, seeds):
    assert validate({**WHOLE, **({} if given is None else {"seeds": given})}, "s.toml").seeds == seeds


def test_whole_numbers_may_be_written_with_an_exponent():
    suite = validate({**WHOLE, "budget": {"images": 1e6}, "scoring": {"samples": 5e3}}, "s.toml")
    assert (suite.budget.images, suite.scoring.samples) == (1_000_000, 5_000)
    assert type(suite.budget.images) is int


def test_a_label_alone_matches_as_a_list_of_one_does():
    one, many = (
        validate({**WHOLE, "cell": [{"where": {"loss": loss}, "recipe": {}}]}, "s.toml") for loss in ("a", ["a"])
    )
    assert one == many


@pytest.mark.parametrize("unit", ["images", "generator_updates", "seconds"])
def test_a_budget_has_one_unit(unit):
    budget = Budget.model_validate({unit: 12})
    assert (budget.unit, budget.amount) == (unit, 12)


def test_the_short_form_and_the_table_mean_the_same():
    text = "tiny(codes=3)+r1(gamma=5)+box"
    table = {"name": "tiny", "codes": 3, "+": [{"name": "r1", "gamma": 5}, {"name": "box"}]}
    assert Entry.model_validate(text) == Entry.model_validate(table)


def test_a_suite_written_as_json_is_the_same_suite():
    suite = validate({**WHOLE, "losses": ["logistic+r1(gamma=5)"], "seeds": 2, "recipe": {"pac": 2}}, "s.toml")
    assert validate(suite.model_dump(mode="json", by_alias=True, exclude_none=True), "again") == suite
