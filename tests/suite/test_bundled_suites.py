"""The suites that come with the zoo: each one can be planned, and those that belong together agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ganbench.suite.expand import expand
from ganbench.suite.schema import SuiteFile
from ganbench.suite.search import Chosen
from ganbench.suite.source import Flags, read_request

PHASES = ("lucic2018-wide", "lucic2018-narrow", "lucic2018-best")
LOSSES = ["minimax", "non_saturating", "least_squares", "wgan", "wgan_gp", "dragan", "began"]


@pytest.fixture
def suite(catalog):
    """Read a bundled suite, perhaps with settings of the command line."""

    def suite(name: str, *settings: str) -> SuiteFile:
        return read_request(name, Flags(settings=settings), catalog).suite

    return suite


def test_every_bundled_suite_can_be_planned(catalog, suite, tmp_path):
    assert set(PHASES) <= set(catalog.suites)
    for name in catalog.suites:
        read = suite(name)
        assert read.name == name
        assert read.description
        if read.search and read.search.best:
            continue
        plan = expand(suite(name, "search.trials=2") if read.search else read, catalog, tmp_path)
        assert any(cell.runs for cell in plan.cells)


def test_the_phases_of_the_search_differ_in_what_is_searched_alone(suite):
    searched = {"name", "description", "search", "seeds"}
    wide, narrow, best = (suite(name).model_dump(exclude=searched) for name in PHASES)
    assert wide == narrow == best


@pytest.mark.parametrize(("name", "trials", "seeds"), [(PHASES[0], 100, 1), (PHASES[1], 50, 1), (PHASES[2], None, 50)])
def test_trials_and_seeds_are_the_studys(suite, name, trials, seeds):
    read = suite(name)
    assert (read.search.trials, len(read.seeds)) == (trials, seeds)


@pytest.mark.parametrize("name", PHASES[:2])
def test_every_loss_of_the_study_is_searched_on_the_network_that_it_wants(catalog, suite, tmp_path, name):
    plan = expand(suite(name, "search.trials=6"), catalog, tmp_path)
    assert [cell.skipped for cell in plan.cells] == [None] * 42
    assert list(dict.fromkeys(cell.trial.loss for cell in plan.cells)) == LOSSES
    for cell in plan.cells:
        config = cell.runs[0].config
        kind = "autoencoder" if cell.trial.loss == "began" else "classifier"
        assert config["discriminator"]["parameters"]["d_kind"] == kind
        assert config["recipe"]["batch_size"] == 64
        g, d = (config[f"{side}_optimizer"]["parameters"] for side in "gd")
        assert g == d
        assert g["betas"][1] == 0.999
        norms = {"none"} if cell.trial.loss in ("wgan_gp", "dragan") else {"none", "batch"}
        assert config["discriminator"]["parameters"]["d_norm"] in norms
    rates = {cell.trial.number: set() for cell in plan.cells}
    for cell in plan.cells:
        rates[cell.trial.number].add(cell.runs[0].config["g_optimizer"]["parameters"]["lr"])
    assert [len(found) for found in rates.values()] == [1] * 6


def test_the_best_of_either_search_can_be_planned(catalog, suite, tmp_path):
    for name in PHASES[:2]:
        searched = expand(suite(name, "search.trials=3"), catalog, tmp_path)
        keys = ((c.labels["dataset"], c.labels["architecture"], c.trial.loss) for c in searched.cells)
        chosen = Chosen(suite(name).search, dict.fromkeys(keys, (2,)), name)
        best = expand(suite(PHASES[2]), catalog, tmp_path, chosen=chosen)
        assert [cell.labels for cell in best.cells] == [c.labels for c in searched.cells if c.trial.number == 2]
        first = {cell.labels["loss"]: dict(cell.runs[0].config) for cell in searched.cells}
        for cell in best.cells:
            assert len(cell.runs) == 50
            chose = first[cell.labels["loss"]]
            assert chose["seed"] not in {run.seed for run in cell.runs}  # a seed that chose a trial flatters it
            assert all(dict(run.config) == chose | {"seed": run.seed} for run in cell.runs)


HEAD = """
name = "examples"
datasets = ["digits(size=32)"]
losses = ["minimax", "wasserstein+wgan_gp"]
budget = { images = 640 }
"""


def test_the_examples_of_the_documentation_are_one_suite_that_can_be_planned(catalog, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "suites.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    (tmp_path / "examples.toml").write_text(HEAD + "\n".join(blocks), encoding="utf-8")
    few = Flags(settings=["search.trials=2"])
    plan = expand(read_request(str(tmp_path / "examples.toml"), few, catalog).suite, catalog, tmp_path)
    cells = {(cell.labels["architecture"], cell.trial.loss) for cell in plan.cells}
    small = {"small-d_norm_none", "small-d_norm_spectral"}
    losses = {"minimax", "wasserstein+wgan_gp", "hinge+r1+lookahead_minimax"}
    assert cells == {(name, loss) for name in small for loss in losses} | {("sn_resnet_vs_dcgan", "minimax")}
    assert all(cell.runs for cell in plan.cells)


def test_the_documentation_names_every_bundled_suite(catalog):
    page = (Path(__file__).parents[2] / "docs" / "suites.md").read_text(encoding="utf-8")
    assert [name for name in catalog.suites if f"`{name}`" not in page.replace("`-", "`lucic2018-")] == []


def test_every_loss_and_regularizer_stands_in_the_suite_that_compares_them(catalog, suite, tmp_path):
    plan = expand(suite("losses-mnist"), catalog, tmp_path)
    assert {cell.runs[0].config["loss"]["name"] for cell in plan.cells} == names_of(catalog, "loss")
    plan = expand(suite("regularizers"), catalog, tmp_path)
    configs = [cell.runs[0].config for cell in plan.cells]
    for kind, absent in (("regularizer", {"path_length"}), ("constraint", set())):  # no style in an MLP
        assert {one["name"] for config in configs for one in config[f"{kind}s"]} == names_of(catalog, kind) - absent
    plan = expand(suite("optimizers"), catalog, tmp_path)
    assert {cell.runs[0].config["g_optimizer"]["name"] for cell in plan.cells} == names_of(catalog, "optimizer")
    assert all(cell.skipped is None for cell in plan.cells)


def names_of(catalog, kind: str) -> set[str]:
    return {entry.name for entry in catalog.of_kind(kind) if entry.origin.startswith("ganbench ")}
