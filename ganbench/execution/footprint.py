"""A footprint: how much memory a piece of work takes beyond what its process held before.

On CUDA these are the bytes of tensors on the device. On the CPU these are pages of the process; glibc is asked to give
back what is free first, so that blocks which an earlier piece of work left behind do not hide the need of this one.
"""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

import torch

from ganbench.execution.environment import PeakMemory

_SLACK = 1 << 25  # bytes that a process may touch between two readings of itself


class Footprint:
    """Peak memory in bytes beyond what is held when this object is made; None where the system does not tell."""

    def __init__(self, device: torch.device) -> None:
        gc.collect()
        known = device.type == "cuda" or (device.type == "cpu" and _give_back())
        self._held = _held(device) if known else None
        self._peak = PeakMemory(device)
        at_once = self._peak.read()
        if self._held is None or at_once is None or at_once > self._held + _SLACK:  # the mark could not be reset
            self._held = None

    def read(self) -> int | None:
        """Return the bytes, at least 0."""
        peak = self._peak.read()
        return None if self._held is None or peak is None else max(0, peak - self._held)


def _give_back() -> bool:
    """Let the C library give free pages back to the system; return whether it can."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # only glibc has it
        return False
    trim(ctypes.c_size_t(0))
    return True


def _held(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)
