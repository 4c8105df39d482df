"""``ganbench show``: one component in full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.layout import pairs, paragraphs
from ganbench.cli.options import catalog_from, json_option, kind_option, plugins_option
from ganbench.errors import GanbenchError

if TYPE_CHECKING:
    from ganbench.catalog import Catalog, Entry
    from ganbench.catalog.description import Description


@click.command("show")
@click.argument("name")
@kind_option
@plugins_option
@json_option
def command(name: str, kind: str | None, plugins: tuple[Path, ...], as_json: bool) -> None:
    """Print fields, defaults, formula, recipe and documentation of the component NAME."""
    from ganbench.catalog.description import describe

    about = describe(_chosen(catalog_from(plugins), name, kind))
    if as_json:
        shown = {"kind": about.entry.kind, "name": about.entry.name, "origin": about.entry.origin}
        rest = {"paper": about.entry.paper, "summary": about.entry.summary, "formula": about.formula}
        texts = {"traits": about.traits, "recipe": about.recipe, "doc": about.doc, "module_doc": about.module_doc}
        code = {"file": about.file, "source_digest": about.source}
        fields = {"fields": [asdict(field) for field in about.fields]}
        click.echo(json.dumps(shown | rest | fields | texts | code, indent=2, ensure_ascii=False))
        return
    for line in _lines(about):
        click.echo(line)


def _chosen(catalog: Catalog, name: str, kind: str | None) -> Entry:
    if kind:
        return catalog.find(kind, name)
    found = catalog.named(name)
    if not found:
        raise catalog.absent(name)
    if len(found) > 1:
        kinds = [entry.kind for entry in found]
        choices = " or ".join(f"--kind {kind}" for kind in kinds)
        raise GanbenchError(f"{name!r} is the name of {len(kinds)} components; say which with {choices}")
    return found[0]


_SCALES = {
    "log": "log: two values are compared by their ratio",
    "linear": "linear: two values are compared by their difference",
    "logit": "logit: a share; two values are compared by the ratio of their odds",
}
_FLOORS = {
    "bias": "above what a perfect generator deserves: sampling alone gives a value, which tables and scores show",
    "zero": "0 in expectation for equal distributions",
    None: "none that follows from its definition",
}


def _metric_rows(about: Description) -> list[tuple[str, str]]:
    """Return in words how to read a metric: which way is better, on which scale, from what, above which floor."""
    from ganbench.components import trait

    metric: Any = about.default
    words = {name: ", ".join(sorted(trait(metric, name))) for name in ("error_needs", "blind")}
    rows = [
        ("direction", f"{metric.direction} is better"),
        ("scale", _SCALES[metric.scale]),
        ("needs", ", ".join(sorted(metric.needs)) if isinstance(metric.needs, frozenset) else "depends on the fields"),
        ("floor", _FLOORS.get(trait(metric, "floor"), "")),
    ]
    if words["error_needs"]:
        rows.append(("error_needs", f"{words['error_needs']}, for its standard error"))
    if words["blind"]:
        rows.append(("blind", f"not meant to move along the ladders {words['blind']}"))
    return rows


def _lines(about: Description) -> Iterator[str]:
    entry = about.entry
    yield f"{entry.name} ({entry.kind})"
    rows = [("paper", entry.paper), ("origin", entry.origin)]
    rows += [("formula", line) for line in about.formula.splitlines()]
    rows += [("fields", f"{field.name}: {field.type} = {field.default}") for field in about.fields]
    if not about.fields:
        rows.append(("fields", "none"))
    said = _metric_rows(about) if entry.kind == "metric" else []
    rows += said
    told = {key for key, _ in said}
    rows += [("traits", f"{key} = {value}") for key, value in about.traits.items() if key not in told]
    rows += [("recipe", f"{key} = {value}") for key, value in about.recipe.items()]
    rows += [("file", about.file), ("source", f"sha256 {about.source}")]
    yield from pairs(rows)
    for text in (about.doc, about.module_doc):
        if text:
            yield ""
            yield from paragraphs(text)
