"""``ganbench plugins``: what is installed, where it comes from, and what does not work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.layout import columns
from ganbench.cli.options import catalog_from, json_option, plugins_option
from ganbench.components import each_kind

if TYPE_CHECKING:
    from ganbench.catalog import Catalog, Fault

_NARROW_ORIGIN = 24


@click.command("plugins")
@plugins_option
@json_option
@click.option("--traceback", "with_traceback", is_flag=True, help="Print the traceback of each fault.")
def command(plugins: tuple[Path, ...], as_json: bool, with_traceback: bool) -> None:
    """List components by kind, suites, and the faults of plugins.

    Each component is shown with its origin (a distribution and its version, or a file and a line), its paper and a
    summary. A plugin that does not work is listed with the reason and takes nothing else with it.
    """
    catalog = catalog_from(plugins)
    if as_json:
        click.echo(json.dumps(_as_json(catalog), indent=2, ensure_ascii=False))
        return
    for line in _lines(catalog, with_traceback):
        click.echo(line)


def _lines(catalog: Catalog, with_traceback: bool) -> Iterator[str]:
    for kind in each_kind():
        rows = [(e.name, e.origin, e.paper, e.summary) for e in catalog.of_kind(kind.name)]
        if rows:
            yield kind.hook
            yield from _rows(rows)
            yield ""
    if catalog.suites:
        yield "suites"
        yield from _rows([(s.name, s.origin, "", first_comment(s.path)) for s in catalog.suites.values()])
        yield ""
    yield f"faults: {len(catalog.faults) or 'none'}"
    for fault in catalog.faults:
        yield from _fault_lines(fault, with_traceback)


def _rows(rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
    """Yield the rows in columns; an origin too wide for its column stands on a line of its own below."""
    shown, widest = [], 0
    for name, origin, paper, summary in rows:
        if len(origin) <= _NARROW_ORIGIN:
            shown.append((name, origin, paper, summary))
            widest = max(widest, len(origin))
        else:
            shown += [(name, "", paper, summary), ("", origin, "", "")]
    yield from columns(shown, [24, widest, 26])


def _fault_lines(fault: Fault, with_traceback: bool) -> Iterator[str]:
    yield f"  {fault.stage:<8}  {fault.origin}"
    yield from columns([("", fault.reason)], [8])
    if with_traceback and fault.traceback:
        yield from (f"            {line}" for line in fault.traceback.splitlines())


def first_comment(path: Path) -> str:
    """Return the comment at the head of a suite file, on one line, else its key ``description``, else ""."""
    import tomllib

    from ganbench.catalog.text import one_line

    text = path.read_text(encoding="utf-8", errors="replace")
    comment = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("#"))
    if comment:
        return one_line(" ".join(comment))
    try:
        return one_line(tomllib.loads(text).get("description", ""))
    except tomllib.TOMLDecodeError as error:
        return f"not TOML: {one_line(error)}"


def _as_json(catalog: Catalog) -> dict[str, Any]:
    return {
        "components": [
            {"kind": e.kind, "name": e.name, "origin": e.origin, "paper": e.paper, "summary": e.summary}
            for kind in each_kind()
            for e in catalog.of_kind(kind.name)
        ],
        "suites": [{"name": s.name, "origin": s.origin, "path": str(s.path)} for s in catalog.suites.values()],
        "faults": [asdict(fault) for fault in catalog.faults],
    }
