"""One round of the quickstart's networks, and of larger ones at 3x32x32, by what `ganbench bench` measures with.

Run with ``tox -e bench``, or ``pytest benchmarks/bench_step.py --benchmark-only``. Absolute times belong to one
machine: compare two versions by interleaved runs on it. Beside pytest-benchmark's statistics of a round, each case
reports the speed as `ganbench bench` does: rounds and moves in turn with the convolution that is the ceiling.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ganbench.catalog import load_catalog
from ganbench.execution.ceiling import Ceiling
from ganbench.execution.environment import resolve_device
from ganbench.execution.race import Ask, Entrant, entrants
from ganbench.execution.speed import Pace
from ganbench.execution.synthetic import parse_shape, term, with_made_up
from ganbench.suite.source import Flags, read_request

DEVICE = resolve_device("auto")
SMALL_ROUNDS, LARGE_ROUNDS = 10, 5
BATCH = 64
QUICKSTART = ["mlp/non_saturating", "dcgan/non_saturating", "dcgan/wasserstein+wgan_gp"]
LARGE = ["sn_resnet/hinge/D,D,D,D,D,G", "sn_resnet/hinge/D,G", "dcgan/non_saturating/D,G"]


def entrant_of(flags: Flags, suite: str | None, precision: str, threads: int, wanted: str) -> Entrant:
    """Return the combination ``architecture/loss`` of a suite, with this process set up for it."""
    catalog = with_made_up(load_catalog())
    ask = Ask(
        request=read_request(suite, flags, catalog),
        device=DEVICE,
        data_root=Path(),
        precisions=(precision,),
        threads=threads,
    )
    found = {f"{one.labels['architecture']}/{one.labels['loss']}": one for one in entrants(ask, catalog)}
    return found[wanted]


def report(benchmark, capsys, entrant: Entrant, rounds: int) -> None:
    """Let pytest-benchmark time rounds, with a timing of everything that is reported and of the ceiling before each."""
    assert entrant.setup is not None, entrant.reason
    recipe = entrant.setup.parts.recipe
    ceiling = Ceiling(DEVICE, recipe.precision, recipe.batch_size)
    pace = Pace(entrant.setup, DEVICE, entrant.kernels)

    def between() -> None:
        pace.repeat()
        ceiling.repeat()

    benchmark.pedantic(pace.play_round, setup=between, rounds=rounds)
    speed = pace.speed()
    found = {
        "images_per_second": round(speed.images_per_second, 1),
        **{f"{move}_ms": round(1e3 * spread.median, 3) for move, spread in speed.moves.items()},
        "gflop_per_second": round(speed.flop_per_second / 1e9, 1),
        "share_of_ceiling": round(speed.flop_per_second / ceiling.flop_per_second, 3),
        "peak_memory_bytes": speed.peak_memory_bytes,
        "precision": recipe.precision,
        "kernels": speed.kernels.text,
    }
    benchmark.extra_info.update(found)
    with capsys.disabled():
        print(f"\n{entrant.labels['architecture']}/{entrant.labels['loss']} on {DEVICE}: {found}")


@pytest.mark.parametrize("wanted", QUICKSTART)
def test_round_of_quickstart(benchmark, capsys, wanted):
    flags = Flags(datasets=[term(parse_shape("1x16x16"))], seeds="1")
    report(benchmark, capsys, entrant_of(flags, "quickstart", "float32", 1, wanted), SMALL_ROUNDS)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("case", LARGE)
def test_round_at_32_pixels(benchmark, capsys, case, precision):
    architecture, loss, schedule = case.split("/")
    moves = ", ".join(f'"{move}"' for move in schedule.split(","))
    flags = Flags(
        datasets=[term(parse_shape("3x32x32"))],
        architectures=[architecture],
        losses=[loss],
        settings=[f"recipe.batch_size={BATCH}", f"recipe.schedule=[{moves}]"],
        seeds="1",
    )
    entrant = entrant_of(flags, None, precision, os.cpu_count() or 1, f"{architecture}/{loss}")
    report(benchmark, capsys, entrant, LARGE_ROUNDS)
