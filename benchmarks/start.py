"""How soon a run trains: from the start of a process to the end of its first round, and from one run to the next.

    python benchmarks/start.py [--times 5] [-o FILE.json]

A fresh process (its files are in the system's memory) performs two runs of the quickstart's first cell, as a worker
does. The first figure counts from before the process is started, imports, plugins and data included; the second from
the worker's having the second run in hand, that of another seed, to the end of that run's first round.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import torch
from pairs import write

from ganbench.catalog import load_catalog
from ganbench.execution.bench import Bench
from ganbench.execution.environment import describe_environment
from ganbench.execution.session import Choices
from ganbench.results.store import Store
from ganbench.suite.expand import expand
from ganbench.suite.source import Flags, read_request
from ganbench.training.engine import Engine


def work(started: float) -> None:
    """Perform two runs of one round; print both figures. ``started`` is the wall time before this process."""
    played: list[float] = []
    play = Engine.play_round

    def played_round(engine: Engine, progress: float) -> None:
        play(engine, progress)
        int(engine.first_bad)
        played.append(time.time())

    Engine.play_round = played_round  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        catalog = load_catalog()
        flags = Flags(budget={"images": 64}, baselines=["noise"], metrics=["fd"], settings=["scoring.samples=64"])
        request = read_request("quickstart", flags, catalog)
        choices = Choices(Path(folder) / "quickstart", (), Path(folder), torch.device("cpu"))
        plan = expand(request.suite, catalog, choices.data_root, request.overrides)
        first, second, *_ = (run for cell in plan.cells for run in cell.runs)
        bench = Bench(choices.job(plan), catalog)
        Store.create(choices.results, "quickstart")
        bench.perform(first)
        in_hand, before = time.time(), len(played)
        bench.perform(second)
        print(played[0] - started, played[before] - in_hand)


@click.command()
@click.option("--times", type=click.IntRange(1), default=5, show_default=True)
@click.option("--started", type=float, hidden=True)
@click.option("-o", "--output", type=click.Path(path_type=Path))
def main(times: int, started: float | None, output: Path | None) -> None:
    """Start processes and print the medians of what they say."""
    if started is not None:
        work(started)
        return
    found = []
    for _ in range(times + 1):  # the first one only warms the system's memory
        command = [sys.executable, __file__, "--started", str(time.time())]
        found.append([float(part) for part in subprocess.check_output(command, text=True).split()])
    first, following = (statistics.median(column) for column in zip(*found[1:], strict=True))
    row: dict[str, Any] = {"seconds_to_first_round": first, "seconds_to_first_round_of_next_run": following}
    click.echo(row)
    write(output, [row | {"times": times}], describe_environment(torch.device("cpu"), deterministic=False))


if __name__ == "__main__":
    main()
