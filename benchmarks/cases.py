"""The cases that are timed: a combination of the suite language on made-up images, as `ganbench bench` settles it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ganbench.catalog import load_catalog
from ganbench.execution.race import Ask, Entrant, entrants
from ganbench.execution.synthetic import parse_shape, term, with_made_up
from ganbench.suite.source import Flags, read_request


def entrant(
    cell: str,
    shape: str,
    device: torch.device,
    precision: str = "float32",
    settings: Sequence[str] = (),
    threads: int | None = None,
) -> Entrant:
    """Return the combination ``architecture/loss`` on images of ``shape`` (CxHxW); sets this process up for it.

    ``settings`` are keys of a suite, as ``ganbench run --set`` takes them.
    """
    architecture, loss = cell.split("/")
    catalog = with_made_up(load_catalog())
    flags = Flags(
        datasets=[term(parse_shape(shape))], architectures=[architecture], losses=[loss], settings=settings, seeds="1"
    )
    ask = Ask(
        request=read_request(None, flags, catalog),
        device=device,
        data_root=Path(),
        precisions=(precision,),
        threads=threads,
    )
    (found,) = entrants(ask, catalog)
    return found


def schedule(d_steps: int) -> str:
    """Return the setting of ``d_steps`` updates of the discriminator for one of the generator."""
    return f"recipe.schedule={[*['D'] * d_steps, 'G']}"
