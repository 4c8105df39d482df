"""Random search: what is drawn, what it depends on, where it goes, and what a file may not say of it."""

from __future__ import annotations

import math
import tomllib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganbench.errors import GanbenchError, SuiteError
from ganbench.suite.schema import Search
from ganbench.suite.search import Chosen, draw, split_label, trial_label
from ganbench.suite.source import validate

LR = {"recipe.g_lr": {"log_uniform": [1e-5, 1e-2]}}
BOX = {"box.c": {"log_uniform": [1e-3, 1.0]}}
WHOLE = {"name": "s", "datasets": ["blobs"], "architectures": ["tiny"], "losses": ["logistic"], "budget": {"images": 9}}


def search(space=LR, trials: int = 3, **more) -> dict:
    return {"trials": trials, "space": space, **more}


def values(key: str, dimension: dict, n: int = 400) -> list:
    space = Search.model_validate(search({key: dimension}))
    return [draw(space, number)[key] for number in range(n)]


def names(plan) -> list[str]:
    return [cell.labels["loss"] for cell in plan.cells]


def recipe(cell, key: str):
    return cell.runs[0].origins[key]["value"]


def origin(cell, key: str) -> str:
    return cell.runs[0].origins[key]["from"]


# What is drawn


def test_a_uniform_draw_fills_its_range_evenly():
    found = values("recipe.x", {"uniform": [2, 4]})
    assert all(2 <= value < 4 for value in found)
    assert abs(sum(found) / len(found) - 3) < 3 * math.sqrt(4 / 12 / len(found))
    assert len(set(found)) > 390


def test_a_log_uniform_draw_fills_every_decade_evenly():
    found = values("recipe.x", {"log_uniform": [1e-5, 1e-2]}, 900)
    assert all(1e-5 <= value < 1e-2 for value in found)
    decades = [sum(low <= value < 10 * low for value in found) for low in (1e-5, 1e-4, 1e-3)]
    assert all(abs(count - 300) < 3 * math.sqrt(900 * 2 / 9) for count in decades)


def test_whole_numbers_and_choices_are_all_drawn_alike():
    for dimension, wanted in (({"int_uniform": [3, 5]}, [3, 4, 5]), ({"choice": [["D"], "x", 0.5]}, [["D"], "x", 0.5])):
        found = values("recipe.x", dimension, 600)
        counts = [found.count(value) for value in wanted]
        assert sum(counts) == 600
        assert all(abs(count - 200) < 3 * math.sqrt(600 * 2 / 9) for count in counts)


def test_draws_are_the_same_on_every_machine():
    space = {
        "recipe.g_lr": {"log_uniform": [1e-5, 1e-2]},
        "recipe.pac": {"int_uniform": [1, 4]},
        "recipe.schedule": {"choice": [["D", "G"], ["D", "D", "G"]]},
        "recipe.g_betas[0]": {"uniform": [0, 1]},
    }
    assert draw(Search.model_validate(search(space, seed=1)), 7) == {
        "recipe.g_lr": 0.000443355,
        "recipe.pac": 1,
        "recipe.schedule": ["D", "D", "G"],
        "recipe.g_betas[0]": 0.448328,
    }


@given(st.floats(1e-12, 1e12), st.floats(1.0001, 1e6), st.integers(0, 50))
def test_no_draw_leaves_its_range(low, factor, number):
    for form in ("uniform", "log_uniform"):
        space = Search.model_validate(search({"recipe.x": {form: [low, low * factor]}}))
        assert low <= draw(space, number)["recipe.x"] < low * factor


def test_a_narrow_range_below_one_never_rounds_up_to_it():
    assert max(values("recipe.x", {"uniform": [0.99999, 1]}, 400)) < 1


# What a value depends on


def test_more_trials_keep_the_ones_before(plan):
    few, many = (plan(search=search(trials=n)) for n in (2, 5))
    assert names(many) == [f"logistic.t{i:03d}" for i in range(5)]
    ids = {cell.labels["loss"]: [run.id for run in cell.runs] for cell in many.cells}
    assert all([run.id for run in cell.runs] == ids[cell.labels["loss"]] for cell in few.cells)


