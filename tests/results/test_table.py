"""Tables out of folders made by hand: layouts, options, notes and golden texts."""

import csv
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganbench.errors import ResultsError
from ganbench.results.record import Record
from ganbench.results.render import FORMATS
from ganbench.results.store import Store
from ganbench.results.table import TableOptions, build, render_run_summary

FD, PRECISION = "fd/digits_cnn", "precision/digits_cnn"


def column(block, name):
    index = block.header.index(name)
    return [row[index].text for row in block.rows]


def lines(block):
    return [" ".join(filter(None, (entry.text for entry in row[:2]))) for row in block.rows]


def said(block):
    return "\n".join(block.notes)


def options(**given):
    return TableOptions(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})


def test_the_markdown_of_the_demo(demo):
    assert render_run_summary(demo.store) == Path(__file__).with_name("demo.md").read_text(encoding="utf-8")


def test_the_latex_of_the_demo(demo):
    latex = build(demo.store).render("latex")
    assert (
        r"mlp & hinge & 1 & \textbf{3.20 $\pm$ 0.25} & \textbf{0.713 $\pm$ 0.063} & 3/3 & 0 & 1,001 & 782/782 \\"
        in latex
    )
    assert r"architecture & loss & rank & fd $\downarrow$ & precision $\uparrow$" in latex
    assert latex.index(r"\toprule") < latex.index(r"\midrule") < latex.index(r"\bottomrule")
    assert r"\begin{tabular}{llrrrrrrr}" in latex
    assert r"bold: the best, and all that are not significantly worse (Welch t, Holm over all pairs, 5 \%) \\" in latex
    assert latex.count("{") == latex.count("}")


def test_the_csv_of_the_demo(demo):
    rows = list(csv.DictReader(io.StringIO(build(demo.store).render("csv"))))
    assert len(rows) == 2 * 8
    hinge = rows[0]
    assert (hinge["architecture"], hinge["loss"], hinge["metric"]) == ("mlp", "hinge", FD)
    assert float(hinge["mean"]) == pytest.approx(3.2)
    assert float(hinge["half_width"]) == pytest.approx(0.248414, rel=1e-5)
    assert (hinge["n"], hinge["planned"], hinge["rank"], hinge["best"]) == ("3", "3", "1", "True")
    assert (hinge["images_per_second"], hinge["d_updates"], hinge["scale"]) == ("1001.0", "782.0", "log")
    wasserstein = rows[2]
    assert (wasserstein["status"], wasserstein["n"], wasserstein["diverged"]) == ("partial", "2", "1")
    assert {row["status"] for row in rows} == {"done", "partial", "diverged", "skipped"}
    assert rows[3]["mean"] == ""


def test_the_json_of_the_demo(demo):
    data = json.loads(build(demo.store).render("json"))
    assert (data["suite"], data["level"]) == ("demo", 0.95)
    assert data["rows"][3]["mean"] is None
    assert data["rows"][3]["status"] == "diverged"
    assert data["tables"][0]["title"] == "demo, digits, 50,000 images, scored by digits_cnn"
    assert any(note.startswith("floor") for note in data["tables"][0]["notes"])


def test_an_unknown_format_is_refused(demo):
    with pytest.raises(ResultsError, match=r"unknown format 'latx'; did you mean 'latex'\?"):
        build(demo.store).render("latx")
    assert set(FORMATS) == {"markdown", "csv", "latex", "json"}


def test_metrics_are_chosen_by_name_or_stem_and_in_the_order_asked_for(demo):
    (block,) = build(demo.store, options(metrics=["precision"])).blocks
    assert block.header[3:5] == ("precision ↑", "runs")
    (block,) = build(demo.store, options(metrics=["precision", FD])).blocks
    assert block.header[3:5] == ("precision ↑", "fd ↓")
    assert "rank by precision" in said(block)
    with pytest.raises(ResultsError, match=r"unknown metric 'fd/digit_cnn'; did you mean 'fd/digits_cnn'\? known: fd"):
        build(demo.store, options(metrics=["fd/digit_cnn"]))


