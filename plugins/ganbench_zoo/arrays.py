"""Arrays in .npy and .npz files: the header first, no pickles, nothing unpacked that memory could not hold.

What lies in a file uncompressed is mapped and read as rows are asked for; of a compressed .npz the array is unpacked
into memory, if that is at most a quarter of what is available.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from ganbench.memory import available_bytes
from ganbench.stored import FLOATS
from ganbench_zoo.members import DAMAGED

PREFERRED = ("arr_0", "images", "samples")
LABELS = ("labels", "y", "label")
MAX_MEMBERS = 10_000
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip member: the lengths of its name and of its extra field stand last
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class Header:
    """What an array says of itself: shape, type, whether columns come first, where its values begin in its file."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int

    @property
    def nbytes(self) -> int:
        """The size of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class ArrayFile:
    """One array of a .npy, or of a .npz under ``key``, and where its labels are: what `locate` found."""

    path: Path
    key: str | None
    header: Header
    labels: str | None = None

    @property
    def name(self) -> str:
        """The array for messages: ``x.npy`` or ``x.npz:key``."""
        return f"{self.path}:{self.key}" if self.key else str(self.path)

    def open(self) -> np.ndarray:
        """Return the values: mapped where they lie uncompressed, else unpacked.

        Raises:
            ValueError: they are damaged, or too large to be unpacked.
        """
        if self.key is None:
            return _mapped(self.path, self.header, 0)
        with _archive(self.path) as archive:
            info = archive.getinfo(f"{self.key}.npy")
            if info.compress_type == zipfile.ZIP_STORED:
                return _mapped(self.path, self.header, _start(self.path, info))
            return _unpacked(self.name, archive, info, self.header)

    def read_labels(self) -> Tensor | None:
        """Return the labels beside the array, int64 (N,), or None where there are none.

        Raises:
            ValueError: they are no whole numbers from 0 on, one a row.
        """
        if self.labels is None:
            return None
        beside = ArrayFile(self.path, self.labels, _member_header(self.path, self.labels))
        header, rows = beside.header, self.header.shape[0]
        if header.dtype.kind not in "iu" or header.shape not in {(rows,), (rows, 1)}:
            raise ValueError(
                f"{beside.name} has shape {header.shape} and holds {header.dtype}; "
                f"labels are whole numbers, one for each of the {rows} rows"
            )
        labels = torch.from_numpy(beside.open().astype(np.int64).reshape(-1))
        if len(labels) and int(labels.min()) < 0:
            raise ValueError(f"{beside.name} holds {int(labels.min())}; labels are whole numbers from 0 on")
        return labels


def split_name(path: Path) -> tuple[Path, str | None] | None:
    """Return the file and the key that ``x.npy``, ``x.npz`` or ``x.npz:key`` names, or None for anything else."""
    found = re.fullmatch(r"(?is)(.*\.npy)|(.*\.npz)(?::([^:/\\]+))?", str(path))
    return (Path(found[1] or found[2]), found[3]) if found else None


def locate(path: Path, key: str | None) -> ArrayFile:
    """Find the array ``key`` of a file, or the one that is meant; reads headers only.

    Raises:
        ValueError: there is no such array, it is none of numbers, it is truncated, or the choice is not clear.
    """
    try:
        if path.suffix.lower() == ".npy":
            if key is not None:
                raise ValueError(f"{path} holds one array and has no key {key!r}")
            with path.open("rb") as file:
                header = _header(str(path), file)
            _complete(str(path), header, path.stat().st_size)
            return ArrayFile(path, None, header)
        return _in_archive(path, key)
    except FileNotFoundError as error:
        raise ValueError(f"{path} does not exist; name a .npy or .npz file") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error})") from error


def type_name(dtype: np.dtype) -> str:
    """Return the name of a type in this machine's byte order."""
    return dtype.newbyteorder("=").name