def test_other_keys_and_their_order_change_nothing(plan):
    alone = plan(search=search())
    both = plan(search=search({"recipe.d_lr": {"uniform": [0.1, 0.2]}, **LR}))
    assert [recipe(cell, "g_lr") for cell in alone.cells] == [recipe(cell, "g_lr") for cell in both.cells]


def test_a_trial_is_the_same_for_every_loss_architecture_and_dataset(plan):
    found = plan(
        search=search(), losses=["logistic", "hinge"], architectures=["tiny", "tiny(codes=2)"], datasets=["blobs"]
    )
    by_trial = {}
    for cell in found.cells:
        by_trial.setdefault(cell.trial.number, set()).add(recipe(cell, "g_lr"))
    assert all(len(rates) == 1 for rates in by_trial.values())
    assert len(set.union(*by_trial.values())) == 3


def test_another_seed_or_key_draws_anew(plan):
    one, two = (plan(search=search(seed=seed)) for seed in (0, 1))
    assert not {recipe(c, "g_lr") for c in one.cells} & {recipe(c, "g_lr") for c in two.cells}
    (cell, *_) = plan(search=search({**LR, "recipe.d_lr": {"log_uniform": [1e-5, 1e-2]}})).cells
    assert recipe(cell, "g_lr") != recipe(cell, "d_lr")


def test_a_search_may_be_divided(plan):
    whole, second = plan(search=search(trials=4)), plan(search=search(trials=2, first=2))
    assert names(second) == names(whole)[2:]
    assert [cell.runs[0].id for cell in second.cells] == [cell.runs[0].id for cell in whole.cells][2:]


# Where it goes


def test_trials_are_labelled_and_say_where_values_are_from(plan):
    found = plan(losses=["hinge", "logistic"], search=search())
    assert names(found) == [f"{loss}.t00{i}" for loss in ("hinge", "logistic") for i in range(3)]
    assert origin(found.cells[2], "g_lr") == "search trial 2"
    assert origin(found.cells[2], "d_lr") == "core"
    assert found.cells[4].runs[0].labels["loss"] == "logistic.t001"
    trial = found.cells[4].trial
    assert (trial.number, trial.loss, list(trial.values)) == (1, "logistic", ["recipe.g_lr"])
    assert recipe(found.cells[4], "g_lr") == trial.values["recipe.g_lr"]
    assert found.cells[4].runs[0].config["g_optimizer"]["parameters"]["lr"] == trial.values["recipe.g_lr"]


def test_every_first_trial_is_run_before_any_second(plan):
    found = plan(losses=["hinge", "logistic"], search=search(trials=2), seeds=2, baselines=[])
    assert [(run.labels["loss"], run.seed) for run in found.runs()] == [
        (f"{loss}.t00{trial}", seed) for seed in (0, 1) for trial in (0, 1) for loss in ("hinge", "logistic")
    ]


def test_a_search_stands_above_entries_and_below_cells_and_the_command_line(plan):
    entry = [{"name": "logistic", "recipe": {"g_lr": 0.5, "d_lr": 0.5}}]
    (cell,) = plan(losses=[], loss=entry, search=search(trials=1)).cells
    assert (origin(cell, "g_lr"), origin(cell, "d_lr")) == ("search trial 0", "loss entry logistic")
    rule = [{"where": {"loss": "logistic"}, "recipe": {"g_lr": 0.25}}]
    (cell,) = plan(search=search(trials=1), cell=rule).cells
    assert (origin(cell, "g_lr"), recipe(cell, "g_lr"), cell.trial.values) == ("[[cell]] number 1", 0.25, {})
    (cell,) = plan(search=search(trials=1), overrides={"g_lr": 0.125}).cells
    assert (origin(cell, "g_lr"), cell.labels["loss"]) == ("command line", "logistic.t000")


def test_what_is_searched_settles_what_regularizers_disagree_on(plan):
    space = {"recipe.ema_rampup": {"uniform": [0.1, 0.2]}}
    assert len(plan(losses=["firm+early+late"], search=search(space)).cells) == 3


