"""``ganbench show``: one component in full."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

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


def _lines(about: Description) -> Iterator[str]:
    entry = about.entry
    yield f"{entry.name} ({entry.kind})"
    rows = [("paper", entry.paper), ("origin", entry.origin)]
    rows += [("formula", line) for line in about.formula.splitlines()]
    rows += [("fields", f"{field.name}: {field.type} = {field.default}") for field in about.fields]
    if not about.fields:
        rows.append(("fields", "none"))
    rows += [("traits", f"{key} = {value}") for key, value in about.traits.items()]
    rows += [("recipe", f"{key} = {value}") for key, value in about.recipe.items()]
    rows += [("file", about.file), ("source", f"sha256 {about.source}")]
    yield from pairs(rows)
    for text in (about.doc, about.module_doc):
        if text:
            yield ""
            yield from paragraphs(text)
