"""What a plugin author runs against a component, in a test of the plugin: `check_component`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from ganbench.testing.description import check_description, check_recipe, instance_of, kind_of, label_of
from ganbench.testing.fault import ComponentFault
from ganbench.testing.networks import check_architecture
from ganbench.testing.phases import check_augmentation, check_loss, check_regularizer
from ganbench.testing.rehearsal import Scene
from ganbench.testing.samples import check_baseline, check_dataset, check_extractor, check_metric
from ganbench.testing.trainers import check_trainer
from ganbench.testing.weights import check_constraint, check_optimizer
from ganbench.values import DataSpec

__all__ = ["ComponentFault", "check_component"]

_CHECKS: Mapping[str, Callable[[Any, Scene], None]] = MappingProxyType(
    {
        "architecture": check_architecture,
        "loss": check_loss,
        "regularizer": check_regularizer,
        "constraint": check_constraint,
        "augmentation": check_augmentation,
        "optimizer": check_optimizer,
        "dataset": check_dataset,
        "extractor": check_extractor,
        "metric": check_metric,
        "trainer": check_trainer,
        "baseline": check_baseline,
    }
)


def check_component(
    component: Any,
    *,
    kind: str | None = None,
    data: DataSpec | None = None,
    architecture: Any = None,
    root: Path | None = None,
) -> None:
    """Check a component, or the default instance of a component class, against the contract of its kind.

    ``kind`` is worked out from the class where it is left out. ``data`` is what an architecture draws, an extractor
    looks at or a baseline is fitted to; an architecture's ``smallest()`` stands in. Losses, regularizers and
    augmentations play both phases on ``architecture``, by default a small one with labels, a categorical code, an
    encoder, and a discriminator that fills every field of `ganbench.Critique`. ``root`` is where a dataset's files are.
    The global random state is left as it was.

    Raises:
        ComponentFault: the first thing found wrong, in one sentence.
    """
    kind_of_component = kind_of(component, kind)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        subject, smallest = instance_of(component)
        check_description(kind_of_component, subject)
        check_recipe(subject)
        before = repr(subject)
        _CHECKS[kind_of_component.name](subject, Scene(data or smallest, architecture, root))
    if repr(subject) != before:
        raise ComponentFault(f"{label_of(subject)} changed its own fields: from {before} to {subject!r}")
