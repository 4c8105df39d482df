"""What must be fast, is: by the modules that it imports, not by the clock."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "torch_fidelity",
    "pandas",
    "scipy",
    "sklearn",
    "pydantic",
    "rich",
    "numpy",
    "matplotlib",
)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["table", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    program = (
        "import sys\nfrom ganbench.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout
    assert result.stderr.strip() == "[]"


def test_the_installed_command_answers():
    result = subprocess.run([sys.executable, "-m", "ganbench", "--version"], capture_output=True, text=True, check=True)
    assert "ganbench" in result.stdout


def test_a_reader_that_closes_the_pipe_early_is_told_nothing():
    command = [sys.executable, "-m", "ganbench", "show", "adam"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
