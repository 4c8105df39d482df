"""Several seeds of a small network: one after another in one process, or side by side in several.

    python benchmarks/seeds.py [--architecture mlp] [--seeds 2] [--device cpu]

On the CPU ``--seeds`` processes of one thread each stand against one process with all threads, which plays the same
rounds of every seed in turn. On CUDA they share the device. Says how many times as fast the processes are, as a median
over pairs, and how many times as long all seeds together take as one alone.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from pairs import Side, write

from ganbench.execution.environment import configure, describe_environment
from ganbench.execution.timing import wait
from ganbench.suite.assemble import Assembly
from ganbench.suite.recipe import Budget, Recipe
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels
from ganbench.training.setup import Setup
from ganbench.values import Images, ImageSpec


def networks(name: str) -> Any:
    """Return the small architecture of this name."""
    from ganbench_zoo.architectures.dcgan import Dcgan
    from ganbench_zoo.architectures.mlp import Mlp

    return Mlp() if name == "mlp" else Dcgan(width=16, d_norm="none")


def engine(name: str, seed: int, device: torch.device, kernels: Kernels) -> Engine:
    """Return an engine on made-up 16x16 images, batch 64, the non-saturating loss and Adam."""
    from ganbench_zoo.losses.non_saturating import NonSaturating
    from ganbench_zoo.optimizers.adam import Adam

    architecture, shape = networks(name), (1, 16, 16)
    pixels = torch.randint(0, 256, (1024, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    parts = Assembly(
        generator=architecture,
        discriminator=architecture,
        loss=NonSaturating(),
        regularizers=(),
        constraints=(),
        augmentations=(),
        g_optimizer=Adam(lr=2e-4, betas=(0.5, 0.999)),
        d_optimizer=Adam(lr=2e-4, betas=(0.5, 0.999)),
        recipe=Recipe(),
        budget=Budget(images=64),
    )
    images, keys = Images(pixels), {"dataset": "made up", "generator": name, "discriminator": name}
    return Engine(Setup(parts, ImageSpec(shape), images, images, seed, keys), device, kernels)


def rounds_of(
    name: str, seeds: tuple[int, ...], rounds: int, device: str, threads: int, graphs: bool
) -> Callable[[], float]:
    """Build the engines of ``seeds``; what is returned plays ``rounds`` of each, in turn, and says the seconds."""
    where = torch.device(device)
    configure(where, threads, deterministic=False)
    engines = [engine(name, seed, where, Kernels(graphs=graphs)) for seed in seeds]

    def play() -> float:
        started = time.perf_counter()
        for playing in engines:
            for _ in range(rounds):
                playing.play_round(0.0)
        wait(where)
        return time.perf_counter() - started

    return play


def together(sides: list[Side]) -> float:
    """Let all sides work at once; return the seconds until the last is done."""
    started = time.perf_counter()
    for side in sides:
        side.start()
    for side in sides:
        side.wait()
    return time.perf_counter() - started


@click.command()
@click.option("--architecture", "names", type=click.Choice(["mlp", "dcgan"]), multiple=True, default=["mlp", "dcgan"])
@click.option("--seeds", type=click.IntRange(1), help="By default one a core; 8 on CUDA.")
@click.option("--rounds", type=click.IntRange(1), default=300, show_default=True)
@click.option("--pairs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--graphs", is_flag=True, help="On CUDA: replay recorded moves.")
@click.option("-o", "--output", type=click.Path(path_type=Path))
def main(names: tuple[str, ...], seeds: int | None, output: Path | None, **given: Any) -> None:
    """Compare one process with several over seeds of small networks."""
    rounds, pairs, device, graphs = (given[name] for name in ("rounds", "pairs", "device", "graphs"))
    cores, on_cpu = len(os.sched_getaffinity(0)), device == "cpu"
    seeds, rows = seeds or (cores if on_cpu else 8), []
    for name in names:
        settings = (rounds, device, cores if on_cpu else 1, graphs)
        alone, turns = (Side(rounds_of, name, tuple(range(n)), *settings) for n in (1, seeds))
        sides = [Side(rounds_of, name, (seed,), rounds, device, 1, graphs) for seed in range(seeds)]
        taken = [(alone.seconds(), turns.seconds(), together(sides)) for _ in range(pairs)]
        rows.append(
            {
                "architecture": name,
                "seeds": seeds,
                "graphs": graphs,
                "times_as_fast_by_processes": statistics.median(turn / side for _, turn, side in taken),
                "times_as_long_as_one_seed": statistics.median(side / one for one, _, side in taken),
                "images_per_second_of_one": 64 * rounds / statistics.median(one for one, _, _ in taken),
                "images_per_second_of_all": 64 * rounds * seeds / statistics.median(side for _, _, side in taken),
                "pairs": pairs,
            }
        )
        click.echo(rows[-1])
        for side in (alone, turns, *sides):
            side.close()
    write(output, rows, describe_environment(torch.device(device), deterministic=False))


if __name__ == "__main__":
    main()
