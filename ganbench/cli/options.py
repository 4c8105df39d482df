"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ganbench.components import KINDS

if TYPE_CHECKING:
    from ganbench.catalog import Catalog

F = TypeVar("F", bound=Callable[..., Any])

plugins_option: Callable[[F], F] = click.option(
    "--plugins",
    "plugins",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="A Python file or a folder of plugins; may be given again. Plugins are code: they run.",
)

json_option: Callable[[F], F] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for a program to read."
)

kind_option: Callable[[F], F] = click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    metavar="KIND",
    help=f"What NAME is, where components of several kinds are called so: {', '.join(KINDS)}.",
)


def catalog_from(paths: Sequence[Path]) -> Catalog:
    """Load the installed plugins, those at ``paths`` and those that GANBENCH_PLUGINS names.

    Raises:
        GanbenchError: a path does not exist, or is neither a Python file nor a folder.
    """
    from ganbench.catalog import load_catalog

    return load_catalog(paths)


def mention_faults(catalog: Catalog, plugins: Sequence[Path]) -> None:
    """Say on stderr that plugins have faults, and what shows them."""
    if catalog.faults:
        count = len(catalog.faults)
        what = "a plugin has a fault" if count == 1 else f"plugins have {count} faults"
        verb = " ".join(["ganbench plugins", *(f"--plugins {path}" for path in plugins)])
        click.echo(f"note: {what}; '{verb}' says which", err=True)
