"""The one error of `check_component`, and two ways to raise it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ganbench.errors import GanbenchError


class ComponentFault(GanbenchError):
    """A component breaks the contract of its kind; the message says where and how."""


def require(condition: bool, sentence: str) -> None:
    """Raise `ComponentFault` with ``sentence`` unless ``condition`` holds."""
    if not condition:
        raise ComponentFault(sentence)


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Turn whatever is raised inside into a `ComponentFault` that names ``what`` was being done."""
    try:
        yield
    except ComponentFault:
        raise
    except Exception as error:
        raise ComponentFault(f"{what} raised {type(error).__name__}: {error}") from error
