"""Files of published sets as they came: compared with their MD5 before anything opens them (some are pickles)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ganbench.memory import available_bytes


def damage(folder: Path, files: Iterable[tuple[str, str]]) -> str | None:
    """Name the first of ``files``, as (name, MD5), that is missing from ``folder`` or has another MD5, or None."""
    from torchvision.datasets.utils import check_integrity

    for name, md5 in files:
        if not (folder / name).is_file():
            return f"{name} was looked for in {folder} and is not there"
        if not check_integrity(folder / name, md5):
            return f"{folder / name} is broken (another MD5 than the original)"
    return None


def check_memory(name: str, nbytes: int, remedy: str) -> None:
    """Refuse a split that would take more than half of the memory that is available.

    Raises:
        ValueError: it would; the sentence ends with ``remedy``.
    """
    available = available_bytes()
    if available is not None and nbytes > available / 2:
        raise ValueError(
            f"{name} needs {nbytes / 2**30:.1f} GiB decoded, more than half of the "
            f"{available / 2**30:.1f} GiB of memory available; {remedy}"
        )
