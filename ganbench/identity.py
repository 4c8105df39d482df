"""Identity: the canonical form of a configuration and its SHA-256, the same on every machine and Python."""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def canonical(value: Any) -> bytes:
    """Return ``value`` as canonical JSON: sorted keys, no spaces, UTF-8.

    Raises:
        ValueError: ``value`` holds NaN, an infinity or something that JSON cannot hold.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical form of ``value`` as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


@functools.cache
def source_digest(component: type) -> str:
    """Return the SHA-256 of the source that defines ``component``: its module and what that imports from its package.

    Editing a component, or a building block that it shares, gives another digest; it is taken once for each class, so
    that an edit during a run changes nothing that is already loaded. The core is not part of it: its version belongs
    to the environment.
    """
    root = component.__module__.partition(".")[0]
    pending, files = [component.__module__], dict[str, str]()
    while pending:
        name = pending.pop()
        module = sys.modules.get(name)
        path = getattr(module, "__file__", None)
        if name in files or module is None or path is None:
            continue
        text = Path(path).read_text(encoding="utf-8").replace("\r\n", "\n")
        files[name] = hashlib.sha256(text.encode()).hexdigest()
        if root != "ganbench":
            pending.extend(sorted(_imported(module, root)))
    return digest(sorted(value for key, value in files.items()))


def _imported(module: ModuleType, root: str) -> set[str]:
    """Name the modules of the package ``root`` from which ``module`` holds a module, a class or a function."""
    names = {
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        for value in vars(module).values()
    }
    return {name for name in names if isinstance(name, str) and (name == root or name.startswith(f"{root}."))}
