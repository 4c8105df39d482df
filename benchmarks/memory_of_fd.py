"""Peak memory of an fd score over many samples: ``python benchmarks/memory_of_fd.py [N] [WIDTH]``, on Linux.

An extractor that invents its features stands in for the model; what is printed is the peak of the process less what it
held before, in MiB, with standard errors (for which features are kept up to the cap) and without.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganbench import DataSpec, Features, Images, PointSpec
from ganbench.scoring.evaluate import Evaluator, ScoringSettings, Subject
from ganbench_zoo.metrics.fd import FrechetDistance


class Invented:
    """An extractor whose features are drawn from the sample's number."""

    name: ClassVar[str] = "invented"
    paper: ClassVar[str] = "none"
    domains: ClassVar[frozenset[str] | None] = None
    canonical: ClassVar[bool] = False

    def __init__(self, width: int) -> None:
        self.width = width
        self.provenance: Mapping[str, Any] = {"width": width, "weights_sha256": None}

    def accepts(self, data: DataSpec) -> str | None:
        return None

    def available(self) -> str | None:
        return None

    def load(self, device: torch.device) -> Invented:
        return self

    def __call__(self, stored: Tensor) -> Features:
        rng = torch.Generator().manual_seed(int(stored[0, 0]))
        return Features(torch.randn(len(stored), self.width, generator=rng))


class Numbers:
    """Samples that are their own numbers, as many as one asks for."""

    count = None
    provenance: Mapping[str, Any] = {"what": "numbers"}

    def labels(self, n: int) -> None:
        return None

    def batches(self, n: int, batch_size: int) -> Iterator[Tensor]:
        for start in range(0, n, batch_size):
            yield torch.arange(start, min(start + batch_size, n), dtype=torch.float32)[:, None]


def measure(n: int, width: int, errors: bool) -> float:
    """Return the peak of this process beyond what it holds now, in MiB, while it scores ``n`` samples."""
    reference = Images(torch.arange(4 * width, dtype=torch.float32)[:, None] + 2**23)
    subject = Subject("numbers", "any", PointSpec((1,)), None, reference, {"name": "numbers"})
    settings = ScoringSettings((("fd", FrechetDistance()),), Invented(width), n, errors=errors)  # type: ignore[arg-type]
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    (score,) = Evaluator(settings, subject, torch.device("cpu")).score(Numbers())
    if score.value is None:
        raise SystemExit(score.reason)
    print(f"fd {score.value:.6g} ± {score.error}", file=sys.stderr)
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Measure with and without standard errors, each in a process of its own."""
    n, width, *which = (int(text) for text in sys.argv[1:] or ["1000000", "2048"])
    if which:
        print(f"{measure(n, width, bool(which[0])):.0f}")
        return
    for errors in (0, 1):
        command = [sys.executable, __file__, str(n), str(width), str(errors)]
        peak = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        print(f"N = {n:,}, d = {width:,}, {'with' if errors else 'without'} standard errors: {peak} MiB")


if __name__ == "__main__":
    main()
