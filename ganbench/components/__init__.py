"""What a component is, kind by kind: the protocols that plugins satisfy.

A component is a frozen dataclass. Its fields are hyperparameters with the paper's values as defaults; ``name`` and
``paper`` (an arXiv id or a reference) are class variables. Fields called like a key of `RESERVED` are a fault. A
component raises ``ValueError`` from ``__post_init__`` for a value out of range.

The protocols list what is required. What may be left out, and what then holds, is in `TRAITS`, read by `trait`.
"""

from ganbench.components.base import NAME_PATTERN, RESERVED, Component
from ganbench.components.data import Baseline, Combination, Dataset, Lesson, Sampler, Trainer, Truth
from ganbench.components.kinds import (
    KINDS,
    OF_CRITIQUES,
    OF_SAMPLES,
    TRAITS,
    Kind,
    companions,
    each_kind,
    incompatibility,
    offered,
    trait,
)
from ganbench.components.scoring import (
    NEEDS,
    Extractor,
    FeatureNetwork,
    LeftOut,
    Metric,
    MetricContext,
    Neighbours,
    Synthesis,
)
from ganbench.components.training import Architecture, Augmentation, Constraint, Game, Loss, Optimizer, Regularizer

__all__ = [
    "KINDS",
    "NAME_PATTERN",
    "NEEDS",
    "OF_CRITIQUES",
    "OF_SAMPLES",
    "RESERVED",
    "TRAITS",
    "Architecture",
    "Augmentation",
    "Baseline",
    "Combination",
    "Component",
    "Constraint",
    "Dataset",
    "Extractor",
    "FeatureNetwork",
    "Game",
    "Kind",
    "LeftOut",
    "Lesson",
    "Loss",
    "Metric",
    "MetricContext",
    "Neighbours",
    "Optimizer",
    "Regularizer",
    "Sampler",
    "Synthesis",
    "Trainer",
    "Truth",
    "companions",
    "each_kind",
    "incompatibility",
    "offered",
    "trait",
]
