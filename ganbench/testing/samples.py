"""Checks what deals in stored samples and features: datasets, baselines, extractors, metrics."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganbench.components import NEEDS, Combination, trait
from ganbench.identity import canonical
from ganbench.scoring.context import Context, Given
from ganbench.scoring.moments import Moments
from ganbench.testing.description import check_recipe, label_of
from ganbench.testing.fault import ComponentFault, blaming, require
from ganbench.testing.networks import check_architecture
from ganbench.testing.phases import check_loss
from ganbench.testing.rehearsal import Scene
from ganbench.values import DataSpec, Features, FeatureStore, Images, ImageSpec, Latent, Measured, PointSpec

_SPECS: tuple[DataSpec, ...] = (
    *(ImageSpec((c, s, s), classes=10) for s in (16, 28, 32, 64) for c in (1, 3)),
    PointSpec((2,)),
)
_ROWS, _WIDTH, _CLASSES = 128, 6, 5


def check_dataset(dataset: Any, scene: Scene) -> None:
    """Check both splits against the spec, that they are the same each time, and that an unknown split is refused."""
    label = f"dataset {label_of(dataset)}"
    for attribute in ("extractor", "domain"):
        require(isinstance(getattr(dataset, attribute), str), f"{label}: {attribute} is no string")
    with tempfile.TemporaryDirectory() as empty, blaming(label):
        root = scene.root or Path(empty)
        spec = dataset.spec(root)
        require(isinstance(spec, ImageSpec | PointSpec), f"{label}: spec() gave {type(spec).__name__}, not a data spec")
        splits = {}
        for split in ("train", "test"):
            splits[split] = dataset.load(root, split)
            _check_images(f"{label}, split {split}", splits[split], spec)
            again = dataset.load(root, split)
            require(_same(splits[split], again), f"{label}, split {split}: two loads gave different samples")
        require(not _same(splits["train"], splits["test"]), f"{label}: train and test hold the same samples")
        if hasattr(dataset, "truth"):
            _check_truth(f"{label}: truth()", dataset.truth(root), splits["test"])
        try:
            dataset.load(root, "no such split")
        except ValueError:
            return
    raise ComponentFault(
        f"{label}: load() took a split called 'no such split'; raise ValueError with the possible ones"
    )


def check_baseline(baseline: Any, scene: Scene) -> None:
    """Check what a baseline draws after it was fitted to noise of the data's shape, and that its seed decides it."""
    label, data = f"baseline {label_of(baseline)}", scene.data or ImageSpec((1, 8, 8), classes=3)
    if hasattr(baseline, "combination"):
        _check_combination(label, baseline, data)
        return
    images = Images(_stored(data, 32), torch.arange(32) % data.classes if data.classes else None)
    with blaming(label):
        first, second = (baseline.fit(data, images, torch.Generator().manual_seed(7))(20) for _ in range(2))
    _check_stored(label, first, data)
    require(0 < len(first) <= 20, f"{label} gave {len(first)} samples where 20 were asked for")
    require(torch.equal(first, second), f"{label} gave two results for one seed")


def _check_combination(label: str, baseline: Any, data: DataSpec) -> None:
    with blaming(label):
        combination = baseline.combination(data)
        again = baseline.combination(data)
    require(isinstance(combination, Combination), f"{label}: combination() gave {type(combination).__name__}")
    require(combination == again, f"{label}: combination() gave two different ones for the same data")
    check_recipe(combination)
    check_architecture(combination.architecture, Scene(data))
    check_loss(combination.loss, Scene(data, combination.architecture))


def check_extractor(extractor: Any, scene: Scene) -> None:
    """Check what an extractor accepts, and where it is available, its features: finite, the same for any batch size."""
    label = f"extractor {label_of(extractor)}"
    with blaming(label):
        reasons = {spec: extractor.accepts(spec) for spec in ((scene.data,) if scene.data else _SPECS)}
        unavailable = extractor.available()
    accepted = [spec for spec, reason in reasons.items() if reason is None]
    found = "; ".join(dict.fromkeys(map(str, reasons.values())))
    require(bool(accepted), f"{label} accepts nothing that it was tried on ({found}); give data=")
    if unavailable is not None:
        require(isinstance(unavailable, str), f"{label}: available() gave {unavailable!r}; wants None or a reason")
        return
    with blaming(label):
        network = extractor.load(torch.device("cpu"))
        canonical(dict(network.provenance))
        stored = _stored(accepted[0], 12)
        whole, again, parts = network(stored), network(stored), [network(part) for part in torch.split(stored, 5)]
    require(isinstance(network.canonical, bool), f"{label}: canonical is {network.canonical!r}; possible: True, False")
    _check_rows(f"{label}: features", whole.features, again.features, [part.features for part in parts])
    if whole.logits is not None:
        logits = [part.logits for part in parts if part.logits is not None]
        _check_rows(f"{label}: logits", whole.logits, again.logits, logits)


