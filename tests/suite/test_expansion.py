"""From a suite to its cells: sweeps, labels, pairs, what is added, compatibility, baselines, the order of runs."""

from __future__ import annotations

import pytest

from ganbench.components import companions
from ganbench.errors import DatasetError, SuiteError


def labels(plan, axis: str = "architecture") -> list[str]:
    return list(dict.fromkeys(cell.labels[axis] for cell in plan.cells))


def described(cell, role: str):
    return cell.runs[0].config[role]


# Sweeps and labels


def test_a_sweep_of_one_key(plan):
    found = plan(architecture=[{"name": "tiny", "norm": True, "sweep": {"codes": [2, 4]}}])
    assert labels(found) == ["tiny", "tiny-codes2-norm_true", "tiny-codes4-norm_true"]
    assert [described(cell, "generator")["parameters"]["codes"] for cell in found.cells] == [0, 2, 4]
    assert [described(cell, "generator")["parameters"]["norm"] for cell in found.cells] == [False, True, True]


def test_a_sweep_of_two_keys_is_their_product(plan):
    found = plan(architectures=[{"name": "tiny", "label": "t", "sweep": {"codes": [2, 4], "norm": [True, False]}}])
    names = ["t-codes2-norm_true", "t-codes2-norm_false", "t-codes4-norm_true", "t-codes4-norm_false"]
    assert labels(found) == names
    assert len({cell.runs[0].id for cell in found.cells}) == 4
    one = plan(architectures=[{"name": "tiny", "label": "t", "spectral": True, "sweep": {"codes": [2, 4]}}])
    assert labels(one) == ["t-codes2", "t-codes4"]


def test_a_sweep_of_one_value_needs_no_longer_label(plan):
    assert labels(plan(architectures=[{"name": "tiny", "sweep": {"codes": [2]}}])) == ["tiny"]


def test_a_list_that_is_not_swept_is_a_value(plan, tmp_path):
    (tmp_path / "content.txt").write_text("a")
    found = plan(datasets=[{"name": "own", "path": "p", "sizes": [4, 4]}])
    assert described(found.cells[0], "dataset")["parameters"]["sizes"] == [4, 4]
    swept = plan(datasets=[{"name": "own", "path": "p", "sweep": {"sizes": [[4, 4], [4, 8]]}}])
    assert labels(swept, "dataset") == ["own-path_p-sizes_4_4", "own-path_p-sizes_4_8"]


def test_labels_by_default_name_what_was_added(plan):
    found = plan(losses=["wasserstein+wgan_gp", "logistic+box+brightness", "hinge"])
    assert labels(found, "loss") == ["wasserstein+wgan_gp", "logistic+box+brightness", "hinge"]
    everywhere = plan(losses=["hinge+box", "firm(label=mine)"], regularizers=["r1(gamma=2)"])
    assert labels(everywhere, "loss") == ["hinge+box+r1", "mine"]


def test_entries_of_one_component_are_told_apart_by_their_parameters(plan):
    found = plan(
        losses=["hinge+r1(gamma=1)", "hinge+r1(gamma=10)", "hinge+r1"], architectures=["tiny", "tiny(codes=2)"]
    )
    assert labels(found, "loss") == ["hinge+r1-gamma1", "hinge+r1-gamma10", "hinge+r1"]
    assert labels(found) == ["tiny", "tiny-codes2"]


def test_labels_reach_no_further_than_the_names(plan):
    found = plan(losses=["hinge(label=mine)", "hinge(label=yours)"])
    assert labels(found, "loss") == ["mine", "yours"]
    assert found.cells[0].runs[0].id == found.cells[1].runs[0].id


def test_tables_add_to_the_short_lists(plan):
    found = plan(losses=["hinge"], loss=[{"name": "logistic"}], datasets=["blobs"], dataset=[{"name": "blobs", "n": 8}])
    assert labels(found, "loss") == ["hinge", "logistic"]
    assert labels(found, "dataset") == ["blobs", "blobs-n8"]


# Pairs


def test_a_generator_may_meet_the_discriminator_of_another(plan):
    pair = {"generator": "tiny(codes=2)", "discriminator": {"name": "batch_coupled", "codes": 2}}
    (cell,) = plan(architectures=[pair]).cells
    assert cell.labels["architecture"] == "tiny_vs_batch_coupled"
    assert described(cell, "generator")["name"] == "tiny"
    assert described(cell, "generator")["parameters"]["codes"] == 2
    assert described(cell, "discriminator")["name"] == "batch_coupled"


def test_a_pair_of_one_architecture_is_that_architecture(plan):
    alone, pair = (plan(architectures=[entry]) for entry in ("tiny", {"generator": "tiny", "discriminator": "tiny"}))
    assert labels(pair) == ["tiny"]
    assert [run.id for run in alone.runs()] == [run.id for run in pair.runs()]


