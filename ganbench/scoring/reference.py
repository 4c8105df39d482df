"""Features of real data, kept on disk under the content of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ganbench.errors import GanbenchError
from ganbench.files import write_atomically
from ganbench.folders import cache_folder
from ganbench.identity import canonical, digest
from ganbench.values import FeatureStore, Rows

FORMAT = 2
"""Raised when what a file holds changes its meaning: files of an older format are computed anew."""
_ROWS = {
    "features": torch.float32,
    "logits": torch.float32,
    "labels": torch.int64,
    "modes": torch.int64,
    "deviations": torch.float64,
}
_FIELDS = ("mean", "covariance", *_ROWS)


def content_hash(stored: Tensor | Rows) -> str:
    """Return the SHA-256 over dtype, shape and values of ``stored`` samples, or the fingerprint of `Rows`."""
    if not isinstance(stored, Tensor):
        return stored.fingerprint
    stored = stored.detach().cpu().contiguous()
    head = f"{stored.dtype} {tuple(stored.shape)} ".encode()
    sha = hashlib.sha256(head)
    sha.update(stored.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


@dataclass(frozen=True)
class Header:
    """What a file says of itself: its key, what it was called when it was written, the rows seen, what is held."""

    format: int
    key: Mapping[str, Any]
    label: str
    count: int
    nonfinite: int
    sha256: str
    held: tuple[str, ...]


class ReferenceCache:
    """A folder of feature stores, one safetensors file a key; the key stands in the file and is compared on load.

    Many processes may share it: files are whole or absent, and a store that several want is computed by one of them.
    Where the folder cannot be written, stores are computed each time.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or cache_folder()) / "reference"

    def path(self, key: Mapping[str, Any]) -> Path:
        """Return the file that holds, or would hold, the store of ``key``."""
        return self.folder / f"{digest(key)}.safetensors"

    def get(self, key: Mapping[str, Any], compute: Callable[[], FeatureStore], label: str = "") -> FeatureStore:
        """Return the store of ``key`` (anything that JSON can hold), from the folder or from ``compute``.

        ``label`` is what ``ganbench cache list`` calls it; no part of its identity.

        Raises:
            GanbenchError: the file was truncated, changed, or belongs to another key.
        """
        with self._lock(key):
            found = self.load(key)
            if found is not None:
                return found
            store = compute()
            try:
                self.save(key, store, label)
            except (OSError, SafetensorError):  # a full or read-only disk costs time, not the score
                return store
            return store

    def load(self, key: Mapping[str, Any]) -> FeatureStore | None:
        """Return the store of ``key``, or None where the folder has none, or one of an older format.

        Raises:
            GanbenchError: the file was truncated, changed, or belongs to another key.
        """
        path = self.path(key)
        if not path.exists():
            return None
        header = read_header(path)
        if header.format < FORMAT:
            return None
        if canonical(header.key) != canonical(key):
            raise refused(path, "it was written for something else than its name says")
        return read_store(path, header)

    def save(self, key: Mapping[str, Any], store: FeatureStore, label: str = "") -> None:
        """Write ``store`` under ``key``, whole or not at all.

        Raises:
            OSError: the folder cannot be written.
            SafetensorError: the disk is full.
        """
        values = {name: getattr(store, name) for name in _FIELDS}
        tensors = {name: value.contiguous() for name, value in values.items() if value is not None}
        metadata = {
            "format": str(FORMAT),
            "key": canonical(key).decode(),
            "label": label,
            "count": str(store.count),
            "nonfinite": str(store.nonfinite),
            "sha256": _checksum(tensors, store.count, store.nonfinite),
        }
        write_atomically(self.path(key), lambda temporary: save_file(tensors, temporary, metadata))

    def _lock(self, key: Mapping[str, Any]) -> AbstractContextManager[Any]:
        """Return a lock on ``key`` between processes, or none where the folder cannot be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return nullcontext()
        if not os.access(self.folder, os.W_OK):
            return nullcontext()
        return FileLock(self.path(key).with_suffix(".lock"))


def read_header(path: Path) -> Header:
    """Return what the file at ``path`` says of itself, without reading its values.

    Raises:
        GanbenchError: it is truncated, none of ours, or of a later format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata, held = file.metadata() or {}, tuple(file.keys())
    except (SafetensorError, OSError) as error:
        raise refused(path, f"it cannot be read ({error})") from error
    try:
        header = Header(
            format=int(metadata["format"]),
            key=dict(json.loads(metadata["key"])),
            label=metadata.get("label", ""),
            count=int(metadata["count"]),
            nonfinite=int(metadata["nonfinite"]),
            sha256=metadata["sha256"],
            held=held,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise refused(path, "ganbench did not write it") from error
    if header.format > FORMAT:
        raise refused(path, f"it is of format {header.format}, and this version of ganbench reads format {FORMAT}")
    return header


def read_store(path: Path, header: Header) -> FeatureStore:
    """Return the store in the file at ``path``, once its values are what they were when they were written.

    Raises:
        GanbenchError: they are not, or they cannot be what a pass leaves behind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            # copied to where torch aligns memory: the last bits of a product depend on that
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise refused(path, f"it cannot be read ({error})") from error
    if header.sha256 != _checksum(tensors, header.count, header.nonfinite):
        raise refused(path, "its checksum does not match its values")
    if set(tensors) - set(_FIELDS):
        raise refused(path, f"it holds {', '.join(sorted(set(tensors) - set(_FIELDS)))}, which is no part of a store")
    store = FeatureStore(header.count, header.nonfinite, **{name: tensors.get(name) for name in _FIELDS})
    reason = _unsound(store)
    if reason:
        raise refused(path, reason)
    return store


def refused(path: Path, reason: str) -> GanbenchError:
    """Return the error that says why a cached file is not taken and what to do."""
    return GanbenchError(f"cached reference features {path} are refused: {reason}; delete the file to compute it anew")


def _checksum(tensors: Mapping[str, Tensor], count: int, nonfinite: int) -> str:
    return digest([count, nonfinite, {name: content_hash(value) for name, value in tensors.items()}])


def _unsound(store: FeatureStore) -> str | None:
    """Say why ``store`` cannot be what a pass left behind, or None."""
    if not 0 <= store.nonfinite <= store.count:
        return f"{store.nonfinite} of its {store.count} rows are not finite"
    return _unsound_rows(store) or _unsound_moments(store)


def _unsound_rows(store: FeatureStore) -> str | None:
    lengths = set()
    for name, dtype in _ROWS.items():
        rows = getattr(store, name)
        if rows is None:
            continue
        if rows.dtype != dtype or rows.dim() != (2 if name in ("features", "logits") else 1):
            return f"its {name} are {rows.dtype} of shape {tuple(rows.shape)}"
        if dtype.is_floating_point and not torch.isfinite(rows).all():
            return f"its {name} are not finite"
        lengths.add(len(rows))
    if len(lengths) > 1 or any(length > store.count - store.nonfinite for length in lengths):
        return f"it holds {' and '.join(map(str, sorted(lengths)))} rows of {store.count - store.nonfinite}"
    return None


def _unsound_moments(store: FeatureStore) -> str | None:
    mean, covariance = store.mean, store.covariance
    if mean is None or covariance is None:
        return None if mean is covariance else "it holds only half of the moments"
    if mean.dim() != 1 or covariance.shape != (len(mean), len(mean)):
        return f"its moments have shapes {tuple(mean.shape)} and {tuple(covariance.shape)}"
    if any(value.dtype != torch.float64 for value in (mean, covariance)):
        return f"its moments are {mean.dtype} and {covariance.dtype}"
    if store.count - store.nonfinite < 2:
        return None
    if not (torch.isfinite(mean).all() and torch.isfinite(covariance).all()):
        return "its moments are not finite"
    slack = 1e-10 * covariance.trace().clamp(min=torch.finfo(torch.float64).tiny)
    ridge = slack * torch.eye(len(mean), dtype=covariance.dtype)
    skew = (covariance - covariance.T).abs().max()
    if skew > slack or int(torch.linalg.cholesky_ex(covariance + ridge).info):
        return "its covariance is not symmetric positive semi-definite"
    return None