def check_metric(metric: Any, scene: Scene) -> None:  # noqa: ARG001  all checks take a scene
    """Check that a metric gives one finite number of only what it needs, the same each time, and changes nothing."""
    label = f"metric {label_of(metric)}"
    for attribute, named in (("needs", metric.needs), ("error_needs", trait(metric, "error_needs"))):
        odd = sorted(set(named) - NEEDS)
        require(not odd, f"{label}: {attribute} holds {', '.join(odd)}; possible: {', '.join(sorted(NEEDS))}")
    require(isinstance(metric.version, int), f"{label}: version is {metric.version!r}; wants a whole number")
    generated, real, train = (_store(metric.needs | trait(metric, "error_needs"), seed) for seed in (11, 12, 13))
    kept = [tensor.clone() for store in (generated, real, train) for tensor in _held(store)]
    for one, what in ((generated, "two Gaussian samples"), (real, "equal sets")):
        found = {
            errors: [_measured(label, what, metric, (one, real, train), errors) for _ in range(2)]
            for errors in (False, True)
        }
        (first, second), (third, _) = found[False], found[True]
        require(first == second, f"{label} of {what} is {first}, then {second}: draw from context.seed")
        require(
            third.value == first.value, f"{label} of {what} is {first.value}, but {third.value} with errors asked for"
        )
    now = [tensor for store in (generated, real, train) for tensor in _held(store)]
    require(all(map(torch.equal, kept, now)), f"{label} changed the features that it was given")


def _measured(label: str, what: str, metric: Any, stores: tuple[FeatureStore, ...], errors: bool) -> Measured:
    """Return what ``metric`` measures, checked."""
    one, real, train = stores
    given = Given(errors, train, _Halves(), _Linear())
    with blaming(f"{label} of {what}"):
        found = metric.compute(one, real, Context(0, one, real, given=given))
    require(
        type(found) in (float, Measured), f"{label} gave {type(found).__name__}; wants a float or ganbench.Measured"
    )
    measured = found if isinstance(found, Measured) else Measured(found)
    require(type(measured.value) is float, f"{label} gave {type(measured.value).__name__}; wants a float")
    require(math.isfinite(measured.value), f"{label} of {what} is {measured.value}")
    error = measured.error
    require(error is None or (math.isfinite(error) and error >= 0), f"{label} of {what} has the error {error}")
    return measured


def _check_images(label: str, images: Any, spec: DataSpec) -> None:
    require(isinstance(images, Images), f"{label}: load() gave {type(images).__name__}; wants Images")
    require(len(images) > 0, f"{label} is empty")
    _check_stored(label, images.pixels, spec)
    labels = images.labels
    require((labels is None) == (spec.classes is None), f"{label}: labels are {labels} where classes is {spec.classes}")
    if labels is not None and spec.classes is not None:
        shape = tuple(labels.shape)
        fine = labels.dtype == torch.int64 and shape == (len(images),)
        require(fine, f"{label}: labels are {labels.dtype} of shape {shape}; wants int64 of shape ({len(images)},)")
        low, high = int(labels.min()), int(labels.max())
        require(
            0 <= low <= high < spec.classes, f"{label}: labels lie in [{low}, {high}]; wants [0, {spec.classes - 1}]"
        )


def _check_truth(label: str, truth: Any, images: Images) -> None:
    modes, deviations = truth.locate(images.pixels)
    fine = modes.dtype == torch.int64 and tuple(modes.shape) == (len(images),)
    require(fine, f"{label}.locate() gave modes {modes.dtype} {tuple(modes.shape)}; wants int64 ({len(images)},)")
    low, high = int(modes.min()), int(modes.max())
    require(-1 <= low <= high < truth.modes, f"{label}: modes lie in [{low}, {high}]; wants [-1, {truth.modes - 1}]")
    require(high >= 0, f"{label} finds no real sample in any mode")
    none = deviations is None
    require(none == (truth.width is None), f"{label}: deviations are {deviations} where width is {truth.width}")
    if deviations is not None:
        fine = deviations.dtype == torch.float64 and deviations.shape == modes.shape and bool((deviations >= 0).all())
        require(fine, f"{label}.locate() gave deviations that are no float64 ({len(images)},) of 0 or more")


