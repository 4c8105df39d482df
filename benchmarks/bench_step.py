"""One round of the quickstart's networks, and of larger ones at 3x32x32, by what `ganbench bench` measures with.

Run with ``tox -e bench``, or ``pytest benchmarks/bench_step.py --benchmark-only``. Absolute times belong to one
machine: compare two versions by interleaved runs on it. Beside pytest-benchmark's statistics of a round, each case
reports the speed as `ganbench bench` does: rounds and moves in turn with the convolution that is the ceiling.
"""

from __future__ import annotations

import os

import pytest
from cases import entrant, schedule

from ganbench.execution.ceiling import Ceiling
from ganbench.execution.environment import resolve_device
from ganbench.execution.race import Entrant
from ganbench.execution.speed import Pace

DEVICE = resolve_device("auto")
SMALL_ROUNDS, LARGE_ROUNDS = 10, 5
BATCH = 64
SMALL = "dcgan(width=16,d_norm=none)"
QUICKSTART = ["mlp/non_saturating", f"{SMALL}/non_saturating", f"{SMALL}/wasserstein+wgan_gp"]
LARGE = [("sn_resnet/hinge", 5), ("sn_resnet/hinge", 1), ("dcgan/non_saturating", 1)]


def report(benchmark, capsys, found: Entrant, rounds: int) -> None:
    """Let pytest-benchmark time rounds, with a timing of everything that is reported and of the ceiling before each."""
    assert found.setup is not None, found.reason
    recipe = found.setup.parts.recipe
    ceiling = Ceiling(DEVICE, recipe.precision, recipe.batch_size)
    pace = Pace(found.setup, DEVICE, found.kernels)

    def between() -> None:
        pace.repeat()
        ceiling.repeat()

    benchmark.pedantic(pace.play_round, setup=between, rounds=rounds)
    speed = pace.speed()
    said = {
        "images_per_second": round(speed.images_per_second, 1),
        **{f"{move}_ms": round(1e3 * spread.median, 3) for move, spread in speed.moves.items()},
        "gflop_per_second": round(speed.flop_per_second / 1e9, 1),
        "share_of_ceiling": round(speed.flop_per_second / ceiling.flop_per_second, 3),
        "peak_memory_bytes": speed.peak_memory_bytes,
        "precision": recipe.precision,
        "kernels": speed.kernels.text,
    }
    benchmark.extra_info.update(said)
    with capsys.disabled():
        print(f"\n{found.labels['architecture']}/{found.labels['loss']} on {DEVICE}: {said}")


@pytest.mark.parametrize("cell", QUICKSTART)
def test_round_of_quickstart(benchmark, capsys, cell):
    report(benchmark, capsys, entrant(cell, "1x16x16", DEVICE, threads=1), SMALL_ROUNDS)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("cell", "d_steps"), LARGE)
def test_round_at_32_pixels(benchmark, capsys, cell, d_steps, precision):
    settings = [f"recipe.batch_size={BATCH}", schedule(d_steps)]
    report(benchmark, capsys, entrant(cell, "3x32x32", DEVICE, precision, settings, os.cpu_count()), LARGE_ROUNDS)
