"""How much of the time a CUDA device computes while a combination trains, in steady state, by PyTorch's profiler.

    python benchmarks/busy.py [--case mlp/non_saturating:float32 ...] [-o FILE.json]

The share is the union of the intervals in which some kernel runs, over the time from the first to the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import torch
from cases import entrant
from pairs import write
from torch.profiler import ProfilerActivity, profile

from ganbench.execution.environment import configure, describe_environment
from ganbench.execution.timing import enough, timed, wait
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels

CASES = ("mlp/non_saturating:float32", "dcgan/non_saturating:float32", "sn_resnet/hinge:bf16")


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Return how long at least one of the intervals (start, end) lasts."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def busy(engine: Engine, device: torch.device) -> float:
    """Return the share of time in which ``device`` runs a kernel over half a second of rounds or more."""

    def play() -> None:
        engine.play_round(0.0)

    for _ in range(10):
        play()
    rounds = 5 * enough(timed(device, play))
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(rounds):
            play()
        wait(device)
    on_device = [event for event in profiler.events() or () if event.device_type == torch.autograd.DeviceType.CUDA]
    kernels = [(float(event.time_range.start), float(event.time_range.end)) for event in on_device]
    if not kernels:
        raise click.ClickException("the profiler saw no kernel; is it allowed to trace this device?")
    return covered(kernels) / (max(end for _, end in kernels) - min(start for start, _ in kernels))


@click.command()
@click.option("--case", "cases", multiple=True, default=CASES, show_default=True)
@click.option("--device", default="cuda", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path))
def main(cases: tuple[str, ...], device: str, output: Path | None) -> None:
    """Print the share for every case, recorded and not."""
    if not torch.cuda.is_available():
        raise click.ClickException("there is no CUDA device here")
    where, rows = torch.device(device), []
    configure(where, 1, deterministic=False)
    for case in cases:
        cell, precision = case.split(":")
        found = entrant(cell, "3x32x32", where, precision, ["recipe.batch_size=64"])
        for graphs in (False, True):
            if found.setup is None:
                raise click.ClickException(f"{case}: {found.reason}")
            row: dict[str, Any] = {"case": case, "graphs": graphs}
            row["busy"] = busy(Engine(found.setup, where, Kernels(graphs=graphs)), where)
            rows.append(row)
            click.echo(row)
    write(output, rows, describe_environment(where, deterministic=False))


if __name__ == "__main__":
    main()
