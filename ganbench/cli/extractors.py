"""``ganbench extractors``: which feature extractors can be used here now, and what to do about the others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.layout import columns, paragraphs
from ganbench.cli.options import catalog_from, json_option, plugins_option

if TYPE_CHECKING:
    from ganbench.catalog import Catalog, Entry

_HEAD = ("extractor", "usable", "data", "paper")


@dataclass(frozen=True)
class Usability:
    """One extractor: ``reason`` says why it is not ``usable`` and what to do; ``domains`` None takes any data."""

    name: str
    usable: bool
    reason: str | None
    domains: list[str] | None
    paper: str
    origin: str
    summary: str


@click.command("extractors")
@plugins_option
@json_option
def command(plugins: tuple[Path, ...], as_json: bool) -> None:
    """List the feature extractors: usable here now or not, why not and what to do, for which data.

    No network is loaded. Of weights only the file is looked for; what it holds is checked when it is used.
    """
    catalog = catalog_from(plugins)
    found = usabilities(catalog)
    if as_json:
        click.echo(json.dumps({"extractors": [asdict(one) for one in found]}, indent=2, ensure_ascii=False))
    else:
        for line in _lines(found):
            click.echo(line)
    if catalog.faults:
        click.echo(f"note: plugin faults ({len(catalog.faults)}), see 'ganbench plugins'", err=True)


def usabilities(catalog: Catalog) -> list[Usability]:
    """Return what each extractor of ``catalog``, with default fields, says of itself: the usable ones first."""
    return sorted((_usability(entry) for entry in catalog.of_kind("extractor")), key=lambda one: not one.usable)


def _usability(entry: Entry) -> Usability:
    from ganbench.catalog.text import one_line
    from ganbench.components import trait

    component: Any = entry.component
    try:
        reason = component().available()
    except Exception as error:  # a plugin's fault must not hide the other extractors
        reason = f"{type(error).__name__}: {error}"
    domains = trait(component, "domains")
    return Usability(
        name=entry.name,
        usable=reason is None,
        reason=None if reason is None else one_line(reason),
        domains=None if domains is None else sorted(map(one_line, domains)),
        paper=entry.paper,
        origin=entry.origin,
        summary=entry.summary,
    )


def _lines(found: Sequence[Usability]) -> Iterator[str]:
    """Yield a table, and below it why some cannot be used and what to do."""
    rows: list[tuple[str, ...]] = [_HEAD]
    for one in found:
        data = "any" if one.domains is None else ", ".join(one.domains) or "none"
        rows.append((one.name, "yes" if one.usable else "no", data, one.paper))
    yield from columns(rows, [24, 6, 16], indent=0)
    for one in found:
        if one.reason:
            yield ""
            yield f"{one.name} is not usable:"
            yield from paragraphs(one.reason, indent=2)
