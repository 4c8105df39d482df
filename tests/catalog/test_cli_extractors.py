"""``ganbench extractors``, by exit code and text."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ganbench.cli import extractors
from ganbench.cli.main import main


def invoke(*arguments):
    return CliRunner().invoke(main, ["extractors", *map(str, arguments)])


@pytest.fixture
def each(plugins_folder, alone):
    return plugins_folder / "one_of_each.py"


@pytest.fixture
def nothing_is_read(no_downloads, monkeypatch):
    """Let any reading of weights fail the test; return the folder of torch's hub cache."""
    for name in ("torch.load", "torch.jit.load", "safetensors.torch.load", "ganbench_zoo.weights.file_sha256"):
        monkeypatch.setattr(name, lambda *given, **more: pytest.fail("weights were read"))
    return no_downloads


def test_bundled_extractors_say_whether_they_can_be_used_and_what_to_do(nothing_is_read):
    result = invoke()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["extractor", "usable", "data", "paper"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1 : lines.index("")]}
    assert rows["digits_cnn"][:2] == ["yes", "digits"]
    assert rows["raw"][:2] == rows["random_conv"][:2] == ["yes", "any"]
    assert rows["inception_v3"] == ["no", "any", "arXiv:1512.00567"]
    assert {"vgg16", "clip_rn50", "clip_vit_l_14_336px", "dinov2_vit_g_14"} <= set(rows)
    usable = [name for name, row in rows.items() if row[0] == "yes"]
    assert list(rows)[: len(usable)] == usable
    text = " ".join(result.stdout.split())
    assert "inception_v3 is not usable: inception_v3 has no weights here: " in text
    assert "run 'python -m ganbench_zoo.fetch inception_v3' once where there is a network (95,628,359 bytes)" in text
    assert "digits_cnn is not usable" not in text
    assert max(len(line) for line in lines if "/" not in line) <= 100


def test_a_file_that_is_there_is_enough_to_be_listed_as_usable(nothing_is_read):
    (nothing_is_read / "vgg16-397923af.pth").write_bytes(b"whatever")
    found = {row["name"]: row for row in json.loads(invoke("--json").stdout)["extractors"]}
    assert found["vgg16"]["usable"]
    assert found["vgg16"]["reason"] is None
    assert not found["clip_rn50"]["usable"]


def test_as_json(nothing_is_read):
    result = invoke("--json")
    assert result.exit_code == 0
    found = {row["name"]: row for row in json.loads(result.stdout)["extractors"]}
    assert found["digits_cnn"]["domains"] == ["digits"]
    assert found["inception_v3"]["domains"] is None
    assert "GANBENCH_INCEPTION" in found["inception_v3"]["reason"]
    assert found["inception_v3"]["origin"].startswith("ganbench ")
    assert found["raw"]["summary"].startswith("Pixels or points themselves")


def test_a_strangers_extractors_are_listed(each):
    result = invoke("--plugins", each)
    assert result.exit_code == 0
    assert [line.split()[:3] for line in result.stdout.splitlines()[1:]] == [["raw", "yes", "any"]]


def test_one_that_fails_hides_no_other(each, tmp_path):
    path = tmp_path / "unusable.py"
    text = each.read_text(encoding="utf-8").replace('"one_of_each.toml"', '"absent.toml"')
    path.write_text(
        text.replace("def available(self):\n        return None", "def available(self):\n        1 / 0"), "utf-8"
    )
    result = invoke("--plugins", path)
    assert result.exit_code == 0
    assert "raw is not usable:\n  ZeroDivisionError: division by zero\n" in result.stdout


def test_faults_of_plugins_are_mentioned(plugins_folder, alone):
    result = invoke("--plugins", plugins_folder / "broken")
    assert result.exit_code == 0
    assert "see 'ganbench plugins'" in result.stderr
    assert "Traceback" not in result.stdout


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom ganbench.cli.extractors import command\n"
        "try:\n    command(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'torchvision', 'torch_fidelity', 'pandas', 'scipy', 'numpy', 'pydantic', 'rich'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage:" in done.stdout
    assert extractors.command.name == "extractors"
