"""Sets that torchvision downloads: one process at a time, with a time limit on every read, nothing on stdout."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from urllib.error import URLError

TIMEOUT_SECONDS = 15.0


@contextmanager
def bounded() -> Iterator[None]:
    """Let connections and reads inside give up after `TIMEOUT_SECONDS` and send what is printed to stderr."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def ensure(dataset: str, root: Path, problem: Callable[[], str | None], download: Callable[[], object]) -> None:
    """Call ``download`` where ``problem`` names something that is missing, holding a lock in ``root``.

    Raises:
        ValueError: the files are missing and could not be downloaded to ``root``.
    """
    if problem() is None:
        return
    from filelock import FileLock

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{dataset}.lock"), bounded():
            if problem() is not None:
                download()
        reason = problem()
    except (RuntimeError, URLError, OSError, EOFError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
    if reason is not None:
        raise ValueError(
            f"{dataset}: {problem() or 'the files are incomplete'}, and downloading failed ({_short(reason)}); "
            f"put the original files there, or name a data root that has them"
        )


def _short(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
