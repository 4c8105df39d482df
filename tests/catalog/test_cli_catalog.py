"""The verbs about plugins, by exit code and text."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ganbench import GanbenchError
from ganbench.cli import info, plugins, show, suites

pytestmark = pytest.mark.usefixtures("alone")


def invoke(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def each(plugins_folder):
    return plugins_folder / "one_of_each.py"


def test_plugins_lists_components_by_kind_and_no_fault(each):
    result = invoke(plugins.command, "--plugins", each)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    sway = next(number for number, line in enumerate(lines) if line.startswith("  sway"))
    assert lines[sway - 1] == "regularizers"
    assert "arXiv:1710.10196" in lines[sway]
    assert "A small penalty on the logits." in lines[sway]
    assert f"{each.resolve()}:" in lines[sway + 1]
    assert [line for line in lines if line.startswith("  one_of_each")] != []
    assert lines[-1] == "faults: none"


def test_plugins_lists_faults_beside_what_works(plugins_folder):
    result = invoke(plugins.command, "--plugins", plugins_folder / "broken")
    assert result.exit_code == 0
    assert "  sturdy" in result.stdout
    assert "SyntaxError: invalid syntax (syntax_error.py, line 11)" in result.stdout
    assert "faults: 28" in result.stdout
    assert "Traceback" not in result.stdout
    assert "about to leave" not in result.stdout


def test_plugins_prints_tracebacks_when_asked(plugins_folder):
    result = invoke(plugins.command, "--plugins", plugins_folder / "broken", "--traceback")
    assert 'raise RuntimeError("the licence server cannot be reached")' in result.stdout


def test_plugins_as_json(plugins_folder):
    result = invoke(plugins.command, "--plugins", plugins_folder / "broken", "--json")
    shown = json.loads(result.stdout)
    assert [row["name"] for row in shown["components"] if row["kind"] == "regularizer"] == ["kept_penalty"]
    clash = next(fault for fault in shown["faults"] if fault["stage"] == "clash")
    assert clash["names"] == [["loss", "twin"]]
    assert shown["suites"] == []


def test_plugins_lines_are_readable_at_100_columns():
    lines = list(plugins._rows([("name", "stranger 1.0", "arXiv:1406.2661", "word " * 60)]))
    assert len(lines) > 1
    assert max(map(len, lines)) <= 100


def test_plugins_says_which_path_is_missing(tmp_path):
    result = invoke(plugins.command, "--plugins", tmp_path / "absent")
    assert isinstance(result.exception, GanbenchError)
    assert "which does not exist" in str(result.exception)


def test_show_prints_a_component_in_full(each):
    result = invoke(show.command, "sway", "--plugins", each)
    assert result.exit_code == 0
    assert result.stdout.startswith("sway (regularizer)\n")
    for text in ("weight: float = 0.001", "weight E[D(x)^2]", f"{each.resolve()}:", "sha256 ", "A small penalty on"):
        assert text in result.stdout


def test_show_as_json(each):
    shown = json.loads(invoke(show.command, "jitter", "--plugins", each, "--json").stdout)
    assert shown["kind"] == "augmentation"
    assert shown["fields"] == [{"name": "size", "type": "float", "default": "0.1"}]
    assert len(shown["source_digest"]) == 64


def test_show_asks_for_the_kind_only_where_a_name_is_ambiguous(tmp_path, write_loss):
    path = write_loss(tmp_path / "both.py", "both")
    text = path.read_text(encoding="utf-8").replace(
        "    def generator", "    def penalty(self, game): ...\n    def generator"
    )
    path.write_text(text + "\n@hookimpl\ndef regularizers():\n    return [Both]\n", encoding="utf-8")
    ambiguous = invoke(show.command, "both", "--plugins", path)
    assert isinstance(ambiguous.exception, GanbenchError)
    assert "--kind loss or --kind regularizer" in str(ambiguous.exception)
    chosen = invoke(show.command, "both", "--kind", "regularizer", "--plugins", path)
    assert chosen.stdout.startswith("both (regularizer)")


def test_show_of_what_is_not_there(each, plugins_folder):
    unknown = invoke(show.command, "sawy", "--plugins", each)
    assert "unknown component 'sawy'; did you mean 'sway'?" in str(unknown.exception)
    faulty = invoke(show.command, "thawed", "--plugins", plugins_folder / "broken")
    assert "loss 'thawed' cannot be used" in str(faulty.exception)
    assert "not frozen" in str(faulty.exception)
    wrong_kind = invoke(show.command, "sway", "--kind", "lossy", "--plugins", each)
    assert wrong_kind.exit_code == 2


def test_suites_lists_them_and_suite_show_prints_one(each):
    listed = invoke(suites.command, "--plugins", each)
    assert listed.exit_code == 0
    assert listed.stdout.startswith("one_of_each ")
    assert "One run of each part of" in listed.stdout
    shown = invoke(suites.suite, "show", "one_of_each", "--plugins", each)
    assert shown.stdout == each.with_suffix(".toml").read_text(encoding="utf-8")
    unknown = invoke(suites.suite, "show", "one_of_ech", "--plugins", each)
    assert "did you mean 'one_of_each'?" in str(unknown.exception)


def test_suites_without_any_say_so_on_stderr():
    result = invoke(suites.command)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no suite" in result.stderr


def test_info_says_what_is_here(each, monkeypatch, tmp_path):
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path))
    monkeypatch.delenv("GANBENCH_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    shown = json.loads(invoke(info.command, "--plugins", each, "--json").stdout)
    assert set(shown) == {"versions", "devices", "threads", "allocator", "folders", "extractors"}
    assert {"ganbench", "python", "torch", "torchvision", "torch-fidelity", "numpy"} == set(shown["versions"])
    assert shown["allocator"]["MALLOC_ARENA_MAX"] == "2"
    assert shown["folders"]["caches"] == f"{tmp_path} (from GANBENCH_CACHE)"
    assert shown["folders"]["data"].startswith(str(tmp_path / "xdg" / "ganbench" / "data"))
    assert shown["extractors"] == {"raw": "usable"}
    text = invoke(info.command, "--plugins", each).stdout
    assert "extractors\n  raw  usable" in text


def test_info_says_why_an_extractor_is_not_usable(each, tmp_path):
    path = tmp_path / "unusable.py"
    text = each.read_text(encoding="utf-8").replace('"one_of_each.toml"', '"absent.toml"')
    path.write_text(
        text.replace("def available(self):\n        return None", "def available(self):\n        1 / 0"), "utf-8"
    )
    shown = json.loads(invoke(info.command, "--plugins", path, "--json").stdout)
    assert shown["extractors"]["raw"].startswith("not usable: ZeroDivisionError")


@pytest.mark.parametrize(
    ("module", "attribute"),
    [("plugins", "command"), ("show", "command"), ("info", "command"), ("suites", "command"), ("suites", "suite")],
)
def test_help_imports_nothing_heavy(module, attribute):
    code = (
        f"import sys\nfrom ganbench.cli.{module} import {attribute} as verb\n"
        "try:\n    verb(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'torchvision', 'torch_fidelity', 'pandas', 'scipy', 'numpy', 'pydantic', 'rich'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage:" in done.stdout
