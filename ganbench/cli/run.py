"""``ganbench run``: from a suite to a table."""

from __future__ import annotations

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
from ganbench.endings import FINISHED

if TYPE_CHECKING:
    from ganbench.execution.job import Result
    from ganbench.execution.session import Choices, Session
    from ganbench.suite.schema import SuiteFile
    from ganbench.suite.search import Chosen
    from ganbench.suite.source import Flags
    from ganbench.training.world import World

FAILED, INTERRUPTED = 1, 130  # exit codes; Ctrl-C as a shell reports it


@click.command("run")
@click.argument("suite", required=False)
@click.option("--dataset", "datasets", multiple=True, metavar="TERMS", help="Datasets, as in 'digits,mnist(size=32)'.")
@click.option("--arch", "architectures", multiple=True, metavar="TERMS", help="Architectures: 'mlp,dcgan(width=32)'.")
@click.option("--loss", "losses", multiple=True, metavar="TERMS", help="Losses: 'hinge,wasserstein+wgan_gp'.")
@click.option("--regularizer", "regularizers", multiple=True, metavar="TERMS", help="Regularizers for every cell.")
@click.option("--baseline", "baselines", multiple=True, metavar="TERMS", help="Reference rows: 'real,noise,vae'.")
@click.option("--seeds", metavar="N|LIST", help="Number of training seeds, or a list: 5 or 0,1,7.")
@click.option("--images", type=float, help="Budget: real images shown to the discriminator.")
@click.option("--updates", type=float, help="Budget: generator updates.")
@click.option("--seconds", type=float, help="Budget: seconds of training.")
@click.option("--metric", "metrics", multiple=True, metavar="NAMES", help="Metrics, as in 'fd,precision'.")
@click.option("--extractor", metavar="TERM", help="Feature extractor, in place of the dataset's own.")
@click.option("--force-extractor", is_flag=True, help="Use the extractor on data that it was not made for.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key of a suite: recipe.g_lr=1e-4.")
@click.option("--allow-incompatible", is_flag=True, help="Run cells that a component declares incompatible; marked.")
@click.option("--name", help="Name of the suite, and so of its results folder.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, metavar="DIR",
    help="The folder that holds the results folders of suites.",
)  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), help="Where datasets are; or set GANBENCH_DATA.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--workers", type=click.IntRange(1), help="Processes; by default one a core on the CPU, one on a GPU.")
@click.option("--threads", type=click.IntRange(1), help="Threads of each process; by default one on the CPU.")
@click.option("--deterministic", is_flag=True, help="On CUDA: the same bytes each time, a little slower.")
@kernel_options(frugal=True)
@click.option(
    "--spare-memory/--no-spare-memory", default=True, show_default=True,
    help="Where a batch does not fit: go on with --checkpoint, then in --parts; or let the run fail.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print what would run, with origins and costs, and stop.")
@click.option("--probe", is_flag=True, help="With --dry-run: time five rounds of each cell.")
@json_option
@plugins_option
@click.pass_context
def command(ctx: click.Context, /, suite: str | None, plugins: tuple[Path, ...], as_json: bool, **given: Any) -> None:
    """Train and score every combination of SUITE, then print its table.

    SUITE is a TOML file or the name of a bundled suite (see 'ganbench suites'). Left out, it is quickstart, with the
    other flags applied; where --dataset, --arch and --loss are all given, they are the suite.

    Running again does only what is missing. Ctrl-C saves the runs in hand; the same command goes on from there.

    Started by torchrun, its processes train each run together, with the batch cut among them.
    """
    from ganbench.execution.environment import resolve_device
    from ganbench.execution.torchrun import follow, leading
    from ganbench.training.world import world_from_environment

    if given["probe"] and not given["dry_run"]:
        raise click.UsageError("--probe wants --dry-run")
    if as_json and not given["dry_run"]:
        raise click.UsageError("--json wants --dry-run; 'ganbench table --format json' prints results")
    device = resolve_device(given["device"])
    world = world_from_environment(device)
    if world is not None and world.rank > 0:
        follow(world)
        return
    with leading(world):
        code = _run(suite, plugins, given | {"device": world.device if world else device, "json": as_json}, world)
    ctx.exit(code)


