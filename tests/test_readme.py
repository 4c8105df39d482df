"""The README's examples are run, and its table is the one that its command prints."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganbench.cli.main import main
from ganbench_zoo.datasets.digits import Digits

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = ROOT / "results" / "reference" / "quickstart"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("ganbench ")]


def test_the_table_is_what_its_command_prints():
    result = CliRunner().invoke(main, ["table", str(REFERENCE)])
    assert result.exit_code == 0, result.output
    (table,) = re.findall(r"<!-- table -->\n(.*?)<!-- /table -->", README, re.DOTALL)
    assert table.strip() == result.stdout.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_readme_works(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GANBENCH_PLUGINS", raising=False)
    (tmp_path / "penalties.toml").write_text(blocks("toml")[0])
    (tmp_path / "relativistic.py").write_text(blocks("python")[0])
    shutil.copytree(REFERENCE, tmp_path / "results" / "quickstart")
    write_images(tmp_path / "samples")
    arguments = shlex.split(command)[1:]
    if arguments[0] == "run" and "--dry-run" not in arguments:
        arguments.append("--dry-run")
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.output or (tmp_path / "table.tex").exists()


def write_images(folder):
    from PIL import Image

    folder.mkdir()
    for index, stored in enumerate(Digits().load(folder, "train").pixels[:100]):
        Image.fromarray(stored[0].numpy()).save(folder / f"{index}.png")


def test_the_commands_are_found():
    assert len(COMMANDS) >= 9


def test_the_plugin_of_the_readme_passes_the_conformance_checks(tmp_path):
    from ganbench.catalog import load_catalog
    from ganbench.testing import check_component

    path = tmp_path / "relativistic.py"
    path.write_text(blocks("python")[0])
    check_component(load_catalog([path]).find("loss", "relativistic").component)


def test_the_first_screen_holds_the_two_commands():
    screen = README.splitlines()[:25]
    assert "python3 -m venv .venv && . .venv/bin/activate && pip install . && ganbench run" in screen
    assert "pip install tox && tox" in screen


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