# What is added


def test_what_stands_after_plus_is_of_the_kind_that_it_names(plan):
    (cell,) = plan(losses=["logistic+slope_penalty(side=real)+box(c=0.1)+brightness"]).cells
    assert [part["name"] for part in described(cell, "regularizers")] == ["slope_penalty"]
    assert described(cell, "regularizers")[0]["parameters"]["side"] == "real"
    assert described(cell, "constraints")[0]["parameters"] == {"c": 0.1}
    assert [part["name"] for part in described(cell, "augmentations")] == ["brightness"]


def test_additions_gather_from_suite_dataset_architecture_and_loss_in_this_order(plan):
    entries = {
        "regularizers": ["counting"],
        "datasets": ["blobs+r1(gamma=1)"],
        "architectures": ["tiny+r1(gamma=2)"],
        "losses": ["logistic+r1(gamma=3)"],
    }
    (cell,) = plan(**entries).cells
    assert [part["name"] for part in described(cell, "regularizers")] == ["counting", "r1", "r1", "r1"]
    assert [part["parameters"].get("gamma") for part in described(cell, "regularizers")] == [None, 1.0, 2.0, 3.0]


def test_an_ambiguous_addition_is_named_by_its_kind(plan):
    (cell,) = plan(losses=[{"name": "logistic", "regularizers": ["twofold"], "constraints": ["twofold"]}]).cells
    assert len(described(cell, "regularizers")) == len(described(cell, "constraints")) == 1


def test_an_addition_that_a_fault_took_away_says_so(plan, edited):
    broken = edited("def losses():", "def regularizers():")
    assert broken.faults
    with pytest.raises(Exception, match=r"regularizer 'edited' cannot be used .*: regularizer Edited defines none of"):
        plan(using=broken, losses=["logistic+edited"])


# Compatibility


def test_a_components_own_reason_skips_the_cell(plan):
    without, coded = plan(architectures=["tiny", "tiny(codes=3)"], losses=["logistic+auxiliary"]).cells
    assert without.skipped == "the latent has no categorical code to predict"
    assert without.runs == ()
    assert coded.skipped is None
    assert len(coded.runs) == 3


def test_what_is_meant_for_single_samples_is_refused_under_batch_normalisation(plan):
    found = plan(architectures=["tiny", "batch_coupled", "statistical"], losses=["logistic+personal", "logistic"])
    reasons = {(cell.labels["architecture"], cell.labels["loss"]): cell.skipped for cell in found.cells}
    assert reasons.pop(("batch_coupled", "logistic+personal")) == (
        "personal is defined for one sample at a time, but the discriminator of batch_coupled normalises over the batch"
    )
    assert set(reasons.values()) == {None}


def test_coupling_is_the_discriminators(plan):
    forth, back = plan(
        architectures=[
            {"generator": "tiny", "discriminator": "batch_coupled"},
            {"generator": "batch_coupled", "discriminator": "tiny"},
        ],
        losses=["logistic+personal"],
    ).cells
    assert "normalises over the batch" in forth.skipped
    assert back.skipped is None


def test_components_are_asked_about_the_resolved_recipe(plan):
    even, odd = (plan(losses=["logistic+watchful"], recipe={"batch_size": n}).cells[0] for n in (4, 5))
    assert (even.skipped, odd.skipped) == (None, "watchful wants an even batch")


def test_where_the_loss_has_no_discriminator_the_cell_has_none(plan):
    autoencoding, logistic = plan(losses=["autoencoding+watchful", "logistic+watchful"]).cells
    assert autoencoding.skipped == "watchful wants a discriminator"
    assert logistic.skipped is None
    (lone,) = plan(architectures=["batch_coupled"], losses=["autoencoding+personal"], recipe={"schedule": ["G"]}).cells
    assert lone.skipped is None


def test_a_loss_without_a_generators_side_is_refused(plan):
    assert plan(losses=["one_sided"]).cells[0].skipped == "one_sided gives the generator nothing to minimise"


def test_the_optimizers_are_asked_too(plan):
    assert plan(recipe={"d_optimizer": "shy"}).cells[0].skipped == "shy does not step with logistic"


def test_data_that_an_architecture_cannot_draw_skips_its_cells_alone(plan):
    tiny, picky = plan(architectures=["tiny", "strict(picky=true)"]).cells
    assert (tiny.skipped, picky.skipped) == (None, "strict draws 5 pixels, not 4")