def _in_archive(path: Path, key: str | None) -> ArrayFile:
    with _archive(path) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_MEMBERS:
            raise ValueError(f"{path} has {len(infos):,} members; at most {MAX_MEMBERS:,} are allowed")
        keys = [info.filename.removesuffix(".npy") for info in infos if info.filename.endswith(".npy")]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{path} holds an array twice")
    chosen = _choose(path, keys, key)
    header = _member_header(path, chosen)
    labels = next((name for name in LABELS if name in keys and name != chosen), None)
    alone = len(set(keys) - set(LABELS) - {chosen}) == 0
    if labels and not alone and _member_header(path, labels).shape[:1] != header.shape[:1]:
        labels = None  # those of another array
    return ArrayFile(path, chosen, header, labels)


def _choose(path: Path, keys: list[str], key: str | None) -> str:
    if key is not None:
        if key not in keys:
            raise ValueError(f"{path} has no array {key!r}; it has: {', '.join(keys) or 'none'}")
        return key
    others = [name for name in keys if name not in LABELS] or keys
    if len(others) == 1:
        return others[0]
    preferred = [name for name in PREFERRED if name in keys]
    if not preferred:
        found = f"holds several arrays: {', '.join(keys)}; name one as {path}:{keys[0]}" if keys else "holds no array"
        raise ValueError(f"{path} {found}")
    return preferred[0]


def _archive(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except FileNotFoundError:
        raise
    except DAMAGED as error:
        raise ValueError(f"{path} is no readable .npz archive ({error})") from error


def _member_header(path: Path, key: str) -> Header:
    """Read the header of a member, and hold it against the size that the archive declares."""
    name = f"{path}:{key}"
    with _archive(path) as archive:
        info = archive.getinfo(f"{key}.npy")
        if info.flag_bits & 1:
            raise ValueError(f"{name} is encrypted; unpack it first")
        try:
            with archive.open(info) as file:
                header = _header(name, file)
        except DAMAGED as error:
            if isinstance(error, ValueError) and str(error).startswith(name):
                raise
            raise ValueError(f"{name} cannot be read ({error})") from error
    _complete(name, header, info.file_size)
    return header


def _header(name: str, file: IO[bytes]) -> Header:
    """Read the header of an array without its values; Python objects, which would be unpickled, are refused."""
    try:
        version = np.lib.format.read_magic(file)
        shape, fortran, dtype = _HEADERS[version](file)
    except (ValueError, KeyError, EOFError) as error:
        raise ValueError(f"{name} is no array as numpy saves it ({' '.join(str(error).split())[:100]})") from error
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are never loaded; save it as an array of numbers")
    if any(side < 0 for side in shape):
        raise ValueError(f"{name} has shape {shape}, which no array has")
    if dtype.kind not in "iuf" or (dtype.kind == "f" and type_name(dtype) not in FLOATS):
        raise ValueError(f"{name} holds {dtype}; images are uint8 or floats, points are floats")
    return Header(shape, dtype, fortran, file.tell())


def _complete(name: str, header: Header, size: int) -> None:
    """Refuse an array that says another size than it has. Raises ValueError."""
    wanted = header.offset + header.nbytes
    if size != wanted:
        what = "is truncated" if size < wanted else "is longer than its header says"
        raise ValueError(
            f"{name} {what}: shape {header.shape} of {header.dtype} takes {wanted:,} bytes, it has {size:,}"
        )


def _start(path: Path, info: zipfile.ZipInfo) -> int:
    """Return where in the archive the bytes of an uncompressed member begin."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    return info.header_offset + _LOCAL_HEADER.size + name + extra


def _mapped(path: Path, header: Header, start: int) -> np.ndarray:
    order = "F" if header.fortran else "C"
    if not header.nbytes:
        return np.empty(header.shape, header.dtype)
    try:
        return np.memmap(path, header.dtype, "r", start + header.offset, header.shape, order)
    except ValueError as error:
        raise ValueError(f"{path} is truncated ({error})") from error


def _unpacked(name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: Header) -> np.ndarray:
    available = available_bytes()
    if available is not None and header.nbytes > available / 4:
        raise ValueError(
            f"{name} unpacks to {header.nbytes / 2**30:.1f} GiB, more than a quarter of the "
            f"{available / 2**30:.1f} GiB of memory available; save it as .npy, which is read in pieces"
        )
    try:
        with archive.open(info) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except DAMAGED as error:
        raise ValueError(f"{name} cannot be read ({error})") from error
