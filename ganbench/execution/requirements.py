"""What a job asks for by name, found and made ready, or refused in a sentence before anything trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.catalog import Catalog
from ganbench.components import Extractor, Metric, Truth, trait
from ganbench.errors import DatasetError, ExtractorUnavailable, SuiteError
from ganbench.scoring.provenance import resolve_metric
from ganbench.suite.assemble import component
from ganbench.suite.parameters import instantiate
from ganbench.suite.plan import PlannedDataset
from ganbench.suite.terms import parse_term
from ganbench.values import DataSpec, Images


@dataclass(frozen=True)
class Splits:
    """A loaded dataset: what GANs see, what they are compared with, and its modes where it knows them."""

    spec: DataSpec
    domain: str
    train: Images
    test: Images
    truth: Truth | None = None


def load_splits(catalog: Catalog, planned: PlannedDataset, data_root: Path) -> Splits:
    """Return the splits of a dataset that GANs see and are compared with.

    Raises:
        DatasetError: it is missing, truncated, or of mixed sizes.
    """
    dataset = component(catalog, "dataset", planned.component)
    try:
        spec = dataset.spec(data_root)
        train, test = (dataset.load(data_root, split) for split in ("train", "test"))
        truth = dataset.truth(data_root) if hasattr(dataset, "truth") else None
    except (ValueError, OSError) as error:
        raise DatasetError(f"dataset {planned.label!r}: {error}") from error
    except Exception as error:  # a stranger's dataset
        raise DatasetError(f"dataset {planned.label!r} raised {type(error).__name__}: {error}") from error
    return Splits(spec, dataset.domain, train, test, truth)


def find_metric(catalog: Catalog, text: str) -> Metric:
    """Return the metric that ``text`` asks for: by its own name, perhaps with parameters, or by its published one.

    Raises:
        UnknownComponent: there is none of that name.
        SuiteError: its parameters are wrong.
    """
    term = parse_term(text)
    metric, implied = resolve_metric(term.name, [entry.component for entry in catalog.of_kind("metric")])
    found: Metric = instantiate(catalog.find("metric", metric.name), implied | term.parameters)
    return found


def find_component(catalog: Catalog, kind: str, text: str) -> Any:
    """Return the component of ``kind`` that ``text`` asks for: its name, perhaps with parameters.

    Raises:
        UnknownComponent: there is none of that name.
        SuiteError: the text is no single component, or its parameters are wrong.
    """
    term = parse_term(text)
    if term.extras:
        raise SuiteError(f"cannot read {text!r} as one {kind}; nothing can be added with + here")
    return instantiate(catalog.find(kind, term.name), term.parameters)


def usable_extractor(catalog: Catalog, described: Mapping[str, Any], splits: Splits) -> Extractor:
    """Return the extractor that ``described`` describes, once it says that it can be used here.

    Raises:
        ExtractorUnavailable: it cannot; the sentence lists those that can be used on this data.
    """
    extractor: Extractor = component(catalog, "extractor", described)
    require_usable(catalog, extractor, splits.spec, splits.domain)
    return extractor


def require_usable(catalog: Catalog, extractor: Extractor, data: DataSpec, domain: str) -> None:
    """Refuse an extractor that cannot be used here now.

    Raises:
        ExtractorUnavailable: it says why; the sentence lists those that can be used on such data.
    """
    reason = extractor.available()
    if reason is None:
        return
    usable = []
    for entry in catalog.of_kind("extractor"):
        other = instantiate(entry, {})
        domains = trait(other, "domains")
        if other.available() is None and other.accepts(data) is None:
            usable.append(
                entry.name if domains is None or domain in domains else f"{entry.name} (with --force-extractor)"
            )
    advice = f"usable here: {', '.join(usable)}" if usable else "no other extractor is usable on this data here"
    raise ExtractorUnavailable(f"extractor {extractor.name!r} cannot be used: {reason}; {advice}")
