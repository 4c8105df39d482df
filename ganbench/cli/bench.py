"""``ganbench bench``: how fast combinations train on this machine, and how near that is to what it can do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.options import (
    catalog_from,
    json_option,
    kernel_options,
    kernels_asked,
    mention_faults,
    plugins_option,
)
from ganbench.errors import ResultsError

if TYPE_CHECKING:
    from ganbench.catalog import Catalog
    from ganbench.execution.race import Ask

SHAPE = "3x32x32"
PRECISIONS = ("float32", "tf32", "bf16")
FORMATS = (".md", ".json")


@click.command("bench")
@click.argument("suite", required=False)
@click.option("--arch", "architectures", multiple=True, metavar="TERMS", help="Architectures: 'mlp,dcgan(width=32)'.")
@click.option("--loss", "losses", multiple=True, metavar="TERMS", help="Losses: 'hinge,wasserstein+wgan_gp'.")
@click.option(
    "--shape", metavar="SHAPE",
    help=f"Made-up samples of this shape: 3x32x32 for images, 2 for points; {SHAPE} where nothing else is said.",
)  # fmt: skip
@click.option("--classes", type=click.IntRange(1), help="With --shape: made-up labels of so many classes.")
@click.option("--dataset", "datasets", multiple=True, metavar="TERMS", help="Datasets, as in 'digits,mnist(size=32)'.")
@click.option("--batch", type=click.IntRange(1), help="Samples of a batch, on each side.")
@click.option("--schedule", metavar="MOVES", help="Moves of a round, as in D,D,D,D,D,G.")
@click.option("--precision", "precisions", metavar="LIST", help=f"What to compute in: {', '.join(PRECISIONS)}.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key of a suite: recipe.pac=2.")
@kernel_options(frugal=True)
@click.option("--rounds", "repetitions", type=click.IntRange(1), default=5, show_default=True, help="Timings of each.")
@click.option("--data", type=click.Path(path_type=Path), help="Where datasets are; or set GANBENCH_DATA.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--threads", type=click.IntRange(1), help="Threads; by default one on the CPU, as in a run.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file too: .md or .json."
)
@json_option
@plugins_option
def command(suite: str | None, plugins: tuple[Path, ...], as_json: bool, output: Path | None, **given: Any) -> None:
    """Time the training of combinations of architectures and losses on this machine.

    SUITE is as for 'ganbench run'; its seeds, budget and scoring play no part. Left out, it is quickstart with the
    other flags applied; where --arch and --loss are given, they are the suite. Without SUITE and --dataset the data are
    made up, so that nothing needs to be there.

    All combinations, in each precision, are timed in turn, a round or as many as take a tenth of a second at a time.
    The table says images shown to the discriminator in a second, the time of each kind of move, operations (FLOP) of a
    round, and how they compare with the fastest 3x3 convolution that was found on this machine just then; memory, and
    the time of the first round. What cannot be run is a row with its reason.
    """
    import json

    from ganbench.cli.progress import Passes
    from ganbench.execution.race import race
    from ganbench.execution.speed_report import as_json as report_json
    from ganbench.execution.speed_report import as_markdown

    if output is not None:
        _require_writable(output)
    catalog, ask = _ask(suite, plugins, given)
    with Passes() as passes:
        outcome = race(ask, catalog, passes.tell)
    settings = {
        "suite": suite,
        **{name: str(value) if isinstance(value, Path) else value for name, value in given.items()},
    }
    report = json.dumps(report_json(outcome, settings), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    table = as_markdown(outcome)
    if output is not None:
        _write(output, report if output.suffix == ".json" else table)
    click.echo(report if as_json else table, nl=False)


def _ask(suite: str | None, plugins: tuple[Path, ...], given: dict[str, Any]) -> tuple[Catalog, Ask]:
    """Return what is asked for, and the catalog that knows the components, made-up data among them."""
    from ganbench.execution.environment import resolve_device
    from ganbench.execution.race import Ask
    from ganbench.execution.synthetic import parse_shape, term, with_made_up
    from ganbench.folders import data_folder
    from ganbench.suite.source import Flags, read_request

    shape = given["shape"]
    if shape and given["datasets"]:
        raise click.UsageError("--shape makes data up and --dataset takes some; keep one of the two")
    if given["data"] and re.fullmatch(r"\d+(x\d+)*", str(given["data"])):
        raise click.UsageError(f"--data is the folder of datasets; for made-up samples write --shape {given['data']}")
    catalog = catalog_from(plugins)
    mention_faults(catalog, plugins)
    datasets = given["datasets"]
    if shape or not (datasets or suite):
        catalog, datasets = with_made_up(catalog), [term(parse_shape(shape or SHAPE), given["classes"])]
    elif given["classes"]:
        raise click.UsageError("--classes wants --shape")
    flags = Flags(
        datasets=datasets,
        architectures=given["architectures"],
        losses=given["losses"],
        settings=_settings(given),
        seeds="1",
        name="bench",
    )
    return catalog, Ask(
        request=read_request(suite, flags, catalog),
        device=resolve_device(given["device"]),
        data_root=given["data"] or data_folder(),
        plugins=plugins,
        kernels=kernels_asked(dict(given)),
        precisions=tuple(name.strip() for name in (given["precisions"] or "").split(",") if name.strip()),
        threads=given["threads"],
        repetitions=given["repetitions"],
    )


def _settings(given: dict[str, Any]) -> list[str]:
    """Return the recipe keys among the flags as ``--set`` writes them, before those that are written so."""
    settings = []
    if given["batch"]:
        settings.append(f"recipe.batch_size={given['batch']}")
    if given["schedule"]:
        moves = ", ".join(f'"{move.strip()}"' for move in given["schedule"].split(","))
        settings.append(f"recipe.schedule=[{moves}]")
    return [*settings, *given["settings"]]


def _require_writable(path: Path) -> None:
    """Refuse a file that could not be written, before anything is timed."""
    if path.suffix not in FORMATS:
        raise click.UsageError(f"-o {path}: write a file that ends in {' or '.join(FORMATS)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ResultsError:
    return ResultsError(f"{path} cannot be written ({error.strerror or error}); name another file with -o")


def _write(path: Path, report: str) -> None:
    from ganbench.files import write_text

    try:
        write_text(path, report)
    except OSError as error:
        raise _unwritable(path, error) from error
    click.echo(f"wrote {path}", err=True)
