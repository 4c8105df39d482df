"""Identity: the canonical form of a configuration and its SHA-256, the same on every machine and Python."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
import sys
from pathlib import Path
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
        path = _file_of(name)
        if name in files or path is None:
            continue
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        files[name] = hashlib.sha256(text.encode()).hexdigest()
        if root != "ganbench":
            inside = [found for found in _imported(name, text) if found.partition(".")[0] == root]
            pending.extend(sorted(inside))
    return digest(sorted(files.values()))


def _file_of(module: str) -> Path | None:
    """Return the source file of ``module``, loaded or not; None where it has none."""
    loaded = sys.modules.get(module)
    try:
        origin = loaded.__file__ if loaded else getattr(importlib.util.find_spec(module), "origin", None)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(origin) if origin and Path(origin).suffix == ".py" else None


def _imported(module: str, text: str) -> set[str]:
    """Name what ``module`` imports, wherever in its source: modules, and names that may be modules."""
    loaded = sys.modules.get(module)
    package = module if hasattr(loaded, "__path__") else module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (above, node.module) if part)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return names
