"""Where ganbench keeps what outlives a run: caches, data, trained extractors; results lie in the working directory."""

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


def extractors_folder() -> Path:
    """Return $GANBENCH_EXTRACTORS, else extractors/ in `cache_folder`: extractors trained here; may not exist yet."""
    chosen = os.environ.get("GANBENCH_EXTRACTORS")
    return Path(chosen) if chosen else cache_folder() / "extractors"


def _home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganbench"
