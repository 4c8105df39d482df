"""What all components have in common."""

from __future__ import annotations

from typing import ClassVar, Protocol

RESERVED = frozenset({"name", "label", "recipe", "regularizers", "constraints", "augmentations", "sweep"})
NAME_PATTERN = r"[a-z0-9][a-z0-9._+-]*"


class Component(Protocol):
    """What all components have in common."""

    name: ClassVar[str]
    paper: ClassVar[str]
