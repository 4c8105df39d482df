"""A command line in an empty folder of its own, with the toy plugins and a suite that takes a second."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
from click.testing import CliRunner, Result

from ganbench.cli.main import main

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
SUITE = """
name = "toy"
datasets = ["blobs"]
seeds = 2
architectures = ["tiny"]
losses = ["logistic", "stateful"]
[recipe]
batch_size = 16
g_optimizer = "plain_adam"
d_optimizer = "plain_adam"
[budget]
images = 160
[scoring]
metrics = ["fd", "precision"]
samples = 64
"""


def _no_network(*_, **__):
    raise URLError("tests have no network")


@pytest.fixture
def ganbench(tmp_path, monkeypatch):
    """Call the command line; returns click's result, with a traceback for what is not a clean exit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GANBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("GANBENCH_PLUGINS", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", _no_network)

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def run_toy(ganbench, tmp_path):
    """Run the toy suite in this process, with changes to its text and further arguments."""

    def run(*arguments: object, plugins: Path = TOYS, **changes: str) -> Result:
        text = SUITE
        for old, new in changes.items():
            text = text.replace(
                {"budget": "images = 160", "losses": 'losses = ["logistic", "stateful"]'}.get(old, old), new
            )
        (tmp_path / "toy.toml").write_text(text)
        return ganbench("run", "toy.toml", "--plugins", plugins, "--workers", 1, "--device", "cpu", *arguments)

    return run
