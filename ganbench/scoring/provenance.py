"""What a score is called, and the protocol that its number depends on.

``fid``, ``is`` and ``kid`` mean one network with its published weights, and nothing else. Any other extractor gives
``fd/<extractor>``. A column of a table is a (name, protocol id) pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ganbench.components import Extractor, FeatureNetwork, Metric, trait
from ganbench.errors import GanbenchError, UnknownComponent, did_you_mean
from ganbench.identity import digest

PUBLISHED_SAMPLES = 50_000
"""Generated samples that a bare published name stands for."""


def resolve_metric(requested: str, metrics: Iterable[type[Metric]]) -> tuple[type[Metric], dict[str, Any]]:
    """Find the metric class that ``requested`` names, by its own name or by its published one.

    Returns the class and the parameters that the name implies: a published name fixes the published estimator
    (``is`` is the mean over ten splits), the component's own name none.

    Raises:
        UnknownComponent: no class has this name.
        GanbenchError: two classes claim it.
    """
    claims: dict[str, list[tuple[type[Metric], dict[str, Any]]]] = {}
    for metric in metrics:
        claims.setdefault(metric.name, []).append((metric, {}))
        name = trait(metric, "published_name")
        if name and name != metric.name:
            claims.setdefault(name, []).append((metric, dict(trait(metric, "published_settings"))))
    found = claims.get(requested, [])
    if not found:
        raise UnknownComponent(f"unknown metric {requested!r}{did_you_mean(requested, claims)}")
    if len(found) > 1:
        raise GanbenchError(
            f"metric {requested!r} is claimed by {' and '.join(cls.__qualname__ for cls, _ in found)}; "
            f"ask for one by its own name"
        )
    return found[0]


def published(metric: Metric, network: FeatureNetwork) -> str | None:
    """Return the published name that a score of ``metric`` on ``network`` may bear, or None.

    Three things must hold: the network says that it is the canonical one, its weights are those that the metric names,
    and the metric's settings are the published ones.
    """
    name, weights = trait(metric, "published_name"), trait(metric, "published_weights")
    if not (name and weights and network.canonical):
        return None
    if network.provenance.get("weights_sha256") != weights:
        return None
    own = asdict(metric)  # type: ignore[call-overload]  # every component is a dataclass
    if any(own.get(key) != value for key, value in trait(metric, "published_settings").items()):
        return None
    return str(name)


def metric_name(metric: Metric, extractor: Extractor, network: FeatureNetwork, forced: bool, samples: int) -> str:
    """Return the full name of a score: ``fid``, ``fid@10k``, ``fd/digits_cnn`` or ``fd/digits_cnn!forced``."""
    name = None if forced else published(metric, network)
    if name is None:
        return f"{metric.name}/{extractor.name}{'!forced' if forced else ''}"
    return name if samples == PUBLISHED_SAMPLES else f"{name}@{_thousands(samples)}"


def metric_label(metric: Metric, extractor: Extractor, network: FeatureNetwork, forced: bool, samples: int) -> str:
    """Return the name of a score for people: ``FID``, ``FID@10k``, ``FD (digits_cnn)``, ``Precision (digits_cnn)``."""
    full = metric_name(metric, extractor, network, forced, samples)
    if "/" not in full:
        name, at, count = full.partition("@")
        return f"{name.upper()}{at}{count}"
    own = metric.name.upper() if len(metric.name) <= 3 else metric.name.replace("_", " ").capitalize()
    return f"{own} ({extractor.name}{', forced' if forced else ''})"


def check_requested(
    requested: str, metric: Metric, extractor: Extractor, network: FeatureNetwork, forced: bool
) -> None:
    """Refuse a published name that this extractor cannot give; there is no falling back to another name.

    Raises:
        GanbenchError: ``requested`` is the metric's published name and the network is not the published one.
    """
    if requested == metric.name or requested != trait(metric, "published_name"):
        return
    if not forced and published(metric, network) == requested:
        return
    given = metric_name(metric, extractor, network, forced, PUBLISHED_SAMPLES)
    raise GanbenchError(
        f"metric {requested!r} was asked for, but that name belongs to one network with its published weights and "
        f"settings, and extractor {extractor.name!r} is not it; ask for {metric.name!r}, which gives {given!r}"
    )


@dataclass(frozen=True)
class Rows:
    """How many rows of each side a metric sees: ``generated`` and ``reference``."""

    generated: int
    reference: int


def rows_of(metric: Metric, generated: int, reference: int, cap: int) -> Rows:
    """Return how many rows ``metric`` sees of sets of these sizes when ``cap`` rows of features are kept."""
    if metric.needs & {"features", "logits"}:
        generated, reference = min(generated, cap), min(reference, cap)
    if trait(metric, "equal_n"):
        generated = reference = min(generated, reference)
    return Rows(generated, reference)


def protocol_of(
    metric: Metric,
    extractor: Mapping[str, Any],
    reference: Mapping[str, Any],
    generated: Mapping[str, Any],
    rows: Rows,
    seed: int,
) -> dict[str, Any]:
    """Return all that a score depends on besides the samples themselves, as JSON.

    ``extractor`` holds name, forced and the network's provenance; ``reference`` and ``generated`` say how the sets came
    about. Devices, batch sizes and versions are stored elsewhere: they must not change a score.
    """
    settings = getattr(metric, "settings", None)
    estimator = settings(min(rows.generated, rows.reference)) if settings else asdict(metric)  # type: ignore[call-overload]
    return {
        "metric": {"name": metric.name, "version": metric.version},
        "estimator": dict(estimator),
        "extractor": dict(extractor),
        "reference": {**reference, "n": rows.reference, "flips": False, "rows": "first of a permutation from the seed"},
        "generated": {**generated, "n": rows.generated},
        "seed": seed,
    }


def protocol_id(protocol: Mapping[str, Any]) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the canonical JSON of ``protocol``."""
    return digest(protocol)[:16]


def _thousands(samples: int) -> str:
    return f"{samples // 1000}k" if samples >= 10_000 and samples % 1000 == 0 else str(samples)
