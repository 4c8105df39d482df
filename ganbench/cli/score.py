"""``ganbench score``: one set of samples against another, from wherever they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.options import catalog_from, json_option, mention_faults, plugins_option
from ganbench.errors import GanbenchError

if TYPE_CHECKING:
    from ganbench.execution.scores import Scores

FAILED = 1  # exit code: a metric that nobody named failed


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
    Scores are printed with their protocol. Where a metric that was named, or every one, gives no number, nothing is
    printed but the reason, and the exit code is 2; it is 1 where another one failed.
    """
    scores = _scored(generated, reference, given)
    _require_numbers(scores, bool(given["metrics"]))
    text = json.dumps(scores.to_json(), indent=2, ensure_ascii=False, allow_nan=False) if as_json else str(scores)
    click.echo(text)
    ctx.exit(FAILED if any(score.status == "failed" for score in scores.values()) else 0)


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


def _require_numbers(scores: Scores, named: bool) -> None:
    """Refuse scores of which one that was asked for has no number; others may lack theirs, but not all of them."""
    lost = [score for score in scores.values() if score.status != "done"]
    if not lost or (not named and len(lost) < len(scores)):
        return
    reasons: dict[str, list[str]] = {}
    for score in lost:
        reasons.setdefault(score.reason or score.status, []).append(score.metric)
    said = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    raise GanbenchError(f"{scores.generated.name} against {scores.reference.name} cannot be scored by {said}")
