"""Large blocks stay with the process once it is asked, and not before."""

from __future__ import annotations

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

PROGRAM = """
import resource
import torch
import ganbench, ganbench.execution.environment
from ganbench.memory import keep_large_blocks
from ganbench.execution.environment import configure

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(1 << 24)  # 64 MiB, more than glibc ever takes from its heap by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
without = faults()
configure(torch.device("cpu"), 1, False)
assert keep_large_blocks() is keep_large_blocks() is True
faults()
print(without, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told")
def test_large_blocks_are_reused_once_a_process_is_set_up():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    without, kept = map(int, done.stdout.split())
    assert without > 100  # one for each page, of 4 KiB or of 2 MiB
    assert kept < without / 10


def test_another_allocator_is_left_as_it_is(monkeypatch):
    from ganbench import memory

    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", lambda name: pytest.fail("it was opened"))
    assert memory.keep_large_blocks.__wrapped__() is False


def test_a_process_whose_blocks_come_from_elsewhere_says_so(monkeypatch):
    """A preloaded allocator answers malloc, while glibc's own settings are accepted and change nothing."""
    from ganbench import memory

    library = SimpleNamespace(
        mallopt=lambda option, value: 1,
        mallinfo2=lambda: SimpleNamespace(uordblks=100),
        malloc=lambda size: 4096,
        free=lambda block: None,
    )
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr("ctypes.CDLL", lambda name: library)
    assert memory.keep_large_blocks.__wrapped__() is False
