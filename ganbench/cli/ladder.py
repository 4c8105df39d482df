"""``ganbench ladder``: how far each metric can be trusted on a dataset."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.options import catalog_from, json_option, plugins_option
from ganbench.errors import ResultsError

if TYPE_CHECKING:
    from ganbench.execution.ladder_report import Report

FOLDER = Path("results") / "ladders"


@click.command("ladder")
@click.argument("dataset")
@click.option("--extractor", metavar="TERM", help="Feature extractor, in place of the dataset's own.")
@click.option("--force-extractor", is_flag=True, help="Use the extractor on data that it was not made for.")
@click.option(
    "--metrics", "--metric", "metrics", multiple=True, metavar="NAMES",
    help="Metrics, as in 'fd,precision'; by default all that have a meaning without a generator.",
)  # fmt: skip
@click.option(
    "--ladder", "ladders", multiple=True, metavar="NAMES",
    help="Ladders: noise, blur, contrast, mode_dropping, duplication, mixing; by default all.",
)  # fmt: skip
@click.option(
    "--samples", type=click.IntRange(2), help="Samples of a rung; by default 2500, or what the data allow below that."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides images and damage.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--data", type=click.Path(path_type=Path), help="Where datasets are; or set GANBENCH_DATA.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write to; by default results/ladders/DATASET.",
)  # fmt: skip
@json_option
@plugins_option
def command(dataset: str, plugins: tuple[Path, ...], as_json: bool, output: Path | None, **given: Any) -> None:
    """Damage real images of DATASET more and more, and see which metrics notice.

    DATASET is a dataset, perhaps with parameters: 'digits', 'mnist(size=32)'. On every rung of a ladder the same
    training images are damaged a little more, and scored against the reference. The table says for each metric and
    ladder whether it moves the worse way beyond the noise of sampling, from where on, or not at all; a metric may be
    blind to a ladder on purpose. Lists are separated by commas.

    Writes ladder.csv, ladder.json, ladder.md and the plot ladder.png.
    """
    import json

    from ganbench.execution.environment import resolve_device
    from ganbench.execution.ladder import Ask, climb
    from ganbench.execution.ladder_report import as_json as report_json
    from ganbench.execution.ladder_report import lines
    from ganbench.folders import data_folder
    from ganbench.suite.terms import split_terms

    catalog = catalog_from(plugins)
    folder = output or FOLDER / re.sub(r"[^a-z0-9._+-]+", "-", dataset.lower()).strip("-.")
    _writable(folder)
    ask = Ask(
        dataset=dataset,
        extractor=given["extractor"],
        metrics=tuple(name.strip() for text in given["metrics"] for name in split_terms(text)),
        ladders=tuple(name.strip() for text in given["ladders"] for name in text.split(",")),
        samples=given["samples"],
        seed=given["seed"],
        forced=given["force_extractor"],
    )
    device = resolve_device(given["device"])
    with _Progress() as tell:
        report = climb(ask, catalog, given["data"] or data_folder(), device, tell)
    _write(folder, report)
    if as_json:
        click.echo(json.dumps(report_json(report), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False))
        return
    for line in lines(report):
        click.echo(line)


def _writable(folder: Path) -> None:
    """Make the folder before anything is computed. Raises ResultsError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{folder} cannot be made ({error.strerror or error}); name another folder with -o"
        ) from error


def _write(folder: Path, report: Report) -> None:
    from ganbench.execution.ladder_plot import write_plot
    from ganbench.execution.ladder_report import as_csv, as_markdown
    from ganbench.execution.ladder_report import as_json as report_json
    from ganbench.files import write_json, write_text

    try:
        write_text(folder / "ladder.csv", as_csv(report))
        write_json(folder / "ladder.json", report_json(report))
        write_text(folder / "ladder.md", as_markdown(report))
        write_plot(folder / "ladder.png", report)
    except OSError as error:
        raise ResultsError(
            f"{folder} cannot be written ({error.strerror or error}); name another folder with -o"
        ) from error
    click.echo(f"wrote ladder.csv, ladder.json, ladder.md and ladder.png to {folder}", err=True)


class _Progress:
    """A bar on stderr; where that is no terminal, a line for every tenth of the sets."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        parts = (BarColumn(bar_width=30), MofNCompleteColumn(), TimeRemainingColumn())
        text = TextColumn("{task.description}", markup=False)
        self._bar = Progress(text, *parts, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("reading", total=None)
        self._bar.start()
        return self._tell

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _tell(self, title: str, done: int, total: int) -> None:
        self._bar.update(self._task, description=title, completed=done, total=total)
        if self._bar.disable and done % max(1, total // 10) == 0:
            click.echo(f"[{done}/{total}] {title}", err=True)
