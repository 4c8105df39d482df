"""``ganbench table``: what a results folder says, as a table; reads files only and imports no plugin."""

from __future__ import annotations

from pathlib import Path

import click

from ganbench.errors import ResultsError

RESULTS = Path("results")
FORMATS = ("markdown", "csv", "latex", "json")


@click.command("table")
@click.argument("results", required=False, type=click.Path(path_type=Path))
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Show these metrics only, by their full names or the part before the slash.",
)
@click.option("--rows", multiple=True, metavar="AXES", help="What makes rows: architecture, loss, dataset, seed.")
@click.option("--cols", multiple=True, metavar="AXES", help="What makes columns, with a table for each metric.")
@click.option(
    "--sort", metavar="METRIC|AXIS", help="Sort by a metric, an axis or 'label'; by the first metric if left out."
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="markdown", show_default=True)
@click.option("--all", "everything", is_flag=True, help="Show runs and protocols too that the suite no longer names.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file.")
def command(
    results: Path | None,
    output: Path | None,
    form: str,
    sort: str | None,
    everything: bool,
    **lists: tuple[str, ...],
) -> None:
    """Print the table of RESULTS: mean and interval over seeds for every cell and metric.

    RESULTS is a results folder, or the name of one below ./results. Left out, it is the only one there, or quickstart.
    Lists are separated by commas.
    """
    from ganbench.files import write_text
    from ganbench.results.store import Store
    from ganbench.results.table import TableOptions, build

    store = Store.open(find_results(results))
    options = TableOptions(
        metrics=_split(lists["metrics"]),
        rows=_split(lists["rows"]),
        cols=_split(lists["cols"]),
        sort=sort,
        all=everything,
    )
    text = build(store, options).render(form)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_text(output, text)
    except OSError as error:
        raise ResultsError(
            f"{output} cannot be written ({error.strerror or error}); name another file with -o"
        ) from error


def find_results(given: Path | None) -> Path:
    """Return the folder that is meant: ``given``, ``given`` below ./results, the only one there, or quickstart.

    Raises:
        ResultsError: nothing is given and there is none, or there are several.
    """
    if given is not None:
        below = RESULTS / given
        return below if not given.exists() and below.is_dir() else given
    found = sorted(marker.parent for marker in RESULTS.glob("*/ganbench.json"))
    if len(found) == 1:
        return found[0]
    if RESULTS / "quickstart" in found:
        return RESULTS / "quickstart"
    if not found:
        raise ResultsError("there are no results in ./results; name a folder, or make one with `ganbench run`")
    raise ResultsError(f"several results are in ./results; name one: {', '.join(folder.name for folder in found)}")


def _split(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.strip() for text in given for part in text.split(",") if part.strip())