def test_one_element_leaves_the_others(plan):
    space = {"recipe.g_betas[0]": {"uniform": [0.2, 0.4]}, "recipe.d_betas[0]": {"same_as": "recipe.g_betas[0]"}}
    for cell in plan(search=search(space), recipe={"g_betas": [0.0, 0.75]}).cells:
        first, second = recipe(cell, "g_betas")
        assert (0.2 <= first < 0.4, second) == (True, 0.75)
        assert recipe(cell, "d_betas") == [first, 0.999]
        assert origin(cell, "g_betas") == f"search trial {cell.trial.number}"


def test_a_key_of_a_component_is_for_the_cells_that_have_it(plan):
    found = plan(losses=["logistic+box", "logistic"], search=search({**LR, **BOX}))
    boxed, plain = found.cells[:3], found.cells[3:]
    for cell in boxed:
        c = cell.runs[0].config["constraints"][0]["parameters"]["c"]
        assert c == cell.trial.values["box.c"]
        assert 1e-3 <= c < 1
    assert len({cell.runs[0].config["constraints"][0]["parameters"]["c"] for cell in boxed}) == 3
    assert [list(cell.trial.values) for cell in plain] == [["recipe.g_lr"]] * 3
    assert [recipe(cell, "g_lr") for cell in boxed] == [recipe(cell, "g_lr") for cell in plain]


def test_cells_without_a_key_are_planned_once(plan):
    found = plan(losses=["logistic+box", "logistic"], search=search(BOX))
    assert names(found) == ["logistic+box.t000", "logistic+box.t001", "logistic+box.t002", "logistic"]
    assert found.cells[-1].trial is None


@pytest.mark.parametrize("where", ["regularizers", "constraints", "everywhere", "dataset", "architecture"])
def test_a_component_is_found_wherever_it_was_added(plan, where):
    changes = {
        "regularizers": {"losses": [{"name": "logistic", "regularizers": ["twofold", "r1"]}]},
        "constraints": {"losses": [{"name": "logistic", "regularizers": ["r1"]}]},
        "everywhere": {"regularizers": ["r1"]},
        "dataset": {"datasets": ["blobs+r1"]},
        "architecture": {"architectures": ["tiny+r1"]},
    }[where]
    for cell in plan(search=search({"r1.gamma": {"uniform": [2, 3]}}), **changes).cells:
        (gamma,) = [r["parameters"]["gamma"] for r in cell.runs[0].config["regularizers"] if r["name"] == "r1"]
        assert 2 <= gamma < 3


def test_architectures_by_name_or_whichever_has_the_field(plan):
    space = {"architecture.norm": {"choice": [True]}, "tiny.codes": {"int_uniform": [2, 3]}}
    found = plan(architectures=["tiny", "batch_coupled", "orderly"], search=search(space, trials=1))
    tiny, coupled, orderly = found.cells
    for side in ("generator", "discriminator"):
        assert tiny.runs[0].config[side]["parameters"]["norm"] is True
        assert coupled.runs[0].config[side]["parameters"]["norm"] is True
    assert tiny.runs[0].config["generator"]["parameters"]["codes"] in (2, 3)
    assert coupled.runs[0].config["generator"]["parameters"]["codes"] == 0
    assert orderly.trial is None


def test_compatibility_is_asked_of_the_drawn_components(plan):
    space = {"tiny.codes": {"choice": [0, 3]}}
    found = plan(losses=["logistic+auxiliary"], search=search(space, trials=8))
    skipped = {cell.trial.values["tiny.codes"]: cell.skipped for cell in found.cells}
    assert skipped == {0: "the latent has no categorical code to predict", 3: None}


def test_where_limits_a_key_by_labels_without_the_trial(plan):
    space = {**LR, "recipe.d_lr": {"uniform": [0.1, 0.2], "where": {"loss": "hinge"}}}
    rule = [{"where": {"loss": "logistic"}, "recipe": {"pac": 2}}]
    hinge, logistic = plan(losses=["hinge", "logistic"], search=search(space, trials=1), cell=rule).cells
    assert (origin(hinge, "d_lr"), origin(logistic, "d_lr")) == ("search trial 0", "core")
    assert (recipe(hinge, "pac"), recipe(logistic, "pac")) == (1, 2)