def test_sorting(demo):
    by_fd = lines(build(demo.store).blocks[0])
    assert by_fd[-2:] == ["real", "noise"]
    by_precision = lines(build(demo.store, options(sort="precision")).blocks[0])
    assert by_precision == by_fd  # the order of the means happens to be the same; the ranks are of precision
    by_loss = lines(build(demo.store, options(sort="loss")).blocks[0])
    assert by_loss[:3] == ["dcgan hinge", "mlp hinge", "dcgan minimax"]
    by_label = lines(build(demo.store, options(sort="label")).blocks[0])
    assert by_label[:3] == ["dcgan hinge", "dcgan minimax", "dcgan wasserstein"]
    assert by_label[-2:] == ["real", "noise"]
    with pytest.raises(ResultsError, match=r"unknown metric 'los'; did you mean 'loss'\?"):
        build(demo.store, options(sort="los"))


def test_sorting_by_another_metric_ranks_by_it(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.metric(PRECISION)
    folder.cell("a", "x", {FD: [1.0, 1.1], PRECISION: [0.1, 0.2]})
    folder.cell("b", "x", {FD: [2.0, 2.1], PRECISION: [0.8, 0.9]})
    assert lines(build(folder.store).blocks[0]) == ["a x", "b x"]
    (block,) = build(folder.store, options(sort="precision")).blocks
    assert lines(block) == ["b x", "a x"]
    assert column(block, "rank") == ["1", "2"]
    (pivot,) = build(folder.store, options(metrics=[FD], cols=["loss"])).blocks
    assert [row[0].text for row in pivot.rows] == ["a", "b"]


def test_equal_means_share_a_rank(make_folder):
    folder = make_folder()
    folder.metric(FD)
    for loss, values in {"x": [8.0, 8.0], "y": [8.0, 8.0], "z": [9.0, 9.0]}.items():
        folder.cell("a", loss, {FD: values})
    assert column(build(folder.store).blocks[0], "rank") == ["1", "1", "3"]


def test_one_axis_against_another(demo):
    (fd, precision) = build(demo.store, options(rows=["architecture"], cols=["loss"])).blocks
    assert fd.title == "demo, fd/digits_cnn ↓, digits, 50,000 images"
    assert precision.title.startswith(f"demo, {PRECISION} ↑")
    assert fd.header == ("architecture", "hinge", "minimax", "wasserstein")
    assert [[entry.text for entry in row] for row in fd.rows] == [
        ["mlp", "3.20 ± 0.25", "8.2 ± 1.9", "(4.2) (n=2)"],
        ["dcgan", "diverged", "5.000 (n=1)", "n/a: note 1"],
    ]
    assert [entry.bold for entry in fd.rows[0]] == [False, True, False, False]
    assert "baselines: real (digits) 0.3000, noise (digits) 105.2" in fd.notes


def test_rows_follow_from_the_columns(demo):
    (block,) = build(demo.store, options(metrics=["fd"], cols=["architecture"])).blocks
    assert block.header == ("loss", "mlp", "dcgan")
    (block,) = build(demo.store, options(metrics=["fd"], cols=["architecture", "loss"])).blocks
    assert block.header[:3] == ("dataset", "mlp / hinge", "mlp / minimax")
    assert block.rows[0][0].text == "digits"


def test_pivots_sort_by_label_or_metric(demo):
    rows = [row[0].text for row in build(demo.store, options(cols=["loss"], sort="architecture")).blocks[0].rows]
    assert rows == ["dcgan", "mlp"]
    rows = [row[0].text for row in build(demo.store, options(cols=["loss"], sort="fd")).blocks[0].rows]
    assert rows == ["mlp", "dcgan"]


def test_seeds_as_rows_and_as_columns(demo):
    (block,) = build(demo.store, options(metrics=["fd"], rows=["architecture", "loss", "seed"])).blocks
    assert block.header[:4] == ("architecture", "loss", "seed", "rank")
    assert [entry.text for entry in block.rows[0][:5]] == ["mlp", "hinge", "0", "1", "3.100"]
    assert not any(entry.bold for row in block.rows for entry in row)
    assert "missing" in column(block, "fd ↓")
    (block,) = build(demo.store, options(metrics=["fd"], cols=["seed"])).blocks
    assert block.header == ("architecture", "loss", "0", "1", "2")
    assert [entry.text for entry in block.rows[0]] == ["mlp", "hinge", "3.100", "3.300", "3.200"]
    assert "dcgan / wasserstein: n/a: the penalty" in said(block)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"rows": ["los"]}, r"unknown axis 'los'; did you mean 'loss'\? known: architecture, dataset, loss, seed"),
        ({"rows": ["loss"], "cols": ["loss"]}, "axis 'loss' is named twice"),
        ({"cols": ["architecture", "loss", "dataset"]}, "no axis is left for the rows"),
    ],
)
def test_axes_that_make_no_sense(demo, given, match):
    with pytest.raises(ResultsError, match=match):
        build(demo.store, options(**given))


