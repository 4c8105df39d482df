"""Memory of an fd score: one covariance, however many samples."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "memory_of_fd.py"


def peak(n: int) -> float:
    """Return the peak of a process that scores ``n`` samples of width 256, in MiB beyond what it held before."""
    command = [sys.executable, str(SCRIPT), str(n), "256", "0"]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_samples():
    few, many = peak(20_000), peak(140_000)  # the features of the others take 117 MiB
    assert many < few + 30
