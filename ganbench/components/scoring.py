"""What scores: extractors and metrics, and what metrics are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from ganbench.components.base import Component
from ganbench.components.data import Truth
from ganbench.values import DataSpec, Features, FeatureStore, Latent, Measured

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class FeatureNetwork(Protocol):
    """A loaded extractor, in eval mode on a device.

    ``provenance`` holds what scores depend on (layer, width, weights_sha256, preprocessing). ``canonical`` is true
    where a metric's published name may be used: fid, is, kid mean one network with verified weights and nothing else.
    """

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What scores depend on, as JSON."""

    @property
    def canonical(self) -> bool:
        """Whether published names may be used."""

    def __call__(self, stored: Tensor) -> Features:
        """Map stored samples (uint8 (N, C, H, W) or float32 (N, d)) to `Features`, without gradient."""


class Extractor(Component, Protocol):
    """A network that turns samples into features; ``domains`` = None accepts every domain.

    ``continuous`` says that its network also takes images that were not rounded: float32 in [0, 255].
    """

    domains: ClassVar[frozenset[str] | None]

    def accepts(self, data: DataSpec) -> str | None:
        """Say why samples of this spec cannot be given to the network, or None."""

    def available(self) -> str | None:
        """Say why the network cannot be used on this machine now and what to do, or None. Reads no network."""

    def load(self, device: torch.device) -> FeatureNetwork:
        """Return the network. Raises ValueError where weights are missing, of the wrong hash or shape."""


class Synthesis(Protocol):
    """A generator and an extractor as one smooth function, for metrics that move through the latent space."""

    @property
    def latent(self) -> Latent:
        """What the generator draws from."""

    def labels(self, n: int, rng: torch.Generator) -> Tensor | None:
        """Draw int64 (n,) classes as the samples that are scored have them; None for an unlabelled set."""

    def features(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Return the features float32 (n, d) of the images of ``z`` (n, latent.size), which are not rounded to uint8.

        Raises:
            ValueError: they are not finite.
        """


class MetricContext(Protocol):
    """What a metric may ask for beyond the two feature stores."""

    seed: int
    """The evaluation seed, fixed and shared."""

    @property
    def errors(self) -> bool:
        """Whether the standard error over the generated samples is wanted too: return `ganbench.Measured` then."""

    @property
    def train(self) -> FeatureStore:
        """Features of the training split, for a metric that needs "train_features"."""

    @property
    def truth(self) -> Truth:
        """What is known of the data, for a metric that needs "truth"."""

    @property
    def synthesis(self) -> Synthesis:
        """Generator and extractor, for a metric that needs "generator"."""

    def neighbours(self, k: int) -> Neighbours:
        """Return the k-nearest-neighbour comparison of equally many generated and real features, computed once a k."""


class Neighbours(Protocol):
    """Which generated samples fall into which real k-NN balls, and the reverse; N generated, N real, self excluded."""

    @property
    def generated_in_real(self) -> Tensor:
        """int64 (N,): in how many real balls each generated sample lies."""

    @property
    def real_in_generated(self) -> Tensor:
        """int64 (N,): in how many generated balls each real sample lies."""

    @property
    def real_covered(self) -> Tensor:
        """bool (N,): whether each real ball holds a generated sample."""

    @property
    def recall_left_out(self) -> LeftOut | None:
        """How many real samples lie in generated balls without each group; the balls of the rest grow where they lose
        neighbours. None unless errors are wanted.
        """

    @property
    def coverage_left_out(self) -> LeftOut | None:
        """How many real balls hold a generated sample without each group. None unless errors are wanted."""


class LeftOut(Protocol):
    """What generated samples reach of the real ones when one of G groups of generated samples is missing.

    The groups follow each other by row and are as equal as can be.
    """

    @property
    def shares(self) -> Tensor:
        """float64 (G,): the share of the real samples that is reached without each group."""

    @property
    def by_none(self) -> int:
        """How many real samples no group reaches."""

    @property
    def by_one(self) -> int:
        """How many real samples exactly one group reaches."""


class Metric(Component, Protocol):
    """A pure function of generated and real features.

    ``needs`` is a subset of `NEEDS`, ``error_needs`` what more of the generated side is kept where a standard error is
    wanted; ``equal_n`` asks for equally many rows on both sides;
    ``published_name`` is the name (``fid``) under a canonical extractor whose weights have the SHA-256
    ``published_weights``, with fields as in ``published_settings``. ``settings(rows=None)`` returns what the estimator
    depends on (the fields where it is left out) when the smaller side has so many rows. ``floor`` says whether sampling
    alone gives a positive value ("bias"), zero ("zero") or nothing (None). ``standard`` = 1, 2, ... puts it at that
    place into suites that name no metrics. ``blind`` names the ladders (see `ganbench.scoring.ladder`) along which it
    is not meant to move.
    """

    direction: ClassVar[Literal["lower", "higher"]]
    scale: ClassVar[Literal["log", "linear", "logit"]]
    needs: ClassVar[frozenset[str]]
    version: ClassVar[int]
    formula: ClassVar[str]

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float | Measured:
        """Return the value. Raises ValueError with the reason where these stores define none."""


NEEDS = frozenset({"moments", "features", "logits", "labels", "truth", "train_features", "generator"})
"""What a metric may need: of both sides moments, features, logits and labels; the data's truth, with the modes of both
sides; features of the training split; the generator itself."""