@pytest.fixture
def two_datasets(make_folder):
    folder = make_folder()
    for dataset in ("digits", "mnist"):
        folder.metric(FD, dataset=dataset)
        folder.cell("mlp", "hinge", {FD: [1.0, 2.0]}, dataset=dataset)
        folder.cell("mlp", "minimax", {FD: [4.0, 5.0]}, dataset=dataset)
    return folder


def test_a_table_for_each_dataset(two_datasets):
    first, second = build(two_datasets.store).blocks
    assert first.title == "demo, digits, 50,000 images, scored by digits_cnn"
    assert second.title == "demo, mnist, 50,000 images, scored by digits_cnn"
    assert "(mnist, test split)" in said(second)
    assert "(mnist" not in said(first)


def test_a_dataset_has_the_columns_of_its_own_metrics_only(make_folder):
    folder = make_folder()
    ids = [folder.metric("fd/digits_cnn"), folder.metric("fd/mnist_cnn", dataset="mnist")]
    folder.cell("mlp", "hinge", {"fd/digits_cnn": [1.0, 2.0]})
    folder.plan["cells"].append({"dataset": "mnist", "architecture": "mlp", "loss": "hinge", "runs": {"0": "r9"}})
    folder.store.write_plan(folder.plan | {"protocols": ids})
    digits, mnist = build(folder.store).blocks
    assert digits.header[3:5] == ("fd ↓", "runs")
    assert mnist.header[3:5] == ("fd ↓", "runs")
    assert column(mnist, "fd ↓") == ["missing"]


def test_datasets_never_share_a_column_of_rows(two_datasets):
    (block,) = build(two_datasets.store, options(rows=["dataset"])).blocks
    assert block.header[:6] == ("dataset", "architecture", "loss", "rank", "fd ↓ (digits)", "fd ↓ (mnist)")
    assert [row[4].text for row in block.rows if row[0].text == "mnist"] == ["", ""]
    (block,) = build(two_datasets.store, options(cols=["dataset"])).blocks
    assert block.header == ("architecture", "loss", "digits", "mnist")


def test_two_protocols_never_share_a_column(make_folder):
    folder = make_folder()
    old = folder.metric(FD, id="1111111122222222", generated={"n": 1000})
    folder.cell("mlp", "hinge", {FD: [1.0, 1.2]})
    folder.ids.clear()
    new = folder.metric(FD, id="3333333344444444")
    folder.cell("mlp", "minimax", {FD: [2.0, 2.2]})
    (block,) = build(folder.store).blocks
    assert block.header[3:5] == ("fd ↓ (11111111)", "fd ↓ (33333333)")
    assert column(block, "fd ↓ (11111111)") == ["1.1 ± 1.3", "unscored"]
    assert column(block, "fd ↓ (33333333)") == ["unscored", "2.1 ± 1.3"]
    assert "was scored under more than one protocol" in said(block)
    assert "1,000 generated" in said(block)
    assert "2,000 generated" in said(block)
    pivots = build(folder.store, options(cols=["loss"])).blocks
    assert [block.title for block in pivots] == [
        f"demo, {FD} ↓, 11111111, digits, 50,000 images",
        f"demo, {FD} ↓, 33333333, digits, 50,000 images",
    ]

    folder.plan["protocols"] = [new]
    folder.store.write_plan(folder.plan)
    (block,) = build(folder.store).blocks
    assert block.header[3:5] == ("fd ↓", "runs")
    assert "unscored" in column(block, "fd ↓")
    assert "has not been measured" in said(block)
    (block,) = build(folder.store, options(all=True)).blocks
    assert old[:8] in " ".join(block.header)


