"""``ganbench extractor train``: an extractor out of labelled data."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.options import catalog_from, json_option, plugins_option
from ganbench.components import NAME_PATTERN
from ganbench.errors import GanbenchError
from ganbench.folders import data_folder, extractors_folder

if TYPE_CHECKING:
    from ganbench.catalog import Catalog

FAILED, INTERRUPTED = 1, 130


@click.group("extractor")
def extractor() -> None:
    """Make a feature extractor."""


@extractor.command("train")
@click.option("--dataset", required=True, metavar="TERM", help="Labelled images, as in 'fashion_mnist'.")
@click.option(
    "--trainer", default="classifier", show_default=True, metavar="TERM", help="Trainer: 'classifier(epochs=9)'."
)
@click.option("--name", help="Name of the extractor; by default that of the dataset with _cnn behind.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the training.")
@click.option("--data", type=click.Path(path_type=Path), help="Where datasets are; or set GANBENCH_DATA.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Folder of weights and card, in place of the one that ganbench looks into; or set GANBENCH_EXTRACTORS.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a trained extractor of this name.")
@plugins_option
@json_option
@click.pass_context
def train(ctx: click.Context, /, plugins: tuple[Path, ...], as_json: bool, **given: Any) -> None:
    """Train, judge and keep a classifier of DATASET as a feature extractor.

    It learns from the split "extractor" where the dataset has one, else from "train", and then its card says so. From
    then on it is there by its name: ganbench run --extractor NAME.
    """
    from ganbench.components import Lesson
    from ganbench.execution.environment import resolve_device
    from ganbench.execution.requirements import find_component

    catalog = catalog_from(plugins)
    dataset = find_component(catalog, "dataset", given["dataset"])
    trainer = find_component(catalog, "trainer", given["trainer"])
    name, folder = given["name"] or f"{dataset.name}_cnn", given["output"] or extractors_folder()
    _check_name(name)
    _check_place(name, folder, catalog, given["force"])
    device = resolve_device(given["device"])
    with _progress(f"training {name}") as tell:
        lesson = Lesson(
            name=name,
            dataset=dataset,
            root=given["data"] or data_folder(),
            folder=folder,
            device=device,
            seed=given["seed"],
            command=_command(given, device.type),
            tell=tell,
        )
        try:
            card = trainer.train(lesson)
        except ArithmeticError as error:
            click.echo(f"failed: the training of {name!r} diverged: {error}", err=True)
            ctx.exit(FAILED)
        except OSError as error:
            raise GanbenchError(f"the training of {name!r} stopped: {error}; its files go to {folder}") from error
        except KeyboardInterrupt:
            click.echo("stopped; nothing was written", err=True)
            ctx.exit(INTERRUPTED)
    _report(name, folder, card, as_json)


def _check_name(name: str) -> None:
    """Refuse a name that no term could hold."""
    if not re.fullmatch(NAME_PATTERN, name) or "+" in name:
        raise GanbenchError(
            f"{name!r} is no name for an extractor; write lower-case letters, digits and any of . _ -, a letter or "
            "digit first"
        )


def _check_place(name: str, folder: Path, catalog: Catalog, force: bool) -> None:
    """Refuse to replace what is there, to hide another extractor, and to train what could not be kept."""
    card = folder / f"{name}.json"
    if card.exists() and not force:
        raise GanbenchError(f"{card} is there already; choose another --name, or replace it with --force")
    found = catalog.entries.get(("extractor", name))
    clash = any(fault.stage == "clash" and ("extractor", name) in fault.names for fault in catalog.faults)
    if _is_searched(folder) and (clash or (found is not None and not card.exists())):
        whose = f" ({found.origin})" if found else ""
        raise GanbenchError(f"there is an extractor {name!r} already{whose}; choose another with --name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GanbenchError(f"{folder} cannot be made ({error.strerror or error}); name another with -o") from error
    if not os.access(folder, os.W_OK):
        raise GanbenchError(f"{folder} cannot be written; name another folder with -o, or set GANBENCH_EXTRACTORS")


def _is_searched(folder: Path) -> bool:
    return folder.resolve() == extractors_folder().resolve()


def _command(given: Mapping[str, Any], device: str) -> str:
    """Return what trains the same again, but for where data and plugins lie."""
    words = ["ganbench", "extractor", "train", "--dataset", given["dataset"], "--trainer", given["trainer"]]
    words += ["--name", given["name"]] if given["name"] else []
    words += ["--seed", str(given["seed"]), "--device", device]
    words += ["-o", str(given["output"])] if given["output"] else []
    return shlex.join(words)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[float, str], None]]:
    """Give a function that shows a share and words on stderr: a bar, or a line each tenth where it is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console, tenths = Console(stderr=True), 0
    columns = (BarColumn(bar_width=20), TimeRemainingColumn(compact=True))
    words = [TextColumn(f"{{task.{field}}}", markup=False) for field in ("description", "fields[note]")]
    bars = Progress(words[0], *columns, words[1], console=console, transient=True, disable=not console.is_terminal)

    def tell(share: float, note: str) -> None:
        nonlocal tenths
        bars.update(task, completed=share, note=note)
        if not console.is_terminal and int(10 * share + 1e-9) > tenths:
            tenths = int(10 * share + 1e-9)
            click.echo(note, err=True)

    with bars:
        task = bars.add_task(title, total=1.0, note="")
        yield tell


def _report(name: str, folder: Path, card: Mapping[str, Any], as_json: bool) -> None:
    """Print accuracy or card, then notes and what to do with it."""
    for note in card.get("notes", ()):
        click.echo(f"note: {note}", err=True)
    if as_json:
        click.echo(json.dumps(dict(card), indent=2, ensure_ascii=False))
    else:
        test = card["test"]
        click.echo(f"{name}: accuracy {test['accuracy']:.4f} on {test['images']:,} images that it has not seen")
    where = f"weights and card are in {folder}"
    use = f"use it with --extractor {name}"
    if not _is_searched(folder):
        use = f"ganbench looks for it there if GANBENCH_EXTRACTORS={shlex.quote(str(folder))}"
    click.echo(f"{where}; {use}", err=True)
