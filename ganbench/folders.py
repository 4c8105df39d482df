"""Where ganbench keeps what outlives a run: caches and downloaded data; results lie in the working directory."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return $GANBENCH_CACHE, else ganbench/ under $XDG_CACHE_HOME or ~/.cache; it may not exist yet."""
    chosen = os.environ.get("GANBENCH_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganbench"


def data_folder() -> Path:
    """Return $GANBENCH_DATA, else data/ in the cache folder; it may not exist yet."""
    chosen = os.environ.get("GANBENCH_DATA")
    return Path(chosen).expanduser() if chosen else cache_folder() / "data"