def _run(suite: str | None, plugins: tuple[Path, ...], given: dict[str, Any], world: World | None) -> int:
    """Do what the command line asks, alone or as rank 0 of ``world``; return the exit code."""
    from ganbench.execution.session import Choices, Session
    from ganbench.folders import data_folder
    from ganbench.results.table import render_run_summary
    from ganbench.suite.expand import expand
    from ganbench.suite.source import read_request

    catalog = catalog_from(plugins)
    mention_faults(catalog, plugins)
    request = read_request(suite, _flags(given), catalog)
    choices = Choices(
        results=given["results"] / request.suite.name,
        plugins=plugins,
        data_root=given["data"] or data_folder(),
        device=given["device"],
        workers=given["workers"],
        threads=given["threads"],
        deterministic=given["deterministic"],
        kernels=kernels_asked(given),
        thrifty=given["spare_memory"],
        world=world,
    )
    plan = expand(
        request.suite, catalog, choices.data_root, request.overrides, _chosen(request.suite, given["results"])
    )
    if given["dry_run"]:
        from ganbench.cli.dry_run import print_plan

        print_plan(plan, catalog, choices, probe=given["probe"], as_json=given["json"])
        return 0
    session = Session(plan, request, catalog, choices)
    _announce(session, choices)
    results = _perform(session)
    click.echo(render_run_summary(session.store), nl=False)
    return _conclude(session, results)


def _chosen(suite: SuiteFile, results: Path) -> Chosen | None:
    """Return the trials that a suite takes from a finished search, whose folder lies beside its own."""
    if suite.search is None or suite.search.best is None:
        return None
    from ganbench.results.best import best_trials

    best = suite.search.best
    return best_trials(results / best.results, best.metric, best.top)


def _flags(given: dict[str, Any]) -> Flags:
    from ganbench.suite.source import Flags

    amounts = {"images": given["images"], "generator_updates": given["updates"], "seconds": given["seconds"]}
    budget = {unit: _whole(unit, amount) for unit, amount in amounts.items() if amount is not None}
    names = (
        "datasets",
        "architectures",
        "losses",
        "regularizers",
        "baselines",
        "metrics",
        "extractor",
        "seeds",
        "settings",
        "name",
    )
    return Flags(
        **{name: given[name] for name in names},
        budget=budget,
        force_extractor=given["force_extractor"],
        allow_incompatible=given["allow_incompatible"],
    )


def _whole(unit: str, amount: float) -> float:
    return int(amount) if unit != "seconds" and amount.is_integer() else amount


def _announce(session: Session, choices: Choices) -> None:
    from ganbench.execution.environment import device_name

    total = len({run.id for run in session.plan.runs()})
    pending, workers = len(session.pending), session.workers
    where = f"{choices.device} ({device_name(choices.device)})"
    processes = f", {workers} processes" if workers > 1 else ""
    if choices.world is not None:
        processes = f", {choices.world.size} processes a run"
    note = f"{session.plan.suite.name}: {total} runs, {pending} to do on {where}{processes}" if pending else (
        f"{session.plan.suite.name}: all {total} runs are done"
    )  # fmt: skip
    click.echo(note, err=True)
    for kernels, count in session.tuned().items():
        click.echo(f"note: {count} of them as 'ganbench tune' found fastest here: {kernels}", err=True)
    if choices.world is not None and choices.workers:
        click.echo("note: --workers plays no part under torchrun", err=True)
    if choices.kernels and pending < total:
        click.echo("note: how a run is computed is no part of what it is: what is done is not run again", err=True)
    for at in session.absent_snapshots():
        click.echo(f"note: runs that are already trained kept no generator at {at:g} of the budget", err=True)


def _perform(session: Session) -> list[Result]:
    """Perform what is pending, with bars; return what became of it."""
    from ganbench.cli.progress import Bars

    results = []
    with Bars(len(session.pending)) as bars:
        for result in session.run(bars.tell):
            results.append(result)
            bars.finish(result)
    return results


def _conclude(session: Session, results: list[Result]) -> int:
    """Say below the table what failed and how to go on; return the exit code."""
    told: dict[str, list[str]] = {}
    for result in results:
        for note in result.notes:
            told.setdefault(note, []).append(result.title)
    for note, titles in told.items():
        others = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
        click.echo(f"note: {titles[0]}{others}: {note}", err=True)
    failed = [result for result in results if result.status == "failed"]
    for result in failed:
        folder = session.store.run_folder(result.run).path
        click.echo(f"failed: {result.title}: {result.reason} (see {folder})", err=True)
    if len(results) < len(session.pending) or any(result.status == "interrupted" for result in results):
        left = len(session.pending) - sum(result.status in FINISHED for result in results)
        click.echo(f"stopped with {left} runs to do; everything is saved: the same command goes on from here", err=True)
        return INTERRUPTED
    return FAILED if failed else 0
