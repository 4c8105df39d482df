"""`ganbench table` at the command line."""

import csv
import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ganbench.cli.table import FORMATS, command
from ganbench.errors import ResultsError
from ganbench.results import render

FD = "fd/digits_cnn"


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_formats_are_those_that_can_be_rendered():
    assert set(FORMATS) == set(render.FORMATS)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_goes_to_stdout_or_to_a_file(demo, tmp_path, form):
    result = run(demo.store.folder, "--format", form)
    assert result.exit_code == 0
    assert "wasserstein" in result.stdout
    assert result.stderr == ""
    target = tmp_path / "deep" / f"table.{form}"
    written = run(demo.store.folder, "--format", form, "-o", target)
    assert (written.exit_code, written.output) == (0, "")
    assert target.read_text(encoding="utf-8") == result.stdout


def test_options_reach_the_table(demo):
    folder = demo.store.folder
    rows = list(csv.DictReader(io.StringIO(run(folder, "--metric", "fd", "--format", "csv").stdout)))
    assert {row["metric"] for row in rows} == {FD}
    result = run(folder, "--metric", f"precision,{FD}", "--rows", "architecture", "--cols", "loss", "--sort", "label")
    assert result.stdout.startswith("**demo, precision/digits_cnn ↑, digits")
    assert "| dcgan" in result.stdout.split("| mlp")[0]
    data = json.loads(run(folder, "--metric", "fd", "--metric", "precision", "--all", "--format", "json").stdout)
    assert len({row["metric"] for row in data["rows"]}) == 2


def test_the_folder_that_is_meant(make_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultsError, match=r"there are no results in ./results; .*`ganbench run`"):
        run()
    for name in ("one", "two", "quickstart"):
        folder = make_folder(name)
        folder.plan["suite"] = name
        folder.metric(FD)
        folder.cell("mlp", "hinge", {FD: [1.0]})
        if name == "one":
            assert run().stdout.startswith("**one")
        if name == "two":
            with pytest.raises(ResultsError, match=r"several results are in ./results; name one: one, two"):
                run()
            assert run("two").stdout.startswith("**two")
            assert run("results/two").stdout.startswith("**two")
    assert run().stdout.startswith("**quickstart")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent",), "there is no results folder absent"),
        ((".",), r"\. is no results folder: it has no ganbench\.json"),
        (("results/demo", "--metric", "fdd"), "unknown metric 'fdd'; .*known: fd/digits_cnn, precision/digits_cnn"),
        (("results/demo", "--rows", "colour"), "unknown axis 'colour'"),
        (("results/demo", "--sort", "colour"), "unknown metric 'colour'.*label"),
    ],
)
def test_bad_requests_are_one_sentence(demo, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ResultsError, match=said):
        run(*arguments)


def test_an_unknown_format_is_refused(demo):
    result = run(demo.store.folder, "--format", "html")
    assert result.exit_code == 2
    assert "'html' is not one of 'markdown', 'csv', 'latex', 'json'" in result.output


def test_a_target_that_cannot_be_written(demo, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ResultsError, match=r"cannot be written .*-o"):
        run(demo.store.folder, "-o", tmp_path / "file" / "table.md")
    assert (tmp_path / "file").read_text() == "kept"


def test_neither_torch_nor_a_plugin_is_imported(demo):
    code = (
        "import sys\n"
        "from ganbench.cli.table import command\n"
        "for form in ('markdown', 'csv', 'latex', 'json'):\n"
        "    command.main([sys.argv[1], '--format', form], standalone_mode=False)\n"
        "heavy = {'torch', 'torchvision', 'torch_fidelity', 'ganbench_zoo', 'ganbench.catalog'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    arguments = [sys.executable, "-c", code, str(demo.store.folder)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "wasserstein" in done.stdout
