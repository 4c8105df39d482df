"""The reference cache seen from outside: what lies in its folder, whether it is sound, and clearing it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ganbench.errors import GanbenchError
from ganbench.identity import digest
from ganbench.scoring.reference import FORMAT, Header, ReferenceCache, read_header, read_store, refused

DAY = 86_400
_STORE = re.compile(r"([0-9a-f]{64})\.safetensors")
_LEFT = re.compile(r"([0-9a-f]{64})\.lock|\.([0-9a-f]{64})\.(?:safetensors|lock)\..*\.tmp")


@dataclass(frozen=True)
class Entry:
    """One file of the cache: its ``header``, or in ``fault`` why it has none that can be read."""

    path: Path
    bytes: int
    age: float
    """Seconds since it was written."""
    header: Header | None
    fault: str | None = None

    @property
    def is_old(self) -> bool:
        """Whether it is of a format that is no longer read; it is computed anew when it is wanted."""
        return self.header is not None and self.header.format < FORMAT

    def described(self) -> dict[str, Any]:
        """Return what the file is of, as JSON; of a file that cannot be read nothing is known."""
        if self.header is None:
            return {"data": None, "extractor": None, "n": None, "kept": [], "key": None}
        key, held = self.header.key, self.header.held
        content, extractor = key.get("content"), key.get("extractor")
        return {
            "data": self.header.label or f"content {str(content)[:12]}",
            "extractor": extractor.get("name") if isinstance(extractor, dict) else None,
            "n": self.header.count,
            "kept": [*(["moments"] if "mean" in held else []), *(x for x in held if x not in ("mean", "covariance"))],
            "key": dict(key),
        }


@dataclass(frozen=True)
class Cleared:
    """What was deleted and what was left: files in use, files that could not be deleted."""

    removed: tuple[Path, ...]
    bytes: int
    in_use: tuple[Path, ...]
    stuck: tuple[Path, ...]


def entries(cache: ReferenceCache) -> list[Entry]:
    """Return the stores in the folder of ``cache``, the latest first.

    Raises:
        GanbenchError: the folder cannot be read.
    """
    now, found = time.time(), []
    for path in _listed(cache):
        if not _STORE.fullmatch(path.name) or not _is_file(path):
            continue
        try:
            about = path.stat()
            header, fault = read_header(path), None
        except FileNotFoundError:  # cleared meanwhile
            continue
        except GanbenchError as error:
            header, fault = None, str(error)
        found.append(Entry(path, about.st_size, max(0.0, now - about.st_mtime), header, fault))
    return sorted(found, key=lambda entry: entry.age)


def foreign(cache: ReferenceCache) -> list[Path]:
    """Return what lies in the folder and is none of ours: it is never deleted. Raises as `entries` does."""
    return [path for path in _listed(cache) if _digest(path) is None]


def fault(entry: Entry) -> str | None:
    """Read the whole file and say why a score would refuse it, or None; one of an older format is never asked."""
    if entry.header is None:
        return entry.fault
    try:
        if digest(entry.header.key) != entry.path.stem:
            raise refused(entry.path, "it was written for something else than its name says")
        if not entry.is_old:
            read_store(entry.path, entry.header)
    except GanbenchError as error:
        return str(error)
    return None


def clear(cache: ReferenceCache, older_than_days: float = 0.0) -> Cleared:
    """Delete the stores that are older, and what processes left that are no more: locks, temporary files.

    Nothing is deleted that a process holds locked. Whoever waits for a lock that is deleted takes a new one.

    Raises:
        GanbenchError: the folder cannot be read.
    """
    groups: dict[str, list[Path]] = {}
    for path in _listed(cache):
        found = _digest(path)
        if found:
            groups.setdefault(found, []).append(path)
    removed, in_use, stuck, freed = list[Path](), list[Path](), list[Path](), 0
    for name, paths in sorted(groups.items()):
        lock = FileLock(cache.folder / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            in_use += [path for path in paths if path.suffix != ".lock"] or paths
            continue
        except OSError:
            stuck += paths
            continue
        try:
            for path in _unwanted(paths, older_than_days):
                size = _delete(path)
                removed, stuck = (removed, [*stuck, path]) if size is None else ([*removed, path], stuck)
                freed += size or 0
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
    return Cleared(tuple(removed), freed, tuple(in_use), tuple(stuck))


def _unwanted(paths: list[Path], older_than_days: float) -> Iterator[Path]:
    """Yield the files of one key to delete while its lock is held: all but a store that is too young."""
    for path in paths:
        if _STORE.fullmatch(path.name) and not _is_older(path, older_than_days):
            continue
        yield path


def _is_older(path: Path, days: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime >= days * DAY
    except FileNotFoundError:
        return False


def _delete(path: Path) -> int | None:
    """Delete a file and return its size, 0 if it was gone already, None if it cannot be deleted."""
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError:
        return None
    return size


def _digest(path: Path) -> str | None:
    """Return the key's digest in the name of a file of ours, or None for anything else."""
    match = _STORE.fullmatch(path.name) or _LEFT.fullmatch(path.name)
    if match is None or not _is_file(path):
        return None
    return next(group for group in match.groups() if group)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _listed(cache: ReferenceCache) -> list[Path]:
    try:
        return sorted(cache.folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise GanbenchError(f"the cache in {cache.folder} cannot be read ({error.strerror or error})") from error