def test_a_run_lends_its_score_under_one_protocol_to_no_other_column(make_folder):
    """Both cells and baselines have scores at two numbers of samples; the protocols differ in nothing else."""
    folder = make_folder()
    many = folder.metric(FD, id="1111111122222222", generated={"n": 2000}, floor={"value": 0.5, "extrapolated": False})
    (first,) = folder.cell("mlp", "hinge", {FD: [1.0]})
    folder.baseline("real", {FD: [0.2]})
    folder.ids.clear()
    few = folder.metric(FD, id="3333333344444444", generated={"n": 1000}, floor={"value": 0.9, "extrapolated": False})
    folder.cell("mlp", "minimax", {FD: [2.0]})
    for run, value in ((first, 1.5), ("digits-real-0", 0.3)):
        place = folder.store.run_folder(run)
        (record,) = place.records()
        place.write_records([record, replace(record, value=value, protocol=few)])
    folder.store.write_plan(folder.plan | {"protocols": [many, few]})
    (block,) = build(folder.store).blocks
    assert column(block, "fd ↓ (11111111)") == ["1.000", "unscored", "0.2000"]
    assert column(block, "fd ↓ (33333333)") == ["1.500", "2.000", "0.3000"]
    text = said(block)
    assert "was scored on" not in text  # each column has baselines of its own number of samples
    assert "fd/digits_cnn (11111111) 0.500, fd/digits_cnn (33333333) 0.900" in text
    assert "fd/digits_cnn (11111111) has not been measured" in text
    assert "scores all its runs under the present one" in text
    place = folder.store.run_folder("digits-mlp-minimax-0")
    (record,) = place.records()
    place.write_records([record, replace(record, value=3.0, protocol=many)])
    (block,) = build(folder.store).blocks
    assert "these are not comparable; compare within a column" in said(block)
    assert "scores all its runs under the present one" not in said(block)


def test_columns_of_two_extractors_keep_their_whole_names(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.metric("fd/mnist_cnn")
    folder.cell("mlp", "hinge", {FD: [1.0], "fd/mnist_cnn": [2.0]})
    (block,) = build(folder.store).blocks
    assert block.header[3:5] == ("fd/digits_cnn ↓", "fd/mnist_cnn ↓")
    assert "scored by" not in block.title


def test_a_baseline_of_fewer_samples_frames_the_column(make_folder):
    folder = make_folder()
    own = folder.metric(FD)
    folder.cell("mlp", "hinge", {FD: [1.0, 1.2]})
    folder.ids.clear()
    few = folder.metric(FD, id="few", generated={"n": 599})
    folder.ids.clear()
    other = folder.metric(FD, id="other", extractor={"name": "another"})
    folder.baseline("real", {FD: [0.2]}, ids={FD: few})
    folder.baseline("noise", {FD: [99.0]}, ids={FD: other})
    table = build(folder.store)
    (block,) = table.blocks
    assert column(block, "fd ↓") == ["1.1 ± 1.3", "0.2000", "unscored"]
    assert [row["protocol"] for row in table.long[:2]] == [own, few]
    assert "real was scored on 599 samples: fd/digits_cnn" in said(block)


def test_baselines_with_several_seeds_have_an_interval(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "hinge", {FD: [1.0, 1.2]})
    folder.baseline("vae", {FD: [5.0, 6.0, 7.0]})
    (block,) = build(folder.store).blocks
    assert column(block, "fd ↓") == ["1.1 ± 1.3", "6.0 ± 2.5"]
    assert column(block, "rank") == ["1", ""]


def test_only_the_last_snapshot_is_the_score(make_folder):
    folder = make_folder()
    id = folder.metric(FD)
    (run,) = folder.cell("mlp", "hinge", {FD: [1.0]})
    place = folder.store.run_folder(run)
    early = Record(run, "digits", "mlp", "hinge", 0, 25000, FD, 0.1, "done", None, id)
    place.write_records([early, *place.records(), early])
    assert column(build(folder.store).blocks[0], "fd ↓") == ["1.000"]


def test_the_error_of_one_score_stands_apart_from_the_interval_over_seeds(make_folder):
    folder = make_folder()
    folder.metric(FD)
    runs = folder.cell("mlp", "hinge", {FD: [1.0, 1.5]}) + folder.cell("mlp", "minimax", {FD: [1.0, 1.5]})
    for run, error in zip(runs, (0.3, 0.4, None, None), strict=True):
        place = folder.store.run_folder(run)
        place.write_records([replace(record, error=error, note="class 8") for record in place.records()])
    table = build(folder.store)
    assert column(table.blocks[0], "fd ↓") == ["1.2 ± 3.2", "1.2 ± 3.2"]
    rms = math.sqrt((0.3**2 + 0.4**2) / 2)
    assert [row["sampling_error"] for row in table.long] == [pytest.approx(rms), None]
    assert [row["note"] for row in table.long] == ["class 8", "class 8"]
    assert f"generated samples, apart from the spread over seeds: {FD} 0.35" in said(table.blocks[0])


def test_scores_of_an_earlier_snapshot_are_pointed_out(make_folder):
    folder = make_folder()
    id = folder.metric(FD)
    runs = folder.cell("mlp", "hinge", {FD: [1.0, 1.1]})
    early = Record(runs[0], "digits", "mlp", "hinge", 0, 25000, FD, 0.1, "done", None, id)
    folder.store.run_folder(runs[0]).write_records([early])
    assert "between 50 % and 100 % of a run" in said(build(folder.store).blocks[0])


@pytest.mark.parametrize(
    "status", ["interrupted", "running", "missing", "failed", "diverged", "collapsed", "saturated"]
)
def test_a_cell_without_any_score_says_what_became_of_it(make_folder, status):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "hinge", {FD: [status, status]})
    (block,) = build(folder.store, options(all=True)).blocks
    assert column(block, "fd ↓") == [status]
    assert column(block, "runs") == ["0/2"]


