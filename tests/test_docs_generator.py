"""The generator of docs/cli.md, docs/plugins.md and docs/components.md, and its check."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ganbench.catalog.loading import hooks
from ganbench.cli import plugins, suites
from ganbench.components import TRAITS, each_kind

PATH = Path(__file__).parent.parent / "docs" / "generate.py"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("ganbench_docs_generate", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_cli_page_holds_the_help_of_every_verb(generate):
    group = click.Group("ganbench", {"plugins": plugins.command, "suite": suites.suite})
    text = generate.cli_of(group)
    for verb in ("ganbench plugins", "ganbench suite", "ganbench suite show"):
        assert f"\n## {verb}\n" in text
        assert f"Usage: {verb} " in text
    assert "--traceback" in text
    assert max(len(line) for line in text.splitlines()) <= 100


def test_plugins_page_holds_hooks_kinds_traits_and_the_game(generate):
    text = generate.plugins()
    assert all(f"- `{hook}()`: Return " in text for hook in hooks())
    assert all(f"\n### {kind.name.capitalize()}\n" in text for kind in each_kind())
    assert all(f"| `{name}` |" in text for name in TRAITS)
    assert "- `step: Tensor`: This player's updates so far" in text
    assert "- `slope(logits: Tensor, x: Tensor) -> Tensor`: Return d logits / d x as float32" in text
    assert "- `generated_in_real: Tensor`: int64 (N,)" in text
    assert "``" not in text


def test_components_page_holds_only_what_is_bundled(generate, monkeypatch):
    stranger = PATH.parent.parent / "tests" / "plugins" / "one_of_each.py"
    monkeypatch.setenv("GANBENCH_PLUGINS", str(stranger))
    text = generate.components_page()
    assert "| `hinge` |" in text
    assert "`weight = 10.0`" in text
    assert "`sway`" not in text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (5, 6)


def test_check_names_the_stale_page(generate, monkeypatch, tmp_path):
    pages = {"one.md": lambda: "first\n", "two.md": lambda: "second\n"}
    monkeypatch.setattr(generate, "PAGES", pages)
    folder = ["--folder", str(tmp_path)]
    missing = CliRunner().invoke(generate.main, ["--check", *folder])
    assert (missing.exit_code, missing.stderr) == (1, "stale: one.md, two.md; run python docs/generate.py\n")
    assert list(tmp_path.iterdir()) == []
    assert CliRunner().invoke(generate.main, folder).exit_code == 0
    assert CliRunner().invoke(generate.main, ["--check", *folder]).exit_code == 0
    (tmp_path / "two.md").write_text("other\n", encoding="utf-8")
    stale = CliRunner().invoke(generate.main, ["--check", *folder])
    assert (stale.exit_code, stale.stderr) == (1, "stale: two.md; run python docs/generate.py\n")
