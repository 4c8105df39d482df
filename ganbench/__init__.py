"""ganbench: which GAN architecture and which adversarial loss is better, under one budget and one protocol?

This module is the public API: everything below may be imported from ``ganbench`` directly. `score` is for users, the
rest for plugins.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from ganbench.components import Game
from ganbench.errors import ExtractorUnavailable, GanbenchError
from ganbench.hookspecs import hookimpl
from ganbench.values import (
    Cell,
    Companion,
    Critique,
    DataSpec,
    Features,
    FeatureStore,
    Images,
    ImageSpec,
    Latent,
    Measured,
    Networks,
    PointSpec,
    Sample,
)

if TYPE_CHECKING:
    from ganbench.api import score

try:
    __version__ = version("ganbench")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"

__all__ = [
    "Cell",
    "Companion",
    "Critique",
    "DataSpec",
    "ExtractorUnavailable",
    "FeatureStore",
    "Features",
    "Game",
    "GanbenchError",
    "ImageSpec",
    "Images",
    "Latent",
    "Measured",
    "Networks",
    "PointSpec",
    "Sample",
    "hookimpl",
    "score",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Load `score` when it is first asked for, since it brings torch with it."""
        if name != "score":
            raise AttributeError(f"module 'ganbench' has no attribute {name!r}")
        from ganbench.api import score

        globals()["score"] = score
        return score