def test_runs_that_stopped_for_a_state_stand_behind_are_counted_and_named(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "minimax", {FD: [9.0, 9.5, 9.2]})
    folder.cell("mlp", "hinge", {FD: [1.0, "collapsed", "diverged"]})
    folder.cell("mlp", "wasserstein", {FD: ["saturated", "saturated", "collapsed"]})
    table = build(folder.store)
    (block,) = table.blocks
    assert column(block, "rank") == ["1", "2", "3"]
    assert column(block, "fd ↓")[1:] == ["(1.000)", "2 saturated, 1 collapsed"]
    assert column(block, "runs") == ["3/3", "1/3", "0/3"]
    assert column(block, "diverged") == ["0", "1", "0"]
    assert column(block, "collapsed") == ["0", "1", "1"]
    assert column(block, "saturated") == ["0", "0", "2"]
    assert "(mean): some runs diverged or collapsed, the mean is that of the others" in said(block)
    assert "a cell with diverged, collapsed or saturated runs stands behind all without" in said(block)
    why = "at step 500, 5 readings of the curves in a row showed it"
    assert f"2 of 9 runs collapsed: mlp / hinge seed 1 ({why}); mlp / wasserstein seed 2 ({why})" in said(block)
    assert "2 of 9 runs saturated: mlp / wasserstein seeds 0, 1" in said(block)
    hinge = next(row for row in table.long if row["loss"] == "hinge")
    assert (hinge["collapsed"], hinge["diverged"], hinge["saturated"], hinge["status"]) == (1, 1, 0, "partial")


def test_a_column_of_a_state_is_there_only_where_a_run_stopped_for_it(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "minimax", {FD: [9.0, "diverged"]})
    (block,) = build(folder.store).blocks
    assert block.header[-4:] == ("runs", "diverged", "images/s", "updates D/G")
    assert "a cell with diverged runs stands behind all without" in said(block)


def test_mixed_fates_are_counted(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "minimax", {FD: [1.0, 1.0, 1.0]})
    folder.cell("mlp", "hinge", {FD: ["failed", "interrupted", "failed"]})
    (block,) = build(folder.store).blocks
    assert column(block, "fd ↓")[1] == "2 failed, 1 interrupted"
    assert "1 of 6 runs were interrupted: mlp / hinge seed 1" in said(block)


