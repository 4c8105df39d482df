"""Two ways of doing the same, each in a process of its own, timed in turn: what paired comparisons share.

Each side has its own process, since the allocator's settings and the number of threads hold for a whole process.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Build = Callable[..., Callable[[], float]]
"""Builds one side from its arguments; what it returns does the work once and returns the seconds that it took."""


class Side:
    """One side, in a spawned process that is warm: it has done its work once."""

    def __init__(self, build: Build, *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build, args), daemon=True)
        self._process.start()
        theirs.close()
        self._hear()

    def start(self) -> None:
        """Begin the work, and do not wait for it."""
        self._pipe.send("again")

    def wait(self) -> float:
        """Return the seconds that the work took, once it is done."""
        return self._hear()

    def seconds(self) -> float:
        """Do the work and return the seconds that it took."""
        self.start()
        return self.wait()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join()

    def _hear(self) -> float:
        answer = self._pipe.recv()
        if isinstance(answer, str):
            raise SystemExit(answer)
        return float(answer)


def _serve(pipe: Connection, build: Build, args: tuple[Any, ...]) -> None:
    try:
        work = build(*args)
        pipe.send(work())
        while True:
            pipe.recv()
            pipe.send(work())
    except EOFError:
        return
    except Exception as error:  # said by the process that asked
        pipe.send(f"{build.__name__}{args}: {type(error).__name__}: {error}")


def compared(theirs: Side, ours: Side, pairs: int) -> dict[str, Any]:
    """Time both sides in turn, ``pairs`` times; return medians in seconds and the median and range of the ratios."""
    seconds = [(theirs.seconds(), ours.seconds()) for _ in range(pairs)]
    ratios = sorted(a / b for a, b in seconds)
    return {
        "theirs_seconds": statistics.median(a for a, _ in seconds),
        "ours_seconds": statistics.median(b for _, b in seconds),
        "ratio": statistics.median(ratios),
        "lowest_ratio": ratios[0],
        "highest_ratio": ratios[-1],
        "pairs": pairs,
    }


def write(path: Path | None, rows: list[dict[str, Any]], environment: dict[str, Any]) -> None:
    """Write what was measured as JSON, where a path is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"environment": environment, "rows": rows}, indent=2) + "\n", encoding="utf-8")
