"""ganbench: which GAN architecture and which adversarial loss is better, under one budget and one protocol?

This module is the public API for plugins: everything below may be imported from ``ganbench`` directly.
"""

from importlib.metadata import PackageNotFoundError, version

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
]
