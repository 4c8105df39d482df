"""Features of real data, kept on disk under the content of everything that they depend on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
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

FORMAT = "1"
_FIELDS = ("mean", "covariance", "features", "logits", "labels", "modes", "deviations")


def content_hash(stored: Tensor | Rows) -> str:
    """Return the SHA-256 over dtype, shape and values of ``stored`` samples, or the fingerprint of `Rows`."""
    if not isinstance(stored, Tensor):
        return stored.fingerprint
    stored = stored.detach().cpu().contiguous()
    head = f"{stored.dtype} {tuple(stored.shape)} ".encode()
    sha = hashlib.sha256(head)
    sha.update(stored.flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


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

    def get(self, key: Mapping[str, Any], compute: Callable[[], FeatureStore]) -> FeatureStore:
        """Return the store of ``key`` (anything that JSON can hold), from the folder or from ``compute``.

        Raises:
            GanbenchError: the file was truncated, changed, or belongs to another key.
        """
        with self._lock(key):
            found = self.load(key)
            if found is not None:
                return found
            store = compute()
            try:
                self.save(key, store)
            except OSError:  # a full or read-only disk costs time, not the score
                return store
            return store

    def load(self, key: Mapping[str, Any]) -> FeatureStore | None:
        """Return the store of ``key``, or None where the folder has none.

        Raises:
            GanbenchError: the file was truncated, changed, or belongs to another key.
        """
        path = self.path(key)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError) as error:
            raise _refused(path, f"it cannot be read ({error})") from error
        if metadata.get("format") != FORMAT or metadata.get("key") != canonical(key).decode():
            raise _refused(path, "it was written for something else than its name says")
        if metadata.get("sha256") != _checksum(tensors):
            raise _refused(path, "its checksum does not match its values")
        store = _store(metadata, tensors)
        reason = _unsound(store)
        if reason:
            raise _refused(path, reason)
        return store

    def save(self, key: Mapping[str, Any], store: FeatureStore) -> None:
        """Write ``store`` under ``key``, whole or not at all.

        Raises:
            OSError: the folder cannot be written.
        """
        values = {name: getattr(store, name) for name in _FIELDS}
        tensors = {name: value.contiguous() for name, value in values.items() if value is not None}
        metadata = {
            "format": FORMAT,
            "key": canonical(key).decode(),
            "count": str(store.count),
            "nonfinite": str(store.nonfinite),
            "sha256": _checksum(tensors),
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


def _refused(path: Path, reason: str) -> GanbenchError:
    return GanbenchError(f"cached reference features {path} are refused: {reason}; delete the file to compute it anew")


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    return digest({name: content_hash(value) for name, value in tensors.items()})


def _store(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> FeatureStore:
    values = {name: tensors.get(name) for name in _FIELDS}
    return FeatureStore(count=int(metadata["count"]), nonfinite=int(metadata["nonfinite"]), **values)


def _unsound(store: FeatureStore) -> str | None:
    """Say why ``store`` cannot be what a pass left behind, or None."""
    for name in ("features", "logits"):
        rows = getattr(store, name)
        if rows is not None and not torch.isfinite(rows).all():
            return f"its {name} are not finite"
    mean, covariance = store.mean, store.covariance
    if mean is None or covariance is None:
        return None if mean is covariance else "it holds only half of the moments"
    if mean.dim() != 1 or covariance.shape != (len(mean), len(mean)):
        return f"its moments have shapes {tuple(mean.shape)} and {tuple(covariance.shape)}"
    if store.count - store.nonfinite < 2:
        return None
    if not (torch.isfinite(mean).all() and torch.isfinite(covariance).all()):
        return "its moments are not finite"
    slack = 1e-10 * covariance.trace().clamp(min=torch.finfo(torch.float64).tiny)
    ridge = slack * torch.eye(len(mean), dtype=covariance.dtype)
    if not torch.equal(covariance, covariance.T) or int(torch.linalg.cholesky_ex(covariance + ridge).info):
        return "its covariance is not symmetric positive semi-definite"
    return None
