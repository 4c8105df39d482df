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


_KERNELS: tuple[Callable[[F], F], ...] = (
    click.option("--channels-last/--no-channels-last", default=None, help="Channels side by side in memory, or apart."),
    click.option("--joint/--no-joint", default=None, help="Judge real and fake in one pass where that is exact."),
    click.option("--compile/--no-compile", default=None, help="Send phases through torch.compile."),
    click.option("--graphs/--no-graphs", default=None, help="On CUDA: record moves once, replay them as graphs."),
)
_FRUGAL: tuple[Callable[[F], F], ...] = (
    click.option("--checkpoint/--no-checkpoint", default=None, help="Compute activations twice instead of keeping."),
    click.option(
        "--parts",
        type=click.IntRange(1),
        metavar="N",
        help="Cut each batch into N parts, one after another; same result.",
    ),
)


def kernel_options(frugal: bool) -> Callable[[F], F]:
    """Return a decorator that adds the options of how to compute; with ``frugal`` those that save memory too."""

    def add(command: F) -> F:
        for option in reversed((*_KERNELS, *(_FRUGAL if frugal else ()))):
            command = option(command)
        return command

    return add


def kernels_asked(given: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Take the values of `kernel_options` out of ``given``; return by name those that were given."""
    names = ("channels_last", "joint", "compile", "graphs", "checkpoint", "parts")
    values = {name: given.pop(name) for name in names if name in given}
    return tuple((name, value) for name, value in values.items() if value is not None)


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
