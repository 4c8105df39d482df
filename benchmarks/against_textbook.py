"""Our engine against a textbook's loop, in images a second, paired and interleaved, each in a process of its own.

    python benchmarks/against_textbook.py [--case sn_resnet:5:float32 ...] [--device cpu] [-o FILE.json]

A case is ``architecture:D updates for one of G:precision of ours``. The textbook's side (`textbook.py`) is eager, NCHW,
float32, with separate passes, PyTorch's default allocator and default precision of products; ours is what ``ganbench
run`` does. Both have the same networks, batch 64, 3x32x32 images and threads. A pair is a round or more of each, in
turn; what is said is the median over pairs of how many times as fast ours is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch
from cases import entrant, schedule
from pairs import Side, compared, write

from ganbench.execution.environment import configure, describe_environment
from ganbench.execution.timing import enough, timed
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels

CASES = (
    "sn_resnet:5:float32",
    "sn_resnet:5:bf16",
    "sn_resnet:1:float32",
    "sn_resnet:1:bf16",
    "dcgan:1:float32",
    "dcgan:1:bf16",
    "mlp:1:float32",
)
LOSSES = {"sn_resnet": "hinge", "dcgan": "non_saturating", "mlp": "non_saturating"}
LATENTS = {"sn_resnet": 128, "dcgan": 100, "mlp": 64}
BATCH = 64


def work(device: torch.device, play: Callable[[], object]) -> Callable[[], float]:
    """Return what plays as many rounds as last a moment and says the seconds of one."""
    play()
    return partial(timed, device, play, enough(timed(device, play)))


def theirs(name: str, d_steps: int, device: str, threads: int) -> Callable[[], float]:
    """Build the textbook's side."""
    import textbook

    torch.set_num_threads(threads)
    where = torch.device(device)
    networks = tuple(network.to(where) for network in getattr(textbook, name)())
    images = torch.rand(1024, 3, 32, 32) * 2 - 1
    settings = textbook.Settings(LOSSES[name], d_steps, BATCH, LATENTS[name])
    return work(where, textbook.Textbook(networks, images, settings).play_round)


def ours(
    name: str, d_steps: int, device: str, threads: int, precision: str, choices: tuple[str, ...]
) -> Callable[[], float]:
    """Build our side."""
    where = torch.device(device)
    settings = [f"recipe.batch_size={BATCH}", schedule(d_steps)]
    found = entrant(f"{name}/{LOSSES[name]}", "3x32x32", where, precision, settings, threads)
    if found.setup is None:
        raise ValueError(found.reason)
    configure(where, threads, deterministic=False)
    kernels = Kernels(**{choice.removeprefix("no_"): not choice.startswith("no_") for choice in choices})
    engine = Engine(found.setup, where, kernels)
    return work(where, lambda: engine.play_round(0.0))


@click.command()
@click.option("--case", "cases", multiple=True, default=CASES, show_default=True)
@click.option("--pairs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True)
@click.option(
    "--kernel", "choices", multiple=True, help="graphs, compile, no_channels_last, no_joint: ours, not default."
)
@click.option("-o", "--output", type=click.Path(path_type=Path))
def main(cases: tuple[str, ...], choices: tuple[str, ...], output: Path | None, **given: Any) -> None:
    """Time every case and print how many times as fast ours is."""
    rows: list[dict[str, Any]] = []
    for case in cases:
        name, d_steps, precision = case.split(":")
        common = (name, int(d_steps), given["device"], given["threads"])
        sides = Side(theirs, *common), Side(ours, *common, precision, choices)
        rows.append({"case": case, "kernels": list(choices), **compared(*sides, given["pairs"])})
        click.echo("{case}: {ratio:.2f} ({lowest_ratio:.2f} to {highest_ratio:.2f})".format(**rows[-1]))
        for side in sides:
            side.close()
    environment = describe_environment(torch.device(given["device"]), deterministic=False)
    write(output, rows, {**environment, "threads": given["threads"]})


if __name__ == "__main__":
    main()
