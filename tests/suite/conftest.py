"""Plans from small suites of toys, and plugins that a test may edit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from ganbench.catalog import Catalog, load_catalog
from ganbench.suite.expand import expand
from ganbench.suite.plan import Plan
from ganbench.suite.search import Chosen
from ganbench.suite.source import validate

PLUGINS = Path(__file__).parents[1] / "plugins"
SMALL = MappingProxyType(
    {
        "name": "small",
        "datasets": ["blobs"],
        "architectures": ["tiny"],
        "losses": ["logistic"],
        "budget": {"images": 640},
    }
)
LOSS = '''
"""A loss that a test edits."""
from dataclasses import dataclass
from typing import ClassVar

import ganbench


@dataclass(frozen=True)
class Edited:
    """Half a loss."""

    weight: float = 1.0
    name: ClassVar[str] = "edited"
    paper: ClassVar[str] = "none"

    def discriminator(self, game):
        return self.weight * game.fake_logits.mean()

    def generator(self, game):
        return -game.fake_logits.mean()


@ganbench.hookimpl
def losses():
    return [Edited]
'''


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """Return the zoo, the toys and the mannered components."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GANBENCH_PLUGINS", raising=False)
        found = load_catalog([PLUGINS / "toys.py", PLUGINS / "mannered.py"])
    assert found.faults == ()
    return found


@pytest.fixture
def plan(catalog, tmp_path) -> Callable[..., Plan]:
    """Expand the smallest suite with changes to its keys; ``overrides`` are recipe keys of the command line."""

    def plan(
        overrides: dict[str, Any] | None = None,
        using: Catalog | None = None,
        chosen: Chosen | None = None,
        **changes: Any,
    ) -> Plan:
        table = {key: value for key, value in {**SMALL, **changes}.items() if value is not None}
        return expand(validate(table, "small.toml"), using or catalog, tmp_path, overrides, chosen)

    return plan


@pytest.fixture
def beside(catalog, monkeypatch) -> Callable[[Path], Catalog]:
    """Load a plugin beside those of `catalog`, which need not be read again."""
    monkeypatch.delenv("GANBENCH_PLUGINS", raising=False)

    def load(path: Path) -> Catalog:
        found = load_catalog([path])
        return Catalog({**catalog.entries, **found.entries}, catalog.suites, found.faults)

    return load


@pytest.fixture
def edited(beside, tmp_path) -> Callable[..., Catalog]:
    """Write the plugin of the loss `edited` with a change to its text, and load it."""

    def load(old: str = "", new: str = "") -> Catalog:
        path = tmp_path / "edited.py"
        path.write_text(LOSS.replace(old, new) if old else LOSS)
        return beside(path)

    return load
