"""Timing: seconds of repeated work on a device, and what is said of many of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

BATCH_SECONDS = 0.1  # so long is a batch of repetitions at least, between two waits for the device


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated timings, in seconds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Return the spread of at least one timing."""
        if len(seconds) == 1:
            return cls(seconds[0], seconds[0], seconds[0])
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
        return cls(median, low, high)


def timed(device: torch.device, act: Callable[[], object], times: int = 1) -> float:
    """Return the seconds that ``act`` takes on the average of ``times``, the device's work included."""
    wait(device)
    start = time.perf_counter()
    for _ in range(times):
        act()
    wait(device)
    return (time.perf_counter() - start) / times


def enough(seconds: float, period: int = 1) -> int:
    """Return how often to repeat what takes so long for a batch to last, as a multiple of ``period``."""
    return period * max(1, math.ceil(BATCH_SECONDS / max(seconds * period, 1e-9)))


def wait(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
