"""``ganbench sample``: draw images from the generator that a run kept."""

from __future__ import annotations

from pathlib import Path

import click

from ganbench.cli.options import catalog_from, plugins_option
from ganbench.errors import SuiteError


@click.command("sample")
@click.argument("run")
@click.option("-n", "count", type=click.IntRange(1), default=64, show_default=True, help="How many images.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("samples.png"), show_default=True,
    help="The PNG to write.",
)  # fmt: skip
@click.option("--columns", type=click.IntRange(1), help="Images a row; by default as square as may be.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the latents.")
@click.option("--device", default="cpu", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, metavar="DIR",
    help="Where to look for the run's id.",
)  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), help="Where datasets are; or set GANBENCH_DATA.")
@plugins_option
def command(run: str, count: int, output: Path, columns: int | None, seed: int, **where: object) -> None:
    """Draw N images from the generator of RUN into one PNG.

    RUN is the id of a run or its first digits, or the path of its folder. The same seed gives the same latents for
    every run whose latents are of the same size and distribution.
    """
    import torch

    from ganbench.execution.environment import resolve_device
    from ganbench.execution.generator import find_run, open_generator
    from ganbench.folders import data_folder
    from ganbench.scoring.sheet import write_sheet
    from ganbench.values import ImageSpec

    folder = find_run(run, Path(str(where["results"])))
    catalog = catalog_from(where["plugins"])  # type: ignore[arg-type]
    data_root = Path(str(where["data"])) if where["data"] else data_folder()
    source = open_generator(folder, catalog, data_root, resolve_device(str(where["device"])), seed)
    if not isinstance(source.data, ImageSpec):
        raise SuiteError(f"run {folder.id} draws points of shape {source.data.shape}, no images to put into a PNG")
    write_sheet(output, torch.cat(list(source.batches(count, count))), columns)
    click.echo(output)