def test_a_key_may_be_written_with_or_without_quotes():
    quoted, plain = (
        tomllib.loads(f"trials = 1\n[space]\n{text}")
        for text in ('"recipe.g_lr" = { uniform = [0, 1] }', "recipe.g_lr = { uniform = [0, 1] }")
    )
    assert quoted != plain
    assert Search.model_validate(quoted) == Search.model_validate(plain)


def test_a_search_written_as_json_is_the_same_search():
    suite = validate({**WHOLE, "search": search({**LR, **BOX})}, "s.toml")
    assert validate(suite.model_dump(mode="json", by_alias=True, exclude_none=True), "again") == suite
    assert Search.model_validate(suite.model_dump(mode="json", by_alias=True)["search"]) == suite.search


@pytest.mark.parametrize(("loss", "number"), [("a", 0), ("wgan_gp", 7), ("a.b+c", 999), ("a", 1000), ("a", 54321)])
def test_a_label_tells_loss_and_trial(loss, number):
    assert split_label(trial_label(loss, number)) == (loss, number)


@pytest.mark.parametrize("label", ["a", "a.t1", "a.t12", "t007", "a.t007b", "a-t007"])
def test_a_label_without_a_trial(label):
    assert split_label(label) == (label, None)


# The best of a finished search


def chosen(best) -> Chosen:
    return Chosen(Search.model_validate(search(trials=9)), best, "narrow")


def test_the_best_trials_are_planned_with_the_values_that_they_had(plan):
    before = plan(losses=["hinge", "logistic"], search=search(trials=9))
    had = {cell.labels["loss"]: recipe(cell, "g_lr") for cell in before.cells}
    best = chosen({("blobs", "tiny", "hinge"): (4,), ("blobs", "tiny", "logistic"): (7, 2)})
    found = plan(losses=["hinge", "logistic"], search={"best": {"results": "narrow", "metric": "fd"}}, chosen=best)
    assert names(found) == ["hinge.t004", "logistic.t007", "logistic.t002"]
    assert all(recipe(cell, "g_lr") == had[cell.labels["loss"]] for cell in found.cells)
    assert origin(found.cells[0], "g_lr") == "search trial 4 of narrow"


def test_a_combination_without_a_best_trial_says_why(plan):
    best = chosen({("blobs", "tiny", "hinge"): "all 9 trials diverged", ("blobs", "tiny", "logistic"): (1,)})
    found = plan(losses=["hinge", "logistic"], search={"best": {"results": "narrow", "metric": "fd"}}, chosen=best)
    assert [(cell.labels["loss"], cell.skipped) for cell in found.cells] == [
        ("hinge", "all 9 trials diverged"),
        ("logistic.t001", None),
    ]


def test_a_combination_that_was_not_searched_is_refused(plan):
    with pytest.raises(SuiteError) as error:
        plan(search={"best": {"results": "n", "metric": "fd"}}, chosen=chosen({("blobs", "tiny", "hinge"): (4,)}))
    assert str(error.value) == ("search.best: narrow did not search blobs/tiny/logistic; it searched blobs/tiny/hinge")


def test_the_best_cannot_be_planned_without_results(plan):
    with pytest.raises(SuiteError, match=r"^search.best wants the results of n, which were not read$"):
        plan(search={"best": {"results": "n", "metric": "fd"}})


# Mistakes

