# mypy: disable-error-code="empty-body"
"""The plugin contract: what a plugin may offer to ganbench, one hook a kind of component.

A plugin is a module. It implements any of these hooks with ``@ganbench.hookimpl`` and returns a sequence of component
classes; `ganbench.components` says what a component of each kind is. A plugin is found through an entry point of the
group ``ganbench`` (naming a module, or a package of which each module directly inside is a plugin), or through
``--plugins PATH`` or ``GANBENCH_PLUGINS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pluggy

PROJECT = "ganbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def architectures() -> Sequence[type]:
    """Return `Architecture` classes: a generator, a discriminator and the latent between them."""


@hookspec
def losses() -> Sequence[type]:
    """Return `Loss` classes: what each player minimises."""


@hookspec
def regularizers() -> Sequence[type]:
    """Return `Regularizer` classes: penalties added to a player's loss, sample selection, latent moves."""


@hookspec
def constraints() -> Sequence[type]:
    """Return `Constraint` classes: what is done to weights in place after a player's update."""


@hookspec
def augmentations() -> Sequence[type]:
    """Return `Augmentation` classes: differentiable changes to what the discriminator sees."""


@hookspec
def optimizers() -> Sequence[type]:
    """Return `Optimizer` classes: how a player moves along its gradient."""


@hookspec
def datasets() -> Sequence[type]:
    """Return `Dataset` classes: real data in named splits."""


@hookspec
def extractors() -> Sequence[type]:
    """Return `Extractor` classes: networks that turn images into features and class logits."""


@hookspec
def trainers() -> Sequence[type]:
    """Return `Trainer` classes: ways to make an extractor out of labelled data."""


@hookspec
def metrics() -> Sequence[type]:
    """Return `Metric` classes: functions of generated and real features."""


@hookspec
def baselines() -> Sequence[type]:
    """Return `Baseline` classes: reference rows that are no combination of architecture and loss."""


@hookspec
def suites() -> Sequence[Path]:
    """Return suite files, each a TOML file that ``ganbench run NAME`` finds by its stem."""
