"""Reading and writing that fails with one sentence: what `OSError` and broken JSON become."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganbench.errors import ResultsError

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an `OSError` into the sentence that ``folder`` cannot be written, and what to do about it."""
    from filelock import Timeout

    try:
        yield
    except Timeout:
        raise
    except OSError as error:
        advice = "free some space and run it again" if error.errno in _NO_SPACE else "choose another one with --results"
        raise ResultsError(f"{folder} cannot be written ({error.strerror or error}); {advice}") from error


def read_text(path: Path, absent: str | None = None) -> str:
    """Return the text of ``path``, or ``absent`` where there is no such file. Raises ResultsError."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if absent is not None:
            return absent
        raise ResultsError(f"there is no {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} cannot be read: {error}") from error


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in ``path``, or None where there is no such file. Raises ResultsError."""
    text = read_text(path, absent="")
    if not text and not path.exists():
        return None
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ResultsError(f"{path} is not JSON ({error}); it is damaged") from error
    if not isinstance(data, dict):
        raise ResultsError(f"{path} holds {type(data).__name__}; it must be a JSON object")
    return data
