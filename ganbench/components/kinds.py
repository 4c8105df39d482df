"""The kinds of components, and what a component may leave out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ganbench.values import Cell, Companion, DataSpec

TRAITS: Mapping[str, Any] = MappingProxyType(
    {
        "recipe": MappingProxyType({}),
        "batch_coupling": "none",
        "offers": frozenset(),
        "phases": frozenset({"discriminator"}),
        "every": 1,
        "differentiates": frozenset(),
        "per_sample": False,
        "separable": False,
        "evaluations": 1,
        "formula": "",
        "equal_n": False,
        "published_name": None,
        "published_weights": None,
        "published_settings": MappingProxyType({}),
        "floor": None,
        "error_needs": frozenset(),
        "blind": frozenset(),
        "continuous": False,
        "standard": 0,
        "domains": None,
    }
)
"""What a component may leave out, and what then holds."""


OF_SAMPLES = frozenset({"style"})
OF_CRITIQUES = frozenset({"features", "class_logits", "codes", "embedding", "reconstruction"})
"""What an architecture may name in ``offers``: fields of the generator's `Sample`, of D's `Critique`."""


def trait(component: Any, name: str) -> Any:
    """Return the trait ``name`` of ``component``, or its default from `TRAITS`."""
    return getattr(component, name, TRAITS[name])


def offered(generator: Any, discriminator: Any | None) -> frozenset[str]:
    """Return what these architectures' networks give beyond images and logits, together."""
    of_images = trait(generator, "offers") & OF_SAMPLES
    return frozenset(of_images if discriminator is None else of_images | trait(discriminator, "offers") - OF_SAMPLES)


def companions(architecture: Any, data: DataSpec) -> Mapping[str, Companion]:
    """Return the architecture's companion networks, freshly built; most have none."""
    build = getattr(architecture, "companions", None)
    return build(data) if build else {}


def incompatibility(cell: Cell, optimizers: Sequence[Any] = ()) -> str | None:
    """Return the first reason that any component of ``cell`` gives against it, or None."""
    components = (cell.generator, cell.discriminator, cell.loss, *cell.regularizers, *cell.constraints)
    for component in (*components, *cell.augmentations, *optimizers):
        check = getattr(component, "compatible", None)
        reason = check(cell) if check else None
        if reason:
            return str(reason)
    return None


@dataclass(frozen=True)
class Kind:
    """One kind of component: the singular name, the hook that offers it, the methods that it must have."""

    name: str
    hook: str
    methods: tuple[str, ...]
    any_of: tuple[str, ...] = ()


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind("architecture", "architectures", ("latent", "generator", "discriminator", "smallest")),
            Kind("loss", "losses", (), ("discriminator", "generator")),
            Kind("regularizer", "regularizers", (), ("penalty", "select", "latents")),
            Kind("constraint", "constraints", ("__call__",)),
            Kind("augmentation", "augmentations", ("__call__",)),
            Kind("optimizer", "optimizers", ("build",)),
            Kind("dataset", "datasets", ("spec", "load")),
            Kind("extractor", "extractors", ("accepts", "available", "load")),
            Kind("trainer", "trainers", ("train",)),
            Kind("metric", "metrics", ("compute",)),
            Kind("baseline", "baselines", (), ("fit", "combination")),
        )
    }
)


def each_kind() -> Iterator[Kind]:
    """Yield the kinds in the order in which they are listed to people."""
    yield from KINDS.values()