def test_allowed_all_the_same_and_marked(plan):
    first, second = plan(
        architectures=["tiny", "tiny(codes=3)"], losses=["logistic+auxiliary"], allow_incompatible=True
    ).cells
    assert (first.skipped, first.allowed) == (None, "the latent has no categorical code to predict")
    assert (second.skipped, second.allowed) == (None, None)
    assert len(first.runs) == 3
    (strict,) = plan(architectures=["tiny(codes=3)"], losses=["logistic+auxiliary"]).cells
    assert strict.runs[0].id == second.runs[0].id


def test_asking_for_companions_leaves_the_random_stream_alone(plan, catalog):
    import torch

    before = torch.random.get_rng_state()
    (cell,) = plan().cells
    assert torch.equal(before, torch.random.get_rng_state())
    architecture = catalog.find("architecture", "tiny").component()
    assert set(companions(architecture, catalog.find("dataset", "blobs").component().spec(None))) == {"encoder"}
    assert cell.skipped is None


# Datasets, metrics, baselines, order


def test_a_dataset_that_is_not_there_is_named_by_its_label(plan):
    with pytest.raises(DatasetError, match=r"^dataset 'mine': .*content.txt"):
        plan(datasets=[{"name": "own", "path": "p", "label": "mine"}])


def test_a_dataset_names_its_extractor_unless_the_suite_does(plan):
    assert plan().datasets[0].extractor["name"] == "pixels"
    chosen = plan(scoring={"extractor": "absent"}).datasets[0]
    assert (chosen.label, chosen.component["name"], chosen.extractor["name"]) == ("blobs", "blobs", "absent")


def test_metrics_are_those_that_the_catalog_marks_as_standard(plan, catalog):
    standard = {entry.name for entry in catalog.of_kind("metric") if getattr(entry.component, "standard", False)}
    assert set(plan().metrics) == standard
    assert standard
    assert plan(scoring={"metrics": ["kd", "fd"]}).metrics == ("kd", "fd")


def test_untrained_baselines_have_one_run_trained_ones_one_a_seed(plan):
    rows = plan(baselines=["real", "trained"], seeds=[4, 5]).baselines
    assert [(row.dataset, row.name, [run.seed for run in row.runs]) for row in rows] == [
        ("blobs", "real", [0]),
        ("blobs", "trained", [4, 5]),
    ]
    assert all("baseline" in run.config for row in rows for run in row.runs)
    assert rows[0].runs[0].config["budget"] == {}
    run = rows[1].runs[0]
    assert run.config["budget"] == {"images": 640}
    assert run.trains
    assert not rows[0].runs[0].trains
    assert run.config["g_optimizer"]["parameters"]["lr"] == 0.5
    assert run.origins["g_lr"] == {"value": 0.5, "from": "baseline trained"}
    assert run.origins["d_lr"]["from"] == "core"  # the suite's [recipe] is for cells


def test_by_default_the_baselines_that_need_no_training(plan):
    assert [row.name for row in plan().baselines] == ["noise", "real"]
    assert plan(baselines=[]).baselines == ()


def test_runs_come_baselines_first_then_seed_by_seed(plan):
    found = plan(losses=["logistic", "hinge", "logistic+auxiliary"], seeds=[7, 3], baselines=["real"])
    order = [(run.labels["architecture"], run.labels["loss"], run.seed) for run in found.runs()]
    assert order == [
        ("real", "", 0),
        ("tiny", "logistic", 7),
        ("tiny", "hinge", 7),
        ("tiny", "logistic", 3),
        ("tiny", "hinge", 3),
    ]


def test_a_run_has_a_title_for_people(plan):
    baseline, *_, last = plan(baselines=["real"]).runs()
    assert (baseline.title, last.title) == ("real on blobs, seed 0", "tiny/logistic on blobs, seed 2")


def test_cells_stand_in_the_order_of_the_file(plan):
    found = plan(
        datasets=["blobs", "blobs(n=8)"], architectures=["tiny", "batch_coupled"], losses=["hinge", "logistic"]
    )
    assert [tuple(cell.labels.values()) for cell in found.cells][:3] == [
        ("blobs", "tiny", "hinge"),
        ("blobs", "tiny", "logistic"),
        ("blobs", "batch_coupled", "hinge"),
    ]
    assert len(found.cells) == 8


def test_an_optimizer_is_given_only_what_it_has(plan):
    (cell,) = plan(recipe={"g_optimizer": "plain_sgd", "g_betas": [0.1, 0.2]}).cells
    assert described(cell, "g_optimizer")["parameters"] == {"lr": 2e-4}


def test_the_discriminator_must_move_unless_there_is_none(plan):
    with pytest.raises(SuiteError, match="the discriminator of logistic never moves"):
        plan(overrides={"schedule": ["G"]})
    (cell,) = plan(losses=["autoencoding"], overrides={"schedule": ["G"]}).cells
    assert len(cell.runs) == 3
