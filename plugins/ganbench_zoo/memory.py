"""How much memory a process may still take."""

from __future__ import annotations

import os
from pathlib import Path


def available_bytes() -> int | None:
    """Return the memory that can be taken without swapping: Linux's MemAvailable, else free pages, else None."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
