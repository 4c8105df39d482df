"""What the catalog's tests share: a catalog of given paths alone, and a writer of small plugins."""

from __future__ import annotations

import importlib.metadata
import textwrap
from pathlib import Path

import pytest

from ganbench.catalog import load_catalog

PLUGINS = Path(__file__).parent.parent / "plugins"

LOSS = '''
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass(frozen=True)
class {title}:
    """{summary}"""

    name: ClassVar[str] = "{name}"
    paper: ClassVar[str] = "{paper}"

    weight: float = 1.0

    def generator(self, game):
        return -self.weight * game.fake_logits.mean()


@hookimpl
def losses():
    return [{title}]
'''


@pytest.fixture
def alone(monkeypatch):
    """Take away the installed plugins and the environment's."""
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: ())
    monkeypatch.delenv("GANBENCH_PLUGINS", raising=False)


@pytest.fixture
def plugins_folder() -> Path:
    return PLUGINS


@pytest.fixture
def broken(alone):
    """Return the catalog of the folder of broken plugins."""
    return load_catalog([PLUGINS / "broken"])


@pytest.fixture
def write_loss():
    """Write a plugin of one loss and return its path."""

    def write(path: Path, name: str, summary: str = "A loss.", paper: str = "arXiv:1406.2661") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = LOSS.format(title=name.title().replace("_", ""), name=name, summary=summary, paper=paper)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write
