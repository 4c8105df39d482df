"""The bundled suites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganbench import hookimpl


@hookimpl
def suites() -> Sequence[Path]:
    """Return every suite file that lies beside this module."""
    return sorted(Path(__file__).parent.glob("*.toml"))
