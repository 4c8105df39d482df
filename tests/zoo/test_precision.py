"""Training in bfloat16: other numbers than in float32, and scores that seeds cannot tell apart."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganbench.cli.main import main
from ganbench.results.statistics import welch


@pytest.fixture
def scores(tmp_path, monkeypatch):
    """Return the Fréchet distances of three seeds of one network on digits, by precision."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))

    def scores(precision: str) -> list[float]:
        flags = ["--dataset", "digits", "--arch", "mlp", "--loss", "hinge", "--seeds", 3, "--images", 40_000]
        chosen = ["--set", f"recipe.precision={precision}", "--set", "recipe.g_lr=2e-3", "--set", "recipe.d_lr=2e-3"]
        scoring = ["--metric", "fd", "--set", "scoring.samples=1000", "--workers", 1, "--device", "cpu"]
        arguments = [str(part) for part in ("run", *flags, *chosen, *scoring, "--name", precision)]
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.stderr
        files = Path(f"results/{precision}/runs").glob("*/records.jsonl")
        records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [record["value"] for record in records if record["architecture"] == "mlp"]

    return scores


def test_scores_in_bf16_are_within_the_noise_of_seeds(scores):
    plain, half = scores("float32"), scores("bf16")
    assert len(plain) == len(half) == 3
    assert set(plain).isdisjoint(half)
    assert max(statistics.mean(plain), statistics.mean(half)) < 20  # noise scores 44
    p = welch(plain, half, "log")
    assert p is not None
    assert p > 0.05
