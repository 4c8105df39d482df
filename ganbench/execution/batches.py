"""Batches from a program: a function in a file, or anything iterable, until enough samples have come.

What comes is written to a temporary file (in the folder that TMPDIR names) and read from there: memory does not grow
with the number of samples, and the set has an end before it is scored.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import sys
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganbench.errors import DatasetError, did_you_mean
from ganbench.stored import Form, content_sha, dtype_name, form_of
from ganbench.values import DataSpec, ImageSpec

CHUNK_BYTES = 2**24


class MappedRows:
    """Stored samples in a temporary file, which lasts as long as this object: `ganbench.values.Rows`."""

    def __init__(self, values: np.ndarray[Any, Any], data: DataSpec) -> None:
        self._values, self.data = values, data

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return torch.from_numpy(np.asarray(self._values[rows.numpy()]))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over type, shape and values."""
        step = max(1, CHUNK_BYTES // max(1, self._values[:1].nbytes))
        starts = range(0, len(self), step)
        return content_sha(self.data, len(self), (self[torch.arange(i, min(i + step, len(self)))] for i in starts))


class Spool:
    """Writes stored samples to a temporary file as they come; a context manager that closes it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="ganbench-")  # noqa: SIM115  closed by __exit__
        self.count = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, stored: Tensor) -> None:
        """Write samples (n, ...) after those that are there."""
        self._file.write(stored.cpu().contiguous().numpy().data)
        self.count += len(stored)

    def rows(self, data: DataSpec) -> MappedRows:
        """Return what was written, which outlasts this object."""
        self._file.flush()
        dtype = np.uint8 if isinstance(data, ImageSpec) else np.float32
        return MappedRows(np.memmap(self._file, dtype, "r", shape=(self.count, *data.shape)), data)


def collect(
    batches: Iterable[Any],
    name: str,
    limit: int,
    value_range: tuple[float, float] | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> tuple[MappedRows, Form]:
    """Return the first ``limit`` samples of ``batches`` (fewer where they end before), stored, and how they came.

    ``name`` says whose batches they are, ``tell`` is told how many samples there are after each.

    Raises:
        DatasetError: a batch is no tensor or array of samples, is unlike the first, or holds what cannot be stored;
            or there is no sample at all.
    """
    form: Form | None = None
    lowest = math.inf
    with Spool() as spool:
        for number, batch in enumerate(batches, start=1):
            try:
                tensor = as_tensor(batch, f"batch {number} of {name}")
                here = form_of(f"batch {number} of {name}", tuple(tensor.shape), dtype_name(tensor.dtype), value_range)
                form = form or here
                if (here.data, here.floats) != (form.data, form.floats):
                    raise ValueError(f"{here.name} has {_kind(here)}, the first one {_kind(form)}")
                spool.add(here.store(tensor)[: limit - spool.count])
            except ValueError as error:
                raise DatasetError(str(error)) from error
            lowest = min(lowest, here.lowest(tensor))
            tell(spool.count)
            if spool.count >= limit:
                break
        if form is None or not spool.count:
            raise DatasetError(f"{name} gave no samples; it must give batches of them, (N, ...)")
        form = replace(form, name=name)
        try:
            form.check_lowest(lowest)
        except ValueError as error:
            raise DatasetError(str(error)) from error
        return spool.rows(form.data), form


def as_tensor(batch: Any, name: str) -> Tensor:
    """Return a tensor or array as a tensor on the CPU, without copying where that can be.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(batch, Tensor):
        return batch.detach().cpu()
    if isinstance(batch, np.ndarray) and batch.dtype.kind in "biuf":
        native = batch.astype(batch.dtype.newbyteorder("="), copy=False)
        return torch.from_numpy(native if native.flags.writeable else native.copy())
    found = f"an array of {batch.dtype}" if isinstance(batch, np.ndarray) else type(batch).__name__
    raise ValueError(f"{name} is {found}; wanted are tensors or arrays: uint8 images, floats in [-1, 1], or points")


def call_function(path: Path, function: str) -> Generator[Any]:
    """Yield what ``function`` of the Python file at ``path`` yields; what it prints goes to stderr.

    Raises:
        DatasetError: the file or the function is not there, raises, or gives nothing that can be iterated.
    """
    name = f"{path}:{function}"
    if not path.is_file():
        raise DatasetError(f"{path} does not exist; {name} must name a function in a Python file")
    with _as_script(path), _blaming(name):
        module = _load(path)
        found = getattr(module, function, None)
        if not callable(found):
            known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            what = "has no function" if found is None else "holds something else than a function as"
            raise DatasetError(f"{path} {what} {function!r}{did_you_mean(function, known)}")
        given = found()
        if isinstance(given, Tensor | np.ndarray | str | bytes | dict) or not isinstance(given, Iterable):
            raise DatasetError(f"{name} returned {type(given).__name__}; it must yield batches: tensors or arrays")
        yield from given


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ganbench_function_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise DatasetError(f"{path} cannot be read as a Python module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _as_script(path: Path) -> Iterator[None]:
    """Let the file import its neighbours, as it could if it were run, and keep its prints out of the results."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


@contextlib.contextmanager
def _blaming(name: str) -> Iterator[None]:
    try:
        yield
    except (DatasetError, GeneratorExit):
        raise
    except (Exception, SystemExit) as error:  # a stranger's code
        raise DatasetError(f"{name} raised {type(error).__name__}: {error}") from error


def _kind(form: Form) -> str:
    return f"{'floats' if form.floats else 'uint8'} of shape (N, {', '.join(map(str, form.data.shape))})"
