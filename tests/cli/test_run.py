"""`ganbench run` from end to end on toys: what it does, what it does not do twice, what it keeps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from PIL import Image

from ganbench.files import read_json_lines
from ganbench.results.store import Store

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"


def store() -> Store:
    return Store.open(Path("results/toy"))


def mtimes() -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in Path("results/toy/runs").rglob("*") if p.is_file()}


def test_a_suite_becomes_a_table(run_toy):
    result = run_toy()
    assert result.exit_code == 0, result.output
    assert "| tiny " in result.stdout
    assert "logistic" in result.stdout
    assert "2/2" in result.stdout
    assert "noise" in result.stdout
    assert "real" in result.stdout
    assert "floor" in result.stdout
    assert "6 runs" in result.stderr
    for folder in store().run_folders():
        names = {path.name for path in folder.path.iterdir()}
        assert {"config.json", "environment.json", "run.json", "records.jsonl", "sheet.png"} <= names
        if "generator" in folder.config()["config"]:
            assert {"generator.safetensors", "state.safetensors", "curves.jsonl", "timings.jsonl"} <= names
            assert folder.status()["d_updates"] == 10
            assert folder.config()["origins"]["batch_size"] == {"value": 16, "from": "suite [recipe]"}
    assert len(list(store().folder.glob("suite.*"))) == 2


def test_every_score_has_its_environment_beside_it(run_toy):
    run_toy()
    for folder in store().run_folders():
        events = read_json_lines(folder.path / "scorings.jsonl")
        scored = {(event["images_seen"], id) for event in events for id in event["protocols"]}
        assert scored == {(record.images_seen, record.protocol) for record in folder.records()}
        for event in events:
            assert event["environment"]["device"] == "cpu"
            assert torch.__version__.startswith(event["environment"]["torch"])
            assert event["batch_size"] == 128
            assert event["seconds"] > 0


def test_running_again_does_nothing_and_prints_the_same_table(run_toy):
    first, before = run_toy(), mtimes()
    second = run_toy()
    assert second.exit_code == 0
    assert second.stdout == first.stdout
    assert "all 6 runs are done" in second.stderr
    assert mtimes() == before


def test_the_same_suite_elsewhere_gives_the_same_scores(run_toy, ganbench):
    first = run_toy()
    shutil.rmtree("results")
    again = run_toy()
    strip = lambda text: [line.split("|")[:6] for line in text.splitlines() if line.startswith("| ")]  # noqa: E731
    assert strip(first.stdout) == strip(again.stdout)


def test_a_changed_scoring_rescores_without_training(run_toy, tmp_path):
    run_toy()
    weights = {name: when for name, when in mtimes().items() if "safetensors" in name}
    result = run_toy(
        **{'metrics = ["fd", "precision"]': 'metrics = ["fd", "coverage"]', "samples = 64": "samples = 80"}
    )
    assert result.exit_code == 0
    assert "coverage" in result.stdout
    assert "precision" not in result.stdout
    assert {name: when for name, when in mtimes().items() if "safetensors" in name} == weights


def test_an_edited_suite_keeps_and_hides_what_it_no_longer_names(run_toy, ganbench):
    run_toy()
    ids = {folder.id for folder in store().run_folders()}
    result = run_toy(losses='losses = ["logistic", "autoencoding"]')
    assert "autoencoding" in result.stdout
    assert "stateful" not in result.stdout
    assert ids < {folder.id for folder in store().run_folders()}
    assert "stateful" in ganbench("table", "results/toy", "--all").stdout


def test_editing_a_plugins_source_makes_its_runs_new(run_toy, tmp_path):
    plugins = tmp_path / "toys_copy.py"
    plugins.write_text(TOYS.read_text())
    run_toy(plugins=plugins)
    plugins.write_text(
        TOYS.read_text().replace("return F.softplus(-game.fake_logits).mean()", "return -game.fake_logits.mean()")
    )
    preview = run_toy("--dry-run", plugins=plugins)
    assert "new because the source changed" in preview.stdout
    assert "logistic" in preview.stdout.split("new because the source changed")[1].splitlines()[0]
    result = run_toy(plugins=plugins)
    assert "6 to do" in result.stderr


def test_seeds_are_added_without_training_the_old_ones_again(run_toy):
    run_toy()
    result = run_toy("--seeds", 3)
    assert "8 runs, 2 to do" in result.stderr
    assert "3/3" in result.stdout


def test_a_run_that_raises_is_failed_and_the_others_go_on(run_toy):
    result = run_toy(losses='losses = ["raising", "logistic"]')
    assert result.exit_code == 1
    assert "failed: tiny/raising on blobs, seed 0: ValueError: this loss always raises" in result.stderr
    assert "2/2" in result.stdout
    failed = [folder for folder in store().run_folders() if folder.status()["status"] == "failed"]
    assert len(failed) == 2
    assert "this loss always raises" in (failed[0].path / "error.txt").read_text()
    again = run_toy(losses='losses = ["raising", "logistic"]')
    assert again.exit_code == 1
    assert "2 to do" in again.stderr


def test_a_run_that_diverges_is_counted(run_toy):
    result = run_toy(losses='losses = ["exploding", "logistic"]')
    assert result.exit_code == 0
    assert "diverged" in result.stdout
    status = [f.status() for f in store().run_folders() if f.status()["status"] == "diverged"]
    assert [s["step"] for s in status] == [5, 5]
    again = run_toy(losses='losses = ["exploding", "logistic"]')
    assert "all 6 runs are done" in again.stderr


def test_snapshots_along_the_budget_are_scored(run_toy):
    result = run_toy(**{"samples = 64": "samples = 64\nat = [0.5, 1.0]"})
    assert result.exit_code == 0
    seen = {(r.images_seen, r.metric) for r in store().records() if r.loss == "logistic"}
    assert seen == {(80, "fd/pixels"), (80, "precision/pixels"), (160, "fd/pixels"), (160, "precision/pixels")}


def test_a_fraction_that_no_run_kept_is_mentioned(run_toy):
    run_toy()
    result = run_toy(**{"samples = 64": "samples = 64\nat = [0.25, 1.0]"})
    assert "kept no generator at 0.25" in result.stderr


def test_a_skipped_cell_is_na_with_its_reason(run_toy):
    result = run_toy(losses='losses = ["logistic", "logistic+auxiliary"]')
    assert result.exit_code == 0
    assert "no categorical code to predict" in result.stdout


def test_a_suite_in_which_nothing_can_run_says_why(run_toy):
    result = run_toy(losses='losses = ["logistic+auxiliary"]')
    assert result.exit_code == 2
    assert "no combination of the suite can run: tiny/logistic+auxiliary on blobs: the latent has no" in result.stderr


def test_an_incompatible_cell_runs_on_request_and_is_marked(run_toy):
    changes = {'architectures = ["tiny"]': 'architectures = ["batch_coupled"]'}
    penalised = 'losses = ["logistic", "logistic+wgan_gp"]'
    reason = "wgan_gp is defined for one sample at a time"
    refused = run_toy(losses=penalised, **changes)
    assert reason in refused.stdout
    assert "run all the same" not in refused.stdout
    (skipped,) = [cell for cell in store().plan().cells if cell.skipped]
    assert reason in skipped.skipped
    allowed = run_toy("--allow-incompatible", "--set", "recipe.schedule=['D','G']", losses=penalised, **changes)
    assert allowed.exit_code == 0
    (marked,) = [cell for cell in store().plan().cells if cell.allowed_incompatible]
    assert (marked.loss, len(marked.runs)) == ("logistic+wgan_gp", 2)
    assert reason in allowed.stdout


def test_a_metric_that_fails_is_recorded_once_and_not_tried_again(run_toy):
    few = {"samples = 64": "samples = 2", 'metrics = ["fd", "precision"]': 'metrics = ["fd", "precision", "kd"]'}
    assert run_toy(**few).exit_code == 0
    failed = {(r.metric, r.status) for r in store().records() if r.status == "failed"}
    assert failed
    before = mtimes()
    assert "all 6 runs are done" in run_toy(**few).stderr
    assert mtimes() == before


def test_the_command_line_alone_is_a_suite(ganbench):
    arguments = ["--dataset", "blobs", "--arch", "tiny", "--loss", "logistic", "--seeds", 1, "--images", "1e2"]
    quick = ["--set", "recipe.g_optimizer=plain_adam", "--set", "recipe.d_optimizer=plain_adam", "--metric", "fd"]
    result = ganbench("run", *arguments, *quick, "--plugins", TOYS, "--workers", 1, "--set", "scoring.samples=50")
    assert result.exit_code == 0, result.stderr
    (folder,) = Path("results").iterdir()
    assert folder.name.startswith("blobs-")
    assert len(folder.name) == len("blobs-") + 8
    named = ganbench("run", *arguments, *quick, "--plugins", TOYS, "--device", "cpu", "--name", "mine", "--dry-run")
    assert "results/mine" in named.stdout


def test_no_argument_at_all_is_quickstart_with_the_flags_applied(ganbench):
    result = ganbench("run", "--dry-run", "--seeds", 1, "--loss", "hinge", "--images", 640)
    assert result.exit_code == 0
    assert result.stdout.startswith("quickstart")
    assert result.stdout.count("1 runs (1 new); 10 D and 10 G updates, 640 images") == 2


def test_a_dry_run_shows_origins_costs_and_reasons_and_writes_nothing(run_toy):
    result = run_toy("--dry-run", "--set", "recipe.g_lr=1e-4", losses='losses = ["logistic", "logistic+auxiliary"]')
    assert result.exit_code == 0
    assert "n/a: the latent has no categorical code" in result.stdout
    assert "10 D and 10 G updates, 160 images; time unknown a run" in result.stdout
    assert "command line: g_lr = 0.0001" in result.stdout
    assert "suite [recipe]: batch_size = 16" in result.stdout
    assert not Path("results").exists()


def test_a_dry_run_knows_the_time_from_records_or_from_a_probe(run_toy):
    assert "time unknown" in run_toy("--dry-run").stdout
    probed = run_toy("--dry-run", "--probe")
    assert "time unknown" not in probed.stdout
    assert not Path("results").exists()
    run_toy()
    after = run_toy("--dry-run", "--seeds", 4)
    assert "time unknown" not in after.stdout
    assert "4 runs (2 done, 2 new)" in after.stdout


def test_a_dry_run_as_json(run_toy):
    cells = json.loads(run_toy("--dry-run", "--json").stdout)["cells"]
    assert [cell["loss"] for cell in cells] == ["logistic", "stateful"]
    assert cells[0]["spending"] == {"rounds": 10, "images": 160, "d_updates": 10, "g_updates": 10}


def test_samples_are_drawn_from_a_stored_generator(run_toy, ganbench):
    run_toy()
    run = next(f for f in store().run_folders() if "generator" in f.config()["config"])
    result = ganbench("sample", run.id[:8], "-n", 6, "--columns", 3, "-o", "grid.png", "--plugins", TOYS)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == "grid.png"
    with Image.open("grid.png") as picture:
        assert picture.size == (3 * 34 + 2, 2 * 34 + 2)
    ganbench("sample", run.path, "-n", 64, "-o", "again.png", "--plugins", TOYS)
    assert Path("again.png").read_bytes() == (run.path / "sheet.png").read_bytes()


def test_sampling_from_what_is_not_there(ganbench):
    result = ganbench("sample", "0000")
    assert result.exit_code == 2
    assert "no run '0000'" in result.stderr


def test_sampling_from_a_baseline_is_refused(run_toy, ganbench):
    run_toy()
    run = next(f for f in store().run_folders() if "baseline" in f.config()["config"])
    result = ganbench("sample", run.id, "--plugins", TOYS)
    assert (result.exit_code, "is a baseline" in result.stderr) == (2, True)


def test_faults_are_mentioned_and_everything_else_works(run_toy, ganbench, tmp_path):
    broken = Path(__file__).parents[1] / "plugins" / "broken"
    result = run_toy("--plugins", broken)
    assert result.exit_code == 0
    assert f"--plugins {broken}' says which" in result.stderr


def test_two_runs_into_one_folder_at_once_are_refused(run_toy):
    run_toy()
    with store().lock():
        result = run_toy()
    assert result.exit_code == 2
    assert "another ganbench run is writing" in result.stderr


def test_a_trained_reference_row_is_planned_run_and_kept_like_a_cell(ganbench):
    axes = ("--dataset", "digits", "--arch", "mlp(width=8)", "--loss", "hinge", "--baseline", "noise,vae(hidden=8)")
    small = ("--name", "rows", "--images", 640, "--seeds", 2, "--metric", "fd", "--set", "scoring.samples=100")
    command = ("run", *axes, *small, "--workers", 1, "--device", "cpu")
    planned = ganbench(*command, "--dry-run").stdout
    assert "digits: vae\n  2 runs (2 new)" in planned
    assert "baseline vae: batch_size = 64" in planned
    assert "5 runs to do" in planned
    result = ganbench(*command)
    assert result.exit_code == 0
    (row,) = [line for line in result.stdout.splitlines() if line.startswith("| vae ")]
    assert "2/2" in row
    rows = json.loads(ganbench(*command, "--dry-run", "--json").stdout)["baselines"]
    assert [run["status"] for row in rows for run in row["runs"]] == ["done"] * 3
    trained = next(row for row in rows if row["name"] == "vae")["runs"]
    assert ganbench("sample", trained[0]["id"], "-n", 4, "-o", "drawn.png").exit_code == 0
    assert "all 5 runs are done" in ganbench(*command).stderr
