"""``ganbench score``: one set of samples against another, from wherever they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.options import catalog_from, json_option, mention_faults, plugins_option

if TYPE_CHECKING:
    from ganbench.execution.scores import Scores

FAILED = 1  # exit code: a metric that was to be measured has no number


@click.command("score")
@click.argument("generated")
@click.option("--against", "reference", required=True, metavar="REFERENCE", help="The samples to compare with.")
@click.option("--extractor", metavar="TERM", help="Feature extractor, in place of the reference dataset's own.")
@click.option("--metrics", "--metric", "metrics", multiple=True, metavar="NAMES", help="Metrics, as in 'fid,is,kid'.")
@click.option("--samples", type=click.IntRange(1), metavar="N", help="Generated samples; by default all, up to 50,000.")
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE", help="The extractor's weights.")
@click.option("--range", "value_range", metavar="LOW,HIGH", help="What floats of images lie in, if not -1,1.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything that is drawn.")
@click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--data", type=click.Path(path_type=Path), help="Where datasets are; or set GANBENCH_DATA.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), show_default=True, metavar="DIR",
    help="Where to look for the ids of runs.",
)  # fmt: skip
@click.option("--force-extractor", is_flag=True, help="Use the extractor on data that it was not made for.")
@click.option("--no-errors", is_flag=True, help="Leave out standard errors, which take time and memory.")
@json_option
@plugins_option
@click.pass_context
def command(ctx: click.Context, /, generated: str, reference: str, as_json: bool, **given: Any) -> None:
    """Score the samples GENERATED against those of REFERENCE.

    Each is read, in this order, as a function that yields batches, file.py:FUNCTION (it is run); a path to a folder
    or zip of images, to x.npy, x.npz or x.npz:KEY, or to the folder of a run; a dataset, as in 'digits' (its test
    split) or 'mnist:train'; a run, by its id or the first digits of it. What may be two of these is refused: write
    ./NAME for a path and NAME:test for a dataset.

    Images in arrays and batches are uint8 (N, C, H, W) or (N, H, W, C), or floats in [-1, 1]; floats (N, D) are points.
    Scores are printed with their protocol; the exit code is 1 if a metric gives no number, 2 if nothing can be scored.
    """
    scores = _scored(generated, reference, given)
    text = json.dumps(scores.to_json(), indent=2, ensure_ascii=False, allow_nan=False) if as_json else str(scores)
    click.echo(text)
    ctx.exit(_exit_code(scores, bool(given["metrics"])))


def _scored(generated: str, reference: str, given: dict[str, Any]) -> Scores:
    import torch

    from ganbench.cli.progress import Passes
    from ganbench.execution.environment import configure, resolve_device
    from ganbench.execution.inputs import Place
    from ganbench.execution.naming import open_text
    from ganbench.execution.scoring import Wanted, find_extractor, find_metrics, score
    from ganbench.folders import data_folder

    catalog = catalog_from(given["plugins"])
    mention_faults(catalog, given["plugins"])
    device = resolve_device(given["device"])
    configure(device, torch.get_num_threads(), deterministic=False)
    extractor = find_extractor(catalog, given["extractor"], given["weights"]) if given["extractor"] else None
    wanted = Wanted(
        metrics=find_metrics(catalog, given["metrics"] or None),
        extractor=extractor,
        weights=given["weights"],
        samples=given["samples"],
        force=given["force_extractor"],
        errors=not given["no_errors"],
    )
    with Passes() as passes:
        place = Place(
            catalog=catalog,
            data_root=given["data"] or data_folder(),
            results=given["results"],
            device=device,
            seed=given["seed"],
            samples=given["samples"],
            value_range=_range(given["value_range"]),
            tell=passes.tell,
        )
        against = open_text(reference, place)
        return score(open_text(generated, place), against, wanted, place)


def _range(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no range; write LOW,HIGH, as in 0,1", param_hint="--range") from error
    if not -float("inf") < low < high < float("inf"):
        raise click.BadParameter(f"{text!r} is empty; write LOW,HIGH, as in 0,1", param_hint="--range")
    return low, high


def _exit_code(scores: Scores, named: bool) -> int:
    """Return 1 if a metric failed, or one that somebody named gave no number for any reason."""
    lost = [score for score in scores.values() if score.status == "failed" or (named and score.status != "done")]
    return FAILED if lost else 0
