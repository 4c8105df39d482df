"""Where the Inception weights of FID lie, and how they are fetched: ``python -m ganbench_zoo.inception``.

The file is the one that torch-fidelity downloads: Inception v3 of 2015-12-05, converted from TensorFlow. Its name holds
the first eight digits of its SHA-256; the whole of it stands below and is compared before the weights are trusted.
"""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ganbench import ExtractorUnavailable

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
BYTES = 95_628_359
VARIABLE = "GANBENCH_INCEPTION"
COMMAND = "python -m ganbench_zoo.inception"
PYTORCH_FID = "pt_inception-2015-12-05-6726825d.pth"


@dataclass(frozen=True)
class Location:
    """A path to the weights and who named it; ``chosen`` where a user did, so that other weights are allowed there."""

    path: Path
    origin: str
    chosen: bool


def locate(weights: str | None) -> Location:
    """Return the file that counts, there or not: ``weights``, else the environment variable, else torch's hub cache."""
    if weights is not None:
        return Location(Path(weights).expanduser(), "the parameter weights", chosen=True)
    if os.environ.get(VARIABLE):
        return Location(Path(os.environ[VARIABLE]).expanduser(), f"the variable {VARIABLE}", chosen=True)
    from torch.hub import get_dir

    folder = Path(get_dir()) / "checkpoints"
    other = folder / PYTORCH_FID
    path = folder / url().rsplit("/", 1)[-1]
    return Location(other if other.is_file() and not path.is_file() else path, "torch's hub cache", chosen=False)


def url() -> str:
    """Return the address from which torch-fidelity downloads the weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return str(URL_INCEPTION_V3)


def absence(location: Location) -> str | None:
    """Say that there is no file at ``location`` and what to do, or None."""
    if location.path.is_file():
        return None
    found = f"inception_v3 has no weights here: {location.path} ({location.origin}) does not exist"
    if location.chosen:
        return f"{found}; name a copy of the file there, or nothing and run '{COMMAND}' once"
    return f"{found}; run '{COMMAND}' once where there is a network ({BYTES:,} bytes), or set {VARIABLE} to a copy"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(location: Location) -> None:
    """Download the weights to ``location`` unless they are there; whole and of the known SHA-256, or not at all.

    Raises:
        ExtractorUnavailable: the location was chosen by the user, there is no network, or another file came.
    """
    reason = absence(location)
    if reason is None:
        return
    if location.chosen:
        raise ExtractorUnavailable(reason)
    from filelock import FileLock
    from torch.hub import download_url_to_file

    from ganbench_zoo.download import bounded

    try:
        location.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{location.path}.lock"), bounded():
            if not location.path.is_file():
                download_url_to_file(url(), str(location.path), hash_prefix=SHA256, progress=sys.stderr.isatty())
    except (OSError, RuntimeError) as error:
        raise ExtractorUnavailable(f"{reason} (downloading failed: {error})") from error


def main() -> None:
    """Fetch the weights into torch's hub cache and print where they lie."""
    location = locate(None)
    try:
        fetch(location)
    except ExtractorUnavailable as error:
        sys.exit(str(error))
    print(f"{location.path} (SHA-256 {file_sha256(location.path)})")


if __name__ == "__main__":
    main()
