"""`[[exclude]]`: combinations that are no part of a suite at all."""

from __future__ import annotations

import pytest

from ganbench.errors import SuiteError
from ganbench.suite.source import validate

AXES = {"architectures": ["tiny", "batch_coupled"], "losses": ["logistic", "hinge"]}


def cells(plan) -> list[tuple[str, str]]:
    return [(cell.labels["architecture"], cell.labels["loss"]) for cell in plan.cells]


def test_what_a_rule_matches_is_not_planned(plan):
    rule = {"where": {"architecture": "tiny", "loss": ["hinge"]}, "reason": "no need"}
    found = plan(**AXES, exclude=[rule])
    assert cells(found) == [("tiny", "logistic"), ("batch_coupled", "logistic"), ("batch_coupled", "hinge")]
    assert {run.labels["loss"] for run in found.runs() if run.labels["architecture"] == "tiny"} == {"logistic"}


def test_one_axis_excludes_all_its_cells_and_rules_add_up(plan):
    rules = [{"where": {"architecture": "tiny"}}, {"where": {"dataset": "blobs", "loss": "hinge"}}]
    assert cells(plan(**AXES, exclude=rules)) == [("batch_coupled", "logistic")]


def test_cells_that_stay_are_the_same_runs(plan):
    kept = plan(**AXES, exclude=[{"where": {"loss": "hinge"}}])
    assert [run.id for run in kept.runs()] == [run.id for run in plan(**{**AXES, "losses": ["logistic"]}).runs()]


def test_labels_are_those_without_the_trial(plan):
    search = {"trials": 2, "space": {"recipe.g_lr": {"uniform": [0.1, 0.2]}}}
    rule = {"where": {"loss": "hinge", "architecture": "tiny"}}
    found = plan(**AXES, exclude=[rule], search=search)
    assert [cell for cell in cells(found) if cell[0] == "tiny"] == [
        ("tiny", "logistic.t000"),
        ("tiny", "logistic.t001"),
    ]
    assert len(found.cells) == 6


def test_a_key_of_a_search_that_only_excluded_cells_have_is_refused(plan):
    search = {"trials": 2, "space": {"box.c": {"uniform": [0.1, 0.2]}}}
    with pytest.raises(SuiteError, match=r"^search.space names 'box', which no cell has"):
        plan(losses=["logistic", "hinge+box"], exclude=[{"where": {"loss": "hinge+box"}}], search=search)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ([{"where": {"loss": "hnge"}}], "[[exclude]] number 1: no loss is labelled 'hnge'; labels: logistic, hinge"),
        (
            [{"where": {"loss": "hinge"}}, {"where": {"loss": "logistic", "dataset": "blob"}}],
            "[[exclude]] number 2: no dataset is labelled 'blob'; labels: blobs",
        ),
        ([{"where": {"dataset": "blobs"}}], "every cell of the suite is excluded"),
    ],
)
def test_a_rule_that_matches_nothing_or_leaves_nothing_is_refused(plan, rules, sentence):
    with pytest.raises(SuiteError) as error:
        plan(**AXES, exclude=rules)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({}, "s.toml: the key 'where' is missing in exclude number 1"),
        ({"where": {}}, "s.toml: exclude number 1, where: wants at least one axis, or every cell would be excluded"),
        ({"where": {"arch": "a"}}, "s.toml: exclude number 1, where: unknown axis 'arch'; known: "),
        (
            {"where": {"loss": "a"}, "because": "b"},
            "s.toml: unknown key 'because' in exclude number 1; known: reason, ",
        ),
        ({"where": {"loss": "a"}, "reason": 5}, "s.toml: exclude number 1, reason: wants text; found 5"),
    ],
)
def test_a_rule_that_a_file_may_not_have(rule, sentence):
    table = {"name": "s", "datasets": ["a"], "architectures": ["b"], "losses": ["c"], "budget": {"images": 9}}
    with pytest.raises(SuiteError) as error:
        validate({**table, "exclude": [rule]}, "s.toml")
    assert str(error.value).startswith(sentence)


def test_unless_keeps_some_of_what_a_rule_matches(plan):
    rule = {"where": {"architecture": "tiny"}, "unless": {"loss": "hinge"}}
    assert ("tiny", "logistic") not in cells(plan(**AXES, exclude=[rule]))
    assert ("tiny", "hinge") in cells(plan(**AXES, exclude=[rule]))
    with pytest.raises(SuiteError, match=r"\[\[exclude\]\] number 1: no loss is labelled 'hing'"):
        plan(**AXES, exclude=[{"where": {"architecture": "tiny"}, "unless": {"loss": "hing"}}])
