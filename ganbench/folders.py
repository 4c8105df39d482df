"""Where ganbench keeps what outlives a run: caches and downloaded data; results lie in the working directory."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $GANBENCH_CACHE, else ganbench/ under $XDG_CACHE_HOME or ~/.cache; it may not exist yet."""
    chosen = os.environ.get("GANBENCH_CACHE")
    return Path(chosen) if chosen else _home()


def data_folder() -> Path:
    """Return $GANBENCH_DATA, else ganbench/data/ under $XDG_CACHE_HOME or ~/.cache; it may not exist yet."""
    chosen = os.environ.get("GANBENCH_DATA")
    return Path(chosen) if chosen else _home() / "data"


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganbench"