def test_a_metric_that_failed_on_some_runs(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.metric("kd/digits_cnn")
    folder.cell("mlp", "hinge", {FD: [1.0, 1.1, 1.2], "kd/digits_cnn": [0.1, None, 0.2]})
    (block,) = build(folder.store).blocks
    assert column(block, "runs") == ["3/3"]
    assert column(block, "kd ↓")[0].endswith("(n=2)")
    assert "kd/digits_cnn failed: too few samples: 1 run" in said(block)


def test_short_reasons_stand_in_the_cell(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "hinge", {FD: [1.0]})
    folder.cell("mlp", "wgan", skipped="no critic")
    (block,) = build(folder.store).blocks
    assert column(block, "fd ↓") == ["1.000", "n/a: no critic"]


def test_incompatible_cells_that_run_all_the_same_are_marked(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "wgan", {FD: [1.0]}, allowed_incompatible="BatchNorm in D")
    (block,) = build(folder.store).blocks
    assert lines(block) == ["mlp wgan (incompatible)"]
    assert "mlp / wgan (incompatible): run although it is declared incompatible: BatchNorm in D" in block.notes


def test_hidden_runs_are_shown_by_all_and_not_ranked(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.metric("kd/digits_cnn")
    folder.cell("mlp", "hinge", {FD: [3.0, 3.1], "kd/digits_cnn": [0.1, 0.2]})
    folder.plan["cells"].clear()
    folder.plan["metrics"].remove("kd/digits_cnn")
    folder.cell("mlp", "minimax", {FD: [4.0, 4.1]})
    (block,) = build(folder.store).blocks
    assert lines(block) == ["mlp minimax"]
    (block,) = build(folder.store, options(all=True)).blocks
    assert re.fullmatch(r"mlp hinge \(old [0-9a-f]{6}\)", lines(block)[1])
    assert column(block, "rank") == ["1", ""]
    assert "kd ↓" in block.header
    assert "old: runs that the suite no longer names" in said(block)


def test_earlier_versions_of_a_cell_do_not_mix(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "hinge", {FD: [3.0, 3.1]})
    for run, rate in (("x1", 0.1), ("x2", 0.2)):
        folder.run(run, ("digits", "mlp", "hinge"), 0, {FD: rate})
        config = folder.store.run_folder(run).config()
        folder.store.run_folder(run).write_json("config.json", {**config, "config": {"lr": rate, "seed": 0}})
    (block,) = build(folder.store, options(all=True)).blocks
    assert len(set(lines(block))) == 3
    assert column(block, "runs") == ["2/2", "1/1", "1/1"]


def test_mixed_environments_are_named(make_folder):
    folder = make_folder()
    folder.metric(FD)
    runs = folder.cell("mlp", "hinge", {FD: [1.0, 1.1, 1.2]})
    assert "mixed environments" not in said(build(folder.store).blocks[0])
    folder.store.run_folder(runs[0]).write_json("environment.json", {"device": "cuda (H100)", "torch": "2.15.0"})
    assert "mixed environments" in said(build(folder.store).blocks[0])
    assert "device cpu (2 runs), cuda (H100) (1 run)" in said(build(folder.store).blocks[0])


def test_a_run_that_went_on_in_another_environment_is_named(make_folder):
    folder = make_folder()
    folder.metric(FD)
    (run,) = folder.cell("mlp", "hinge", {FD: [1.0]})
    environment = {"device": "cpu", "earlier": [{"device": "cpu"}, {"device": "mps"}]}
    folder.store.run_folder(run).write_json("environment.json", environment)
    assert "device cpu, then mps (1 run)" in said(build(folder.store).blocks[0])


@pytest.mark.parametrize(
    ("seeds", "note"),
    [(1, "1 seed a cell: no interval"), (3, "3 seeds a cell: only large"), (5, None)],
)
def test_few_seeds_are_pointed_out(make_folder, seeds, note):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "hinge", {FD: [1.0 + seed for seed in range(seeds)]})
    folder.cell("mlp", "minimax", {FD: [2.0 + seed for seed in range(seeds)]})
    (block,) = build(folder.store).blocks
    assert (note in said(block)) if note else ("seeds a cell" not in said(block))
    assert ("nothing is bold" in said(block)) == (seeds == 1)
    assert ("smallest effect" in said(block)) == (seeds > 1)


def test_the_level_widens_the_interval(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "hinge", {FD: [1.0, 2.0, 3.0]})
    wide, narrow = (build(folder.store, TableOptions(level=level)).long[0]["half_width"] for level in (0.99, 0.9))
    assert wide > narrow
    assert "99 % interval" in said(build(folder.store, TableOptions(level=0.99)).blocks[0])


def test_a_plan_without_any_run_shows_what_is_missing(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.plan["cells"] = [{"dataset": "digits", "architecture": "mlp", "loss": "hinge", "runs": {"0": "r0"}}]
    folder.store.write_plan(folder.plan)
    assert column(build(folder.store).blocks[0], "fd ↓") == ["missing"]
    (folder.store.folder / "protocols.json").unlink()
    assert column(build(folder.store).blocks[0], "fd") == ["missing"]


def test_a_folder_without_a_plan_has_no_table(make_folder):
    with pytest.raises(ResultsError, match="holds no results yet"):
        build(make_folder().store)


def test_damaged_files_are_named(make_folder):
    folder = make_folder()
    id = folder.metric(FD)
    (run,) = folder.cell("mlp", "hinge", {FD: [1.0]})
    place = folder.store.run_folder(run)
    (folder.store.folder / "protocols.json").write_text("{}")
    with pytest.raises(ResultsError, match=rf"names the protocol '{id}', which protocols.json does not hold"):
        build(folder.store)
    folder.store.add_protocols({id: {"direction": "sideways"}})
    with pytest.raises(ResultsError, match="no direction or no scale"):
        build(folder.store)
    (place.path / "records.jsonl").write_text("{}\n")
    with pytest.raises(ResultsError, match=r"records\.jsonl, line 1 is no record"):
        build(folder.store)
    (place.path / "run.json").write_text("[]")
    with pytest.raises(ResultsError, match=r"run\.json holds list; it must be a JSON object"):
        build(folder.store)


NASTY = "=cmd|' /C calc'!A0 <script>alert(1)</script> \\input{/etc/passwd} \x1b[31m\n| a | b |"


def test_foreign_text_stays_text_in_every_format(make_folder):
    folder = make_folder()
    folder.metric(FD)
    folder.cell("mlp", "hinge", {FD: [1.0]})
    folder.cell("mlp", "wgan", skipped=NASTY)
    table = build(folder.store)
    markdown = table.render("markdown")
    assert r"\<script\>" in markdown
    assert len({line.count("|") - line.count(r"\|") for line in markdown.splitlines() if line.startswith("|")}) == 1
    latex = table.render("latex")
    assert r"\textbackslash{}input\{/etc/passwd\}" in latex
    reasons = [row["reason"] for row in csv.DictReader(io.StringIO(table.render("csv")))]
    assert reasons[1].startswith("'=cmd")
    assert all("\x1b" not in table.render(form) for form in FORMATS)
    assert json.loads(table.render("json"))["rows"][1]["reason"].startswith("=cmd")


@settings(max_examples=25)
@given(values=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=4), reason=st.text(min_size=1))
def test_any_values_and_reasons_render(tmp_path_factory, values, reason):
    store = Store.create(tmp_path_factory.mktemp("any"), "any")
    reason = reason.encode("utf-8", "replace").decode()
    store.add_protocols({"p": {"direction": "lower", "scale": "log", "protocol": {}}})
    runs = {str(seed): f"r{seed}" for seed in range(len(values))}
    cells = [{"dataset": "d", "architecture": "a", "loss": "l", "runs": runs}]
    cells += [{"dataset": "d", "architecture": "a", "loss": "m", "runs": {}, "skipped": reason}]
    plan = {"suite": "any", "budget": {}, "samples": 1, "metrics": ["fd"], "cells": cells, "baselines": []}
    store.write_plan(plan)
    for seed, value in enumerate(values):
        run = store.run_folder(f"r{seed}")
        run.write_json("run.json", {"status": "done"})
        run.write_records([Record(run.id, "d", "a", "l", seed, 1, "fd", value, "done", None, "p")])
    table = build(store)
    assert all(table.render(form) for form in FORMATS)
    assert table.long[0]["mean"] == pytest.approx(sum(values) / len(values), abs=1e-6)
