"""``ganbench rescore``: stored generators scored anew, nothing trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.options import catalog_from, plugins_option
from ganbench.cli.table import find_results

if TYPE_CHECKING:
    from ganbench.execution.job import Result
    from ganbench.execution.rescore import Rescoring

FAILED, INTERRUPTED = 1, 130
_LISTED = 10


@click.command("rescore")
@click.argument("results", required=False, type=click.Path(path_type=Path))
@click.option("--extractor", metavar="TERM", help="Feature extractor; by default that of the suite.")
@click.option("--metric", "--metrics", "metrics", multiple=True, metavar="NAMES", help="Metrics, as in 'fd,precision'.")
@click.option("--samples", type=click.IntRange(2), help="Generated samples to score; by default as in the suite.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the latents and of subsets; by default as in the suite.")
@click.option("--force-extractor", is_flag=True, help="Use the extractor on data that it was not made for.")
@click.option("--data", type=click.Path(path_type=Path), help="Where datasets are; or set GANBENCH_DATA.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@plugins_option
@click.pass_context
def command(ctx: click.Context, /, results: Path | None, plugins: tuple[Path, ...], **given: Any) -> None:
    """Score the stored generators of RESULTS anew, train nothing, then print the table with old and new columns.

    RESULTS is a results folder, or the name of one below ./results. What was scored before stays; scores under another
    extractor, metric, number of samples or seed get columns of their own. Running again does only what is missing.
    """
    from ganbench.execution.environment import resolve_device
    from ganbench.execution.rescore import Rescoring, Wish
    from ganbench.folders import data_folder
    from ganbench.results.table import render_run_summary
    from ganbench.suite.terms import split_terms

    wish = Wish(
        plugins=plugins,
        data_root=given["data"] or data_folder(),
        device=resolve_device(given["device"]),
        extractor=given["extractor"],
        metrics=tuple(name.strip() for text in given["metrics"] for name in split_terms(text)),
        samples=given["samples"],
        seed=given["seed"],
        force=given["force_extractor"],
    )
    rescoring = Rescoring(find_results(results), wish, catalog_from(plugins))
    _announce(rescoring)
    found = _perform(rescoring)
    click.echo(render_run_summary(rescoring.store), nl=False)
    ctx.exit(_conclude(rescoring, found))


def _announce(rescoring: Rescoring) -> None:
    name, total, pending = rescoring.store.suite, len(rescoring.runs), len(rescoring.pending)
    note = f"{total} stored runs, {pending} to score" if pending else f"all {total} stored runs are scored so"
    click.echo(f"{name}: {note}", err=True)
    if rescoring.changed:
        what = ", ".join(rescoring.changed)
        click.echo(
            f"warning: changed since the runs were trained: {what}; stored weights are used as they are", err=True
        )
    for title, reason in rescoring.lacking[:_LISTED]:
        click.echo(f"not scored: {title}: {reason}", err=True)
    if len(rescoring.lacking) > _LISTED:
        click.echo(f"not scored: {len(rescoring.lacking) - _LISTED} more", err=True)
    for at in rescoring.absent_snapshots():
        click.echo(f"note: some runs kept no generator at {at:g} of the budget", err=True)


def _perform(rescoring: Rescoring) -> list[Result]:
    from ganbench.cli.progress import Bars

    found = []
    with Bars(len(rescoring.pending)) as bars:
        for result in rescoring.run():
            found.append(result)
            bars.finish(result)
    return found


def _conclude(rescoring: Rescoring, found: list[Result]) -> int:
    """Say below the table what failed and what is left; return the exit code."""
    failed = [result for result in found if result.status == "failed"]
    for result in failed:
        click.echo(f"failed: {result.title}: {result.reason}", err=True)
    left = len(rescoring.pending) - len(found)
    if left:
        click.echo(f"stopped with {left} runs to score; the same command goes on from here", err=True)
        return INTERRUPTED
    return FAILED if failed else 0
