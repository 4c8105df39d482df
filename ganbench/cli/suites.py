"""``ganbench suites`` and ``ganbench suite show``: the suite files that plugins offer."""

from __future__ import annotations

from pathlib import Path

import click

from ganbench.cli.layout import columns
from ganbench.cli.options import catalog_from, plugins_option
from ganbench.cli.plugins import first_comment


@click.command("suites")
@plugins_option
def command(plugins: tuple[Path, ...]) -> None:
    """List the suites that 'ganbench run NAME' knows, with origin and description."""
    catalog = catalog_from(plugins)
    rows = [(s.name, s.origin, first_comment(s.path)) for s in catalog.suites.values()]
    for line in columns(rows, [24, 32], indent=0):
        click.echo(line)
    if not rows:
        click.echo("no suite: no plugin offers one", err=True)


@click.group("suite")
def suite() -> None:
    """Look at one suite."""


@suite.command("show")
@click.argument("name")
@plugins_option
def show(name: str, plugins: tuple[Path, ...]) -> None:
    """Print the file of the suite NAME, to read or to start one's own from."""
    from ganbench.catalog.text import clean

    path = catalog_from(plugins).suite(name).path
    click.echo(clean(path.read_text(encoding="utf-8", errors="replace")).rstrip("\n"))