def _check_stored(label: str, stored: Any, spec: DataSpec) -> None:
    require(isinstance(stored, Tensor), f"{label} gave {type(stored).__name__}; wants a Tensor")
    dtype = torch.uint8 if isinstance(spec, ImageSpec) else torch.float32
    shape = tuple(stored.shape)
    require(stored.dtype == dtype, f"{label} gave {stored.dtype}; stored samples are {dtype}")
    require(shape[1:] == tuple(spec.shape), f"{label} gave samples of shape {shape[1:]}; wants {tuple(spec.shape)}")
    require(bool(stored.float().isfinite().all()), f"{label} gave values that are not finite")


def _check_rows(label: str, whole: Tensor, again: Tensor | None, parts: list[Tensor]) -> None:
    fine = whole.dim() == 2 and len(whole) == 12 and whole.dtype == torch.float32
    require(fine, f"{label} of 12 samples are {whole.dtype} of shape {tuple(whole.shape)}; wants float32 (12, width)")
    require(not whole.requires_grad, f"{label} carry a gradient; compute them under torch.no_grad()")
    require(bool(whole.isfinite().all()), f"{label} are not finite")
    require(again is not None and torch.equal(whole, again), f"{label} differ from one pass to the next")
    close = torch.allclose(whole, torch.cat(parts), rtol=1e-4, atol=1e-4)
    require(close, f"{label} depend on the batch size; put the network in eval mode")


def _same(a: Images, b: Images) -> bool:
    return a.pixels.shape == b.pixels.shape and torch.equal(a.pixels, b.pixels)


def _stored(spec: DataSpec, n: int) -> Tensor:
    rng = torch.Generator().manual_seed(6)
    if isinstance(spec, ImageSpec):
        return torch.randint(256, (n, *spec.shape), generator=rng, dtype=torch.uint8)
    return torch.randn(n, *spec.shape, generator=rng)


def _store(needs: frozenset[str], seed: int) -> FeatureStore:
    """Return what a pass over Gaussian features leaves, of which only ``needs`` is kept."""
    rng = torch.Generator().manual_seed(seed)
    rows = Features(torch.randn(_ROWS, _WIDTH, generator=rng), torch.randn(_ROWS, _CLASSES, generator=rng))
    moments = Moments()
    moments.update(rows.features)
    modes, deviations = _Halves().locate(rows.features)
    return FeatureStore(
        count=_ROWS,
        nonfinite=0,
        mean=moments.mean if "moments" in needs else None,
        covariance=moments.covariance if "moments" in needs else None,
        features=rows.features if "features" in needs else None,
        logits=rows.logits if "logits" in needs else None,
        labels=torch.arange(_ROWS) % _CLASSES if "labels" in needs else None,
        modes=modes if "truth" in needs else None,
        deviations=deviations if "truth" in needs else None,
    )


def _held(store: FeatureStore) -> list[Tensor]:
    return [value for value in vars(store).values() if isinstance(value, Tensor)]


class _Halves:
    """Two unit Gaussian modes of which samples with a positive and a negative first coordinate are near."""

    modes, width = 2, 1

    def locate(self, stored: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the side of the first coordinate, and how far it lies from one unit off the middle."""
        deviations = (stored[:, 0].double().abs() - 1).abs()
        return torch.where(deviations < 3, (stored[:, 0] > 0).long(), -1), deviations


class _Linear:
    """A generator and an extractor that are one linear map."""

    latent = Latent(4)

    def labels(self, n: int, rng: torch.Generator) -> Tensor | None:  # noqa: ARG002  unlabelled
        """Return None."""
        return None

    def features(self, z: Tensor, labels: Tensor | None) -> Tensor:  # noqa: ARG002  unlabelled
        """Return (n, 6)."""
        return z @ torch.linspace(-1, 1, 4 * _WIDTH).view(4, _WIDTH)
