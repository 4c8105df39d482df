"""`ganbench run` of a suite with a search: its trials as cells, its dry run, and the best of it in another suite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganbench.results.best import best_trials
from ganbench.results.store import Store

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
HEAD = """
name = "NAME"
datasets = ["blobs"]
seeds = 1
architectures = ["tiny"]
baselines = []
[recipe]
batch_size = 16
g_optimizer = "plain_adam"
d_optimizer = "plain_adam"
[budget]
images = 64
[scoring]
metrics = ["fd", "precision"]
samples = 64
"""
SEARCH = """
[search]
trials = 3
[search.space]
recipe.g_lr = { log_uniform = [1e-4, 1e-1] }
"recipe.g_betas[0]" = { uniform = [0, 1] }
box.c = { choice = [0.1, 0.2] }
"""
BEST = """
[search.best]
results = "wide"
metric = "fd"
"""
LOSSES = ("logistic", "logistic+box")


@pytest.fixture
def run(ganbench, tmp_path):
    """Run a suite of toys under a name, with more text at its end."""

    def run(name: str, more: str, *arguments: object):
        (tmp_path / f"{name}.toml").write_text(HEAD.replace("NAME", name) + more)
        losses = [] if "--loss" in arguments else ["--loss", ",".join(LOSSES)]
        where = ("--plugins", TOYS, "--workers", 1, "--device", "cpu")
        return ganbench("run", f"{name}.toml", *where, *losses, *arguments)

    return run


def means(name: str, metric: str = "fd") -> dict[str, float]:
    records = Store.open(Path("results") / name).records()
    return {record.loss: record.value for record in records if record.metric.partition("/")[0] == metric}


def best_of(found: dict[str, float], loss: str, highest: bool = False) -> str:
    mine = {label: value for label, value in found.items() if label.rpartition(".")[0] == loss}
    return max(mine, key=mine.__getitem__) if highest else min(mine, key=mine.__getitem__)


def test_trials_are_cells_of_the_table_and_of_every_record(run):
    result = run("wide", SEARCH)
    assert result.exit_code == 0, result.output
    labels = [f"{loss}.t00{trial}" for loss in LOSSES for trial in range(3)]
    assert list(means("wide")) == labels
    assert all(label in result.stdout for label in labels)
    folder = Store.open(Path("results/wide")).run_folders()[0]
    assert folder.config()["origins"]["g_lr"]["from"].startswith("search trial ")


def test_more_trials_leave_those_that_are_done(run):
    run("wide", SEARCH)
    before = means("wide")
    result = run("wide", SEARCH, "--set", "search.trials=4")
    assert "8 runs, 2 to do" in result.stderr
    after = means("wide")
    assert {label: after[label] for label in before} == before


def test_the_best_trials_are_trained_anew_on_more_seeds(run):
    run("wide", SEARCH)
    found = means("wide")
    result = run("final", BEST, "--seeds", 2)
    assert result.exit_code == 0, result.output
    assert set(means("final")) == {best_of(found, loss) for loss in LOSSES}
    searched, final = ({f.id for f in Store.open(Path("results") / name).run_folders()} for name in ("wide", "final"))
    assert len(final) == 4
    assert len(final & searched) == 2  # seed 0 is the run of the search itself
    origins = [f.config()["origins"]["g_lr"]["from"] for f in Store.open(Path("results/final")).run_folders()]
    assert all(origin.startswith("search trial ") and origin.endswith(" of wide") for origin in origins)


def test_the_best_is_the_highest_where_the_metric_says_so_and_several_come_in_order(run):
    run("wide", SEARCH)
    found = means("wide", "precision")
    chosen = best_trials(Path("results/wide"), "precision", 3)
    for loss in LOSSES:
        numbers = chosen.trials["blobs", "tiny", loss]
        scores = [found[f"{loss}.t{number:03d}"] for number in numbers]
        assert scores == sorted(scores, reverse=True)
        assert len(numbers) == 3
    assert chosen.source == "wide"


def test_the_mean_over_seeds_decides(run):
    run("wide", SEARCH, "--seeds", 2)
    by_trial: dict[str, list[float]] = {}
    for record in Store.open(Path("results/wide")).records():
        if record.metric == "fd/pixels":
            by_trial.setdefault(record.loss, []).append(record.value)
    assert all(len(values) == 2 for values in by_trial.values())
    sums = {label: sum(values) for label, values in by_trial.items()}
    assert best_trials(Path("results/wide"), "fd/pixels").trials == {
        ("blobs", "tiny", loss): (int(best_of(sums, loss)[-3:]),) for loss in LOSSES
    }


def test_a_trial_that_diverged_is_never_the_best(run):
    space = "[search]\ntrials = 8\n[search.space]\nexploding.at = { choice = [1, 100, 100] }\n"
    run("wide", space, "--loss", "exploding,logistic")
    runs = Store.open(Path("results/wide")).plan().cells
    done = {
        int(cell.loss[-3:])
        for cell in runs
        if cell.loss != "logistic"
        and Store.open(Path("results/wide")).run_folder(cell.runs[0]).status()["status"] == "done"
    }
    assert 0 < len(done) < 8
    (best,) = best_trials(Path("results/wide"), "fd").trials.values()
    assert set(best) <= done
    never = space.replace("[1, 100, 100]", "[1, 2]")
    run("never", never, "--loss", "exploding")
    (reason,) = best_trials(Path("results/never"), "fd").trials.values()
    assert reason == "no trial of the search has fd/pixels for all its seeds (8 diverged)"


@pytest.mark.parametrize(
    ("more", "before", "sentence"),
    [
        (BEST, None, "search.best wants the results of a finished search, and there is no folder results/wide"),
        (BEST, "", "results/wide holds no search: its suite has no [search]"),
        (BEST.replace('"fd"', '"fid"'), SEARCH, "results/wide has no metric 'fid'; known: fd/pixels, precision/pixels"),
        (BEST + "top = 0\n", SEARCH, "search.best.top: input should be greater than or equal to 1; found 0"),
    ],
)
def test_results_that_cannot_say_what_is_best(run, more, before, sentence):
    if before is not None:
        run("wide", before, "--loss", "logistic+box")
    result = run("final", more)
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_a_search_that_is_not_finished_is_refused(run):
    run("wide", SEARCH)
    folder = Store.open(Path("results/wide")).run_folders()[0].path
    (folder / "run.json").unlink()
    (folder / "records.jsonl").unlink()
    result = run("final", BEST)
    assert result.exit_code == 2
    assert (
        "the search in results/wide is not finished: 1 of its 6 runs are still to be trained or scored; "
        "'ganbench run wide' goes on with it"
    ) in result.stderr


def test_the_best_of_the_best_is_refused(run):
    run("wide", SEARCH)
    run("final", BEST)
    result = run("further", BEST.replace("wide", "final"))
    assert result.exit_code == 2
    assert "results/final drew nothing itself but took the best of wide; name the search that drew" in result.stderr


def test_a_dry_run_shows_some_trials_of_each_combination(run):
    result = run("wide", SEARCH, "--set", "search.trials=40", "--dry-run")
    assert result.exit_code == 0, result.output
    text = result.stdout
    assert "blobs: tiny / logistic, 40 trials" in text
    assert "40 runs (40 new); 4 D and 4 G updates, 64 images; time unknown a run" in text
    assert text.count("... 35 more; --json shows all of them") == 2
    assert text.count("recipe.g_lr = ") == 10
    assert text.count("box.c = ") == 5
    assert "components of t000: tiny(" in text
    assert "suite [recipe]: batch_size = 16" in text
    assert "search trial" not in text  # what was drawn stands with its trial
    assert "80 runs to do" in text
    assert len(text.splitlines()) < 40


def test_a_dry_run_as_json_shows_every_trial(run):
    result = run("wide", SEARCH, "--set", "search.trials=40", "--dry-run", "--json")
    cells = json.loads(result.stdout)["cells"]
    assert len(cells) == 80
    assert cells[41]["loss"] == "logistic+box.t001"
    assert cells[41]["trial"]["number"] == 1
    assert cells[41]["trial"]["values"]["recipe.g_lr"] == cells[41]["recipe"]["g_lr"]["value"]
    assert cells[1]["trial"]["values"]["recipe.g_lr"] == cells[41]["trial"]["values"]["recipe.g_lr"]


def test_a_dry_run_counts_trials_that_are_not_applicable_and_names_what_is_excluded(run):
    more = (
        '[[exclude]]\nwhere = { loss = "hinge" }\nreason = "it is not asked"\n'
        "[search]\ntrials = 8\n[search.space]\ntiny.codes = { choice = [0, 3] }\n"
    )
    result = run("wide", more, "--dry-run", "--loss", "logistic+auxiliary,hinge")
    assert "excluded: loss hinge (it is not asked)" in result.stdout
    skipped = sum(cell["skipped"] is not None for cell in _json(run, more))
    assert 0 < skipped < 8
    assert f"n/a in {skipped}: the latent has no categorical code to predict" in result.stdout
    assert "blobs: tiny / hinge" not in result.stdout


def _json(run, more: str) -> list[dict]:
    return json.loads(run("wide", more, "--dry-run", "--json", "--loss", "logistic+auxiliary,hinge").stdout)["cells"]


def test_the_command_line_may_search_too(run):
    result = run(
        "wide", "", "--set", "search.trials=2", "--set", "search.space.recipe.g_lr={uniform=[0.1,0.2]}", "--dry-run"
    )
    assert result.exit_code == 0, result.output
    assert "t001: recipe.g_lr = 0.1" in result.stdout


def test_a_data_set_on_which_every_trial_was_not_applicable_has_no_best(ganbench, tmp_path):
    suite = """
name = "NAME"
datasets = ["digits", "ring"]
architectures = ["mlp"]
losses = ["non_saturating+consistency"]
baselines = []
seeds = 1
[budget]
images = 64
[scoring]
metrics = ["fd"]
samples = 64
"""
    space = '[search]\ntrials = 2\n[search.space]\n"recipe.g_lr" = { log_uniform = [1e-4, 1e-2] }\n'
    for name, more in (("hunt", space), ("best", '[search.best]\nresults = "hunt"\nmetric = "fd"\n')):
        (tmp_path / f"{name}.toml").write_text(suite.replace("NAME", name) + more)
        assert ganbench("run", f"{name}.toml", "--workers", 1, "--device", "cpu").exit_code == 0
    reason = "no trial of the search was scored on this data set"
    assert [c.skipped for c in Store.open(Path("results") / "best").plan().cells] == [None, reason]
