"""The image files of a folder or a zip archive, listed without trusting their names, sizes or links."""

from __future__ import annotations

import hashlib
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
MAX_ENTRIES = 2_000_000
MAX_FILE_BYTES = 256 * 2**20
MAX_ARCHIVE_BYTES = 256 * 2**30
DAMAGED = (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)


class Source(Protocol):
    """Where image files lie. ``names`` are their sorted relative names with ``/`` between the parts."""

    @property
    def path(self) -> Path: ...
    @property
    def names(self) -> tuple[str, ...]: ...

    def read(self, name: str) -> bytes:
        """Return the content of one file. Raises ValueError where it cannot be read."""

    def fingerprint(self) -> str:
        """Return the SHA-256 over names, sizes and content of all image files."""


@dataclass(frozen=True)
class FolderSource:
    """Image files in a folder and its subfolders."""

    path: Path
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        path = self.path / name
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError(f"{path} is larger than the {MAX_FILE_BYTES:,} bytes that are allowed")
            return path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror})") from error

    def fingerprint(self) -> str:
        """Return the SHA-256 over name, size and content hash of every image file."""
        total = hashlib.sha256()
        for name in self.names:
            content = self.read(name)
            total.update(f"{name}\0{len(content)}\0{hashlib.sha256(content).hexdigest()}\n".encode())
        return total.hexdigest()


@dataclass(frozen=True)
class ZipSource:
    """Image files in a zip archive, held open; `zipfile` reads it from several threads under its own lock."""

    path: Path
    names: tuple[str, ...]
    archive: zipfile.ZipFile

    def read(self, name: str) -> bytes:
        try:
            return self.archive.read(name)
        except DAMAGED as error:
            raise ValueError(f"{name} in {self.path} cannot be read ({error})") from error

    def fingerprint(self) -> str:
        """Return the SHA-256 over name, size and CRC-32 of every image file, as the archive declares them."""
        total = hashlib.sha256()
        for name in self.names:
            info = self.archive.getinfo(name)
            total.update(f"{name}\0{info.file_size}\0{info.CRC:08x}\n".encode())
        return total.hexdigest()


def resolve(path: str, root: Path) -> Path:
    """Return ``path`` from the working directory if it exists there, else from the data root."""
    given = Path(path).expanduser()
    return given if given.is_absolute() or given.exists() else root / given


def open_source(path: Path) -> Source:
    """List the image files of the folder or zip archive at ``path``; hidden files and ``__MACOSX`` are passed over.

    Raises:
        ValueError: there is nothing, no image, or something that must not be trusted (see `MAX_ENTRIES` and others).
    """
    if path.is_dir():
        source: Source = FolderSource(path, tuple(sorted(_walk(path))))
    elif path.is_file():
        source = _open_zip(path)
    else:
        raise ValueError(
            f"{path} does not exist; name a folder or a zip archive of images "
            "(where the path is relative: below the working directory, else below the data folder)"
        )
    if not source.names:
        raise ValueError(f"{path} holds no images; known are files named {', '.join(sorted(SUFFIXES))}")
    return source


def _walk(root: Path) -> Iterator[str]:
    """Yield the names of image files below ``root``, following no link out of it."""
    real, entries, pending = root.resolve(), 0, [root]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as found:
                children = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise ValueError(f"{folder} cannot be listed ({error.strerror})") from error
        entries += len(children)
        _limit(root, entries)
        for child in children:
            if child.name.startswith("."):
                continue
            path = Path(child.path)
            if child.is_symlink():
                _check_link(path, real)
            if child.is_dir():
                pending.append(path)
            elif path.suffix.lower() in SUFFIXES and child.is_file():
                yield path.relative_to(root).as_posix()


def _check_link(path: Path, root: Path) -> None:
    target = path.resolve()
    if not target.is_relative_to(root):
        raise ValueError(f"{path} is a link to {target}, outside {root}; links must stay inside")
    if not target.exists():
        raise ValueError(f"{path} is a link to {target}, which does not exist")
    if target.is_dir():
        raise ValueError(f"{path} is a link to a folder; only links to files are followed")


def _limit(path: Path, entries: int) -> None:
    if entries > MAX_ENTRIES:
        raise ValueError(f"{path} has {entries:,} entries or more; at most {MAX_ENTRIES:,} are allowed")


def _open_zip(path: Path) -> ZipSource:
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise ValueError(f"{path} is neither a folder nor a readable zip archive ({error})") from error
    try:
        names = _zip_names(path, archive.infolist())
    except ValueError:
        archive.close()
        raise
    return ZipSource(path, names, archive)


def _zip_names(path: Path, infos: list[zipfile.ZipInfo]) -> tuple[str, ...]:
    """Return the sorted names of the image members; refuse what a trusted archive would not hold."""
    _limit(path, len(infos))
    names, total = set[str](), 0
    for info in infos:
        _check_member(path, info)
        total += info.file_size
        parts = PurePosixPath(info.filename).parts
        if info.is_dir() or any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue
        if PurePosixPath(info.filename).suffix.lower() in SUFFIXES:
            if info.filename in names:
                raise ValueError(f"{path} holds {info.filename} twice")
            names.add(info.filename)
    if total > MAX_ARCHIVE_BYTES:
        raise ValueError(f"{path} declares {total:,} bytes unpacked; at most {MAX_ARCHIVE_BYTES:,} are allowed")
    return tuple(sorted(names))


def _check_member(path: Path, info: zipfile.ZipInfo) -> None:
    """Raise ValueError for a name that leaves the archive, a link, an encrypted or an oversized member."""
    name = info.orig_filename
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or "\\" in name or "\0" in name or ":" in parts[0]:
        raise ValueError(f"{path} holds {name!r}; absolute names, '..' and backslashes are refused")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ValueError(f"{path} holds {name!r}, a link; links in archives are refused")
    if info.flag_bits & 1:
        raise ValueError(f"{path} holds {name!r} encrypted; unpack it first")
    if info.file_size > MAX_FILE_BYTES:
        raise ValueError(
            f"{path} declares {info.file_size:,} bytes for {name!r}; at most {MAX_FILE_BYTES:,} a file are allowed"
        )
