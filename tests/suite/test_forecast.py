"""What a results folder lets one foretell: status, time, and whose source changed."""

from __future__ import annotations

import pytest
import torch

from ganbench.execution.environment import device_name
from ganbench.execution.forecast import History
from ganbench.results.store import Store

CPU = torch.device("cpu")


@pytest.fixture
def keep(tmp_path):
    """Write runs as `ganbench run` does, without training them; return the folder."""
    folder = tmp_path / "results"
    store = Store.create(folder, "small")

    def keep(run, seconds=None, status="done", device=None):
        kept = store.run_folder(run.id)
        kept.write_json("config.json", {"config": run.config, "labels": run.labels, "seed": run.seed})
        kept.write_json("environment.json", {"device_name": device or device_name(CPU)})
        kept.write_json("run.json", {"status": status, "seconds": seconds})
        return folder

    return keep


def runs(plan, **changes) -> list:
    return [run for cell in plan(**changes).cells for run in cell.runs]


def test_a_folder_that_is_not_there_foretells_nothing(plan, tmp_path):
    history, (run, *_) = History(tmp_path / "absent"), runs(plan)
    assert history.status(run) == "new"
    assert history.seconds(run, CPU) is None
    assert history.changed_sources(run) == []


def test_a_folder_that_is_not_ours_foretells_nothing(plan, tmp_path):
    (tmp_path / "runs").mkdir()
    assert History(tmp_path).status(runs(plan)[0]) == "new"


def test_status_is_the_runs_own(plan, keep):
    first, second, third = runs(plan)
    keep(first)
    history = History(keep(second, status="diverged"))
    assert [history.status(run) for run in (first, second, third)] == ["done", "diverged", "new"]


def test_a_run_that_never_wrote_its_status_is_new(plan, keep, tmp_path):
    run = runs(plan)[0]
    folder = keep(run)
    (folder / "runs" / run.id / "run.json").unlink()
    assert History(folder).status(run) == "new"


def test_time_is_the_median_of_the_same_cell_on_the_same_device(plan, keep):
    first, *others = runs(plan, seeds=6)
    for run, seconds in zip(others[:3], (10, 80, 30), strict=True):
        keep(run, seconds)
    keep(others[3], 1000, device="another machine's processor")
    keep(others[4], 1000, status="interrupted")
    folder = keep(runs(plan, losses=["hinge"])[0], 1000)
    assert History(folder).seconds(first, CPU) == 30
    assert History(folder).seconds(runs(plan, losses=["hinge"])[1], CPU) == 1000


@pytest.mark.parametrize(
    "change", [{"budget": {"images": 6400}}, {"recipe": {"batch_size": 32}}, {"architectures": ["tiny(norm=true)"]}]
)
def test_another_budget_recipe_or_parameter_is_another_cell(plan, keep, change):
    folder = keep(runs(plan)[1], 10)
    assert History(folder).seconds(runs(plan)[0], CPU) == 10
    assert History(folder).seconds(runs(plan, **change)[0], CPU) is None


def test_labels_do_not_make_another_cell(plan, keep):
    folder = keep(runs(plan)[1], 10)
    assert History(folder).seconds(runs(plan, losses=["logistic(label=mine)"])[0], CPU) == 10


def test_the_component_whose_source_changed_is_named(plan, keep, edited):
    losses = ["edited+r1"]
    folder = keep(runs(plan, using=edited(), losses=losses)[0])
    (same, *_), (changed, *_) = (
        runs(plan, using=catalog, losses=losses) for catalog in (edited(), edited("Half a loss", "Half of a loss"))
    )
    assert History(folder).changed_sources(same) == []
    assert History(folder).changed_sources(changed) == ["edited"]
    assert History(folder).status(changed) == "new"
    assert History(folder).seconds(changed, CPU) is None


def test_a_change_in_what_a_regularizer_is_made_of_is_named_once(plan, keep):
    run = runs(plan, losses=["logistic+r1+r1(gamma=2)"])[0]
    folder = keep(run)
    older = [{**part, "source": "0" * 64} for part in run.config["regularizers"]]
    object.__setattr__(run, "config", {**run.config, "regularizers": older})
    assert History(folder).changed_sources(run) == ["r1"]


def test_a_run_that_is_new_for_another_reason_names_nothing(plan, keep, edited):
    folder = keep(runs(plan, using=edited(), losses=["edited"])[0])
    later = edited("Half a loss", "Half of a loss")
    for change in ({"losses": ["edited(weight=2)"]}, {"losses": ["edited"], "budget": {"images": 6}}):
        assert History(folder).changed_sources(runs(plan, using=later, **change)[0]) == []
    assert History(folder).changed_sources(runs(plan, using=later, losses=["edited"])[1]) == []
