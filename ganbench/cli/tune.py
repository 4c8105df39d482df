"""``ganbench tune``: which kernels train an architecture fastest on this device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.layout import columns
from ganbench.cli.options import catalog_from, json_option, mention_faults, plugins_option

if TYPE_CHECKING:
    from ganbench.execution.bench import Bench
    from ganbench.execution.tuning import Tuned
    from ganbench.suite.plan import Run


@click.command("tune")
@click.argument("suite", required=False)
@click.option("--dataset", "datasets", multiple=True, metavar="TERMS", help="Datasets, as in 'digits,mnist(size=32)'.")
@click.option("--arch", "architectures", multiple=True, metavar="TERMS", help="Architectures: 'mlp,dcgan(width=32)'.")
@click.option("--loss", "losses", multiple=True, metavar="TERMS", help="Losses: 'hinge,wasserstein+wgan_gp'.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any key of a suite: recipe.batch_size=32.")
@click.option("--data", type=click.Path(path_type=Path), help="Where datasets are; or set GANBENCH_DATA.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--threads", type=click.IntRange(1), help="Threads; by default one on the CPU, as 'ganbench run' takes.")
@click.option("--compile/--no-compile", default=None, help="Try torch.compile; by default on CUDA alone.")
@json_option
@plugins_option
def command(suite: str | None, plugins: tuple[Path, ...], as_json: bool, **given: Any) -> None:
    """Measure which kernels train fastest here, and keep the answer for 'ganbench run'.

    SUITE and the flags are those of 'ganbench run'. For every pair of networks, shape of data, batch size, schedule and
    precision in it, with the first loss that has them, channels-last or not, one pass over real and fake or two, and
    what the device offers beyond are timed in turn. A way whose losses differ from the plain way's (no such choice at
    all) is not taken, nor one that is less than 2 % faster than the default, or not faster in each of five timings.
    Answers lie below GANBENCH_CACHE; 'ganbench run' says where it takes one, and on CUDA tunes by itself, without
    compilation, where there is none.
    """
    from ganbench.execution.bench import Bench
    from ganbench.execution.environment import resolve_device
    from ganbench.execution.session import Choices
    from ganbench.folders import data_folder
    from ganbench.suite.expand import expand
    from ganbench.suite.source import Flags, read_request

    catalog = catalog_from(plugins)
    mention_faults(catalog, plugins)
    names = ("datasets", "architectures", "losses", "settings")
    request = read_request(suite, Flags(**{name: given[name] for name in names}), catalog)
    choices = Choices(
        results=Path(),
        plugins=plugins,
        data_root=given["data"] or data_folder(),
        device=resolve_device(given["device"]),
        threads=given["threads"],
    )
    plan = expand(request.suite, catalog, choices.data_root, request.overrides)
    bench = Bench(choices.job(plan), catalog)
    firsts = {json.dumps(bench.tuning_key(run), sort_keys=True): run for run in reversed([*plan.runs()]) if run.trains}
    measured = [_tune(run, bench, given["compile"], as_json) for run in reversed(firsts.values())]
    if as_json:
        click.echo(json.dumps(measured, indent=2))


def _tune(run: Run, bench: Bench, compiled: bool | None, quiet: bool) -> dict[str, Any]:
    """Tune for one run and keep the answer; print it unless ``quiet``; return it as JSON."""
    from ganbench.cli.progress import Passes
    from ganbench.execution.tuning import candidates, remember, tune

    key = bench.tuning_key(run)
    with Passes() as passes:
        tuned = tune(bench.setup(run), bench.device, candidates(bench.device, compiled), passes.tell)
    path = remember(key, tuned)
    recipe, shape = run.config["recipe"], "x".join(map(str, key["shape"]))
    title = f"{run.labels['architecture']} on {shape}, batch {recipe['batch_size']}, {recipe['precision']}"
    if not quiet:
        _print(title, tuned)
        click.echo(f"kept in {path}; delete it to forget", err=True)
    return {"title": title, "file": str(path), **tuned.as_json()}


def _print(title: str, tuned: Tuned) -> None:
    click.echo(title)
    default = tuned.timings[0].seconds
    rows = [("", "ms a round", "times the default")]
    for timing in tuned.timings:
        mark = " (taken)" if timing.kernels == tuned.kernels else ""
        if timing.seconds is None:
            rows.append((timing.kernels.text + mark, "-", f"not taken: {timing.reason}"))
        else:
            times = f"{default / timing.seconds:.2f}" if default else "-"
            rows.append((timing.kernels.text + mark, f"{timing.seconds * 1e3:.2f}", times))
    for row in columns(rows, [44, 14], indent=2):
        click.echo(row)
