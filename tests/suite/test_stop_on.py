"""`stop_on` of a suite: which states it may name, and that only a suite that names one has other runs for it."""

from __future__ import annotations

import pytest

from ganbench.errors import SuiteError


def ids(plan) -> list[str]:
    return [run.id for run in plan.runs()]


@pytest.mark.parametrize("named", [[], ["diverged"]])
def test_runs_are_the_same_where_nothing_but_divergence_stops_them(plan, named):
    given = plan(stop_on=named)
    assert ids(given) == ids(plan())
    assert all("stop_on" not in run.config for run in given.runs())


def test_a_state_to_stop_for_belongs_to_a_trainings_identity_whatever_the_order(plan):
    one, two = plan(stop_on=["collapsed"]), plan(stop_on=["saturated", "diverged", "collapsed"])
    cells = [{run.id for run in given.cells[0].runs} for given in (plan(), one, two)]
    assert len(set.union(*cells)) == 9
    assert [run.id for run in one.baselines[0].runs] == [run.id for run in plan().baselines[0].runs]
    assert [run.config["stop_on"] for cell in one.cells for run in cell.runs] == [["collapsed"]] * 3
    assert two.cells[0].runs[0].config["stop_on"] == ["collapsed", "saturated"]
    assert ids(two) == ids(plan(stop_on=["collapsed", "saturated"]))


def test_what_is_no_state_is_refused_by_name(plan):
    with pytest.raises(SuiteError, match=r"stop_on.*'diverged', 'collapsed' or 'saturated'"):
        plan(stop_on=["colapsed"])
