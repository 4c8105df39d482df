"""Memory of the process: how much more it may take, and glibc's allocator told to reuse large blocks."""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
_PROBE = 1 << 26  # twice the largest size up to which glibc may move its threshold for maps
_FIELDS = ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"]


class _Usage(ctypes.Structure):
    """What glibc's mallinfo2 returns; ``uordblks`` counts the bytes in use within its heap."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


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


@cache
def keep_large_blocks() -> bool:
    """Let freed blocks of any size stay with the process for its next tensors; return whether that took effect.

    By default glibc maps every large tensor anew and gives it back when it is freed, so that the same pages are fetched
    from the system again and again. Results stay the same to the bit; peak memory grows by about a sixth. For the rest
    of the process, and once: a later call only repeats the answer. Other C libraries and allocators are left as they
    are.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        library = ctypes.CDLL(None)
        accepted = [library.mallopt(_MMAP_MAX, 0), library.mallopt(_TRIM_THRESHOLD, -1)]
    except (OSError, AttributeError):
        return False
    return all(accepted) and _from_the_heap(library)


def _from_the_heap(library: ctypes.CDLL) -> bool:
    """Say whether a large block now comes from glibc's heap, where another allocator may have taken its place."""
    try:
        usage, allocate, release = library.mallinfo2, library.malloc, library.free
    except AttributeError:  # glibc before 2.33 does not tell
        return True
    usage.restype, usage.argtypes = _Usage, ()
    allocate.restype, allocate.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    release.restype, release.argtypes = None, (ctypes.c_void_p,)
    before = usage().uordblks
    block = allocate(_PROBE)
    grown = usage().uordblks - before
    release(block)
    return bool(block) and grown >= _PROBE