FORMS = "wants exactly one of uniform, log_uniform, int_uniform, choice, same_as; found "


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "s.toml: search: wants trials and a space, or best"),
        ({"trials": 3}, "s.toml: search: wants trials and a space, or best"),
        ({"space": LR}, "s.toml: search: wants trials and a space, or best"),
        ({"trials": 0, "space": LR}, "s.toml: search.trials: input should be greater than or equal to 1; found 0"),
        ({"trials": 2.5, "space": LR}, "s.toml: search.trials: wants a whole number; found 2.5"),
        ({"trial": 3}, "s.toml: unknown key 'trial' in search; did you mean 'trials'? known: "),
        ({"trials": 1, "space": {"recipe.g_lr": 5}}, "s.toml: search.space.recipe.g_lr: wants a table; found 5"),
        ({"trials": 1, "space": {"recipe.g_lr": {}}}, "s.toml: search.space.recipe.g_lr: " + FORMS + "none"),
        (
            {"trials": 1, "space": {"recipe.g_lr": {"uniform": [0, 1], "choice": [1]}}},
            "s.toml: search.space.recipe.g_lr: " + FORMS + "uniform and choice",
        ),
        (
            {"trials": 1, "space": {"recipe.g_lr": {"loguniform": [0, 1]}}},
            "s.toml: unknown key 'loguniform' in search.space.recipe.g_lr; did you mean 'log_uniform'? known: ",
        ),
        (
            {"trials": 1, "space": {"recipe.g_lr": {"uniform": [1, 1]}}},
            "s.toml: search.space.recipe.g_lr: uniform wants a low and a higher end; found [1.0, 1.0]",
        ),
        (
            {"trials": 1, "space": {"recipe.g_lr": {"log_uniform": [0, 1]}}},
            "s.toml: search.space.recipe.g_lr: log_uniform wants both ends above 0; found [0.0, 1.0]",
        ),
        (
            {"trials": 1, "space": {"recipe.g_lr": {"log_uniform": [-2, -1]}}},
            "s.toml: search.space.recipe.g_lr: log_uniform wants both ends above 0; found [-2.0, -1.0]",
        ),
        (
            {"trials": 1, "space": {"recipe.pac": {"int_uniform": [3, 2]}}},
            "s.toml: search.space.recipe.pac: int_uniform wants a low and a higher end; found [3, 2]",
        ),
        (
            {"trials": 1, "space": {"recipe.pac": {"int_uniform": [1, 2.5]}}},
            "s.toml: search.space.recipe.pac.int_uniform number 2: wants a whole number; found 2.5",
        ),
        (
            {"trials": 1, "space": {"recipe.g_lr": {"uniform": [1]}}},
            "s.toml: search.space.recipe.g_lr.uniform number 2 is missing",
        ),
        (
            {"trials": 1, "space": {"recipe.g_lr": {"choice": []}}},
            "s.toml: search.space.recipe.g_lr.choice: wants at least 1 of them; found []",
        ),
        (
            {"trials": 1, "space": {"recipe.g_lr": {"uniform": [0, 1], "where": {"arch": "a"}}}},
            "s.toml: search.space.recipe.g_lr.where: unknown axis 'arch'; known: architecture, dataset, loss",
        ),
        (
            {"trials": 1, "space": {"g_lr": {"uniform": [0, 1]}}},
            "s.toml: search.space: cannot read the key 'g_lr'; write recipe.KEY or COMPONENT.FIELD",
        ),
        (
            {"trials": 1, "space": {"recipe.g_betas[x]": {"uniform": [0, 1]}}},
            "s.toml: search.space: cannot read the key 'recipe.g_betas[x]'; write recipe.KEY or COMPONENT.FIELD",
        ),
        (
            {"trials": 1, "space": {**LR, "recipe": {"g_lr": {"uniform": [0, 1]}}}},
            "s.toml: search.space: names recipe.g_lr twice",
        ),
        (
            {"trials": 1, "space": {"recipe.g_betas": {"choice": [[0, 1]]}, "recipe.g_betas[0]": {"choice": [0]}}},
            "s.toml: search.space: recipe.g_betas[0] is part of recipe.g_betas, which is drawn as a whole",
        ),
        (
            {"trials": 1, "space": {"recipe.g_lr": {"same_as": "recipe.d_lr"}}},
            "s.toml: search.space: recipe.g_lr is the same as 'recipe.d_lr', which the space does not draw",
        ),
        (
            {"trials": 1, "space": {**LR, "recipe.d_lr": {"same_as": "recipe.d_lr"}}},
            "s.toml: search.space: recipe.d_lr is the same as 'recipe.d_lr', which the space does not draw",
        ),
        (
            {"trials": 1, "space": LR, "best": {"results": "a", "metric": "fd"}},
            "s.toml: search: best takes its trials from another search, so that nothing can stand beside it",
        ),
        ({"best": {"metric": "fd"}}, "s.toml: the key 'results' is missing in search.best"),
        (
            {"best": {"results": "a", "metrc": "fd"}},
            "s.toml: unknown key 'metrc' in search.best; did you mean 'metric'? known: metric, results, top",
        ),
    ],
)
def test_a_search_that_a_file_may_not_ask_for(changes, sentence):
    with pytest.raises(SuiteError) as error:
        validate({**WHOLE, "search": changes}, "s.toml")
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ({"recipe.lr": {"uniform": [0, 1]}}, "search.space: unknown recipe key 'lr'; did you mean 'g_lr'? known: "),
        (
            {"wgan_gp.weight": {"uniform": [0, 1]}},
            "search.space names 'wgan_gp', which no cell has; known: architecture, box, logistic, recipe, tiny",
        ),
        ({"bxo.c": {"uniform": [0, 1]}}, "search.space names 'bxo', which no cell has; did you mean 'box'? known: "),
        (
            {"box.c": {"uniform": [0, 1], "where": {"loss": "logistic"}}},
            "search.space names 'box', which no cell has where it is to apply; ",
        ),
        ({"box.d": {"uniform": [0, 1]}}, "search.space names 'box.d': box has no parameter 'd'"),
        (
            {"architecture.nrm": {"choice": [True]}},
            "search.space names 'architecture.nrm': architecture has no parameter 'nrm'; did you mean 'norm'? known: ",
        ),
        (
            {"box.c": {"uniform": [0, 1], "where": {"loss": "lgistic"}}},
            "search.space box.c: no loss is labelled 'lgistic'; labels: logistic+box, logistic",
        ),
        (
            {"tiny.codes": {"uniform": [2.5, 2.6]}},
            "search.space (search trial 0: tiny.codes = 2.5",
        ),
        ({"tiny.codes": {"uniform": [2.5, 2.6]}}, "architecture 'tiny': codes = 2.5"),
        ({"box.c[0]": {"uniform": [0, 1]}}, "search.space names 'box.c[0]', but what is to be changed there is 0.05"),
        (
            {"recipe.g_betas[2]": {"uniform": [0, 1]}},
            "search.space names 'recipe.g_betas[2]', but what is to be changed there is [0.5, 0.999]",
        ),
        ({"recipe.g_lr": {"uniform": [-2, -1]}}, "recipe (from search trial 0): g_lr: input should be greater than 0"),
        ({"recipe.g_lr": {"choice": ["fast"]}}, "recipe (from search trial 0): g_lr: wants a number; found 'fast'"),
    ],
)
def test_a_search_for_what_has_no_meaning(plan, space, sentence):
    with pytest.raises(GanbenchError) as error:
        plan(losses=["logistic+box", "logistic"], search=search(space))
    assert sentence in str(error.value)


def test_a_value_that_a_component_refuses_is_named(plan):
    with pytest.raises(SuiteError) as error:
        plan(losses=["logistic+r1"], search=search({"r1.gamma": {"choice": [-1.0]}}, trials=1))
    assert str(error.value) == (
        "search.space (search trial 0: r1.gamma = -1.0): regularizer 'r1': r1 needs a finite gamma >= 0, not -1.0"
    )


def test_a_label_that_looks_like_a_trial_is_refused(plan):
    with pytest.raises(SuiteError, match=r"the loss label 'a.t001' ends like that of a trial"):
        plan(losses=["hinge(label=a)", "logistic(label='a.t001')"], search=search())


def test_values_are_spread_over_trials():
    found = sorted(values("recipe.x", {"uniform": [0, 1]}, 200))
    assert max(b - a for a, b in pairwise(found)) < 0.06
