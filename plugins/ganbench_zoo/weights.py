"""Released weights: where their files lie, how they are fetched, and what of them is trusted.

A file is looked for at the extractor's parameter ``weights``, then at its environment variable, then in torch's hub
cache, into which the first use downloads it. In the cache only the released file is accepted, by its SHA-256; a
file that the user chose may hold other weights of the same shapes, and its own SHA-256 then stands in every protocol.

Only tensors are unpickled, never code. A TorchScript archive holds code, so it is opened only where its SHA-256 is the
known one.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ganbench import ExtractorUnavailable

COMMAND = "python -m ganbench_zoo.fetch"


@dataclass(frozen=True)
class Release:
    """The file of weights that the authors of ``extractor`` released; ``size`` in bytes.

    ``variable`` is the environment variable that may name a copy. ``files`` are the names under which it may lie in
    torch's hub cache, the first being the one that is downloaded. ``script`` is true for a TorchScript archive.
    """

    extractor: str
    variable: str
    url: str
    size: int
    sha256: str
    files: tuple[str, ...]
    script: bool = False


@dataclass(frozen=True)
class Location:
    """A path to weights and who named it; ``chosen`` where a user did, so that other weights are allowed there."""

    path: Path
    origin: str
    chosen: bool


@dataclass(frozen=True)
class Contents:
    """The tensors of a file by name, its SHA-256, and whether it is the released one."""

    state: dict[str, Tensor]
    sha256: str
    released: bool


def locate(release: Release, weights: str | None) -> Location:
    """Return the file that counts, there or not: ``weights``, else the variable, else the one in torch's hub cache."""
    if weights is not None:
        return Location(Path(weights).expanduser(), "the parameter weights", chosen=True)
    named = os.environ.get(release.variable)
    if named:
        return Location(Path(named).expanduser(), f"the variable {release.variable}", chosen=True)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    paths = [folder / name for name in release.files]
    path = next((path for path in paths if path.is_file()), paths[0])
    return Location(path, "torch's hub cache", chosen=False)


def absence(release: Release, location: Location) -> str | None:
    """Say that there is no file at ``location`` and what to do, or None; nothing is read."""
    if location.path.is_file():
        return None
    found = f"{release.extractor} has no weights here: {location.path} ({location.origin}) does not exist"
    command = f"{COMMAND} {release.extractor}"
    if location.chosen:
        return f"{found}; name a copy of the file there, or nothing and run '{command}' once"
    advice = f"run '{command}' once where there is a network ({release.size:,} bytes)"
    return f"{found}; {advice}, or set {release.variable} to a copy"


def fetch(release: Release, location: Location) -> None:
    """Download the file to ``location`` unless it is there; whole and of the known SHA-256, or not at all.

    Raises:
        ExtractorUnavailable: the location was chosen by the user, there is no network, or another file came.
    """
    reason = absence(release, location)
    if reason is None:
        return
    if location.chosen:
        raise ExtractorUnavailable(reason)
    from filelock import FileLock

    from ganbench_zoo.download import bounded

    try:
        location.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{location.path}.lock"), bounded():
            if not location.path.is_file():
                torch.hub.download_url_to_file(
                    release.url, str(location.path), hash_prefix=release.sha256, progress=sys.stderr.isatty()
                )
    except (OSError, RuntimeError) as error:
        raise ExtractorUnavailable(f"{reason} (downloading failed: {error})") from error


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def obtain(release: Release, location: Location) -> Contents:
    """Return what the file at ``location`` holds, downloading it where it is missing from the cache.

    Raises:
        ExtractorUnavailable: it is missing, or lies in the cache and is not the released one: truncated, or another.
        ValueError: it was chosen by the user and is no state dict of tensors.
    """
    fetch(release, location)
    try:
        found = file_sha256(location.path)
    except OSError as error:
        raise ValueError(f"{release.extractor}: {location.path} cannot be read ({error.strerror})") from error
    released = found == release.sha256
    if not released and not location.chosen:
        raise ExtractorUnavailable(
            f"{release.extractor}: {location.path} has SHA-256 {found}, the released weights {release.sha256}; "
            f"delete the file, and run '{COMMAND} {release.extractor}' once"
        )
    return Contents(_state(release, location.path, script=released and release.script), found, released)


def _state(release: Release, path: Path, script: bool) -> dict[str, Tensor]:
    refused = f"{release.extractor}: {path} is no file of torch weights (a state dict of tensors and nothing else)"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript ages, and that it may lie in a zip file
            found = torch.jit.load(path, "cpu").state_dict() if script else torch.load(path, "cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ValueError(refused) from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(refused)
    return dict(found)


def unfit(release: Release, location: Location, error: Exception) -> ValueError:
    """Return the error that says that the tensors at ``location`` are not those of the network, in one sentence."""
    said = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    said = said if len(said) <= 200 else f"{said[:197]}..."
    return ValueError(f"{release.extractor}: {location.path} does not hold this network's weights: {said}")
