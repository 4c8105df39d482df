"""What a component is, kind by kind: the protocols that plugins satisfy.

A component is a frozen dataclass. Its fields are hyperparameters with the paper's values as defaults; ``name`` and
``paper`` (an arXiv id or a reference) are class variables. Fields called like a key of `RESERVED` are a fault. A
component raises ``ValueError`` from ``__post_init__`` for a value out of range.

The protocols list what is required. What may be left out, and what then holds, is in `TRAITS`, read by `trait`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from ganbench.values import (
    Cell,
    Companion,
    Critique,
    DataSpec,
    Features,
    FeatureStore,
    Images,
    Latent,
    Measured,
    Player,
    Sample,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


RESERVED = frozenset({"name", "label", "recipe", "regularizers", "constraints", "augmentations", "sweep"})
NAME_PATTERN = r"[a-z0-9][a-z0-9._+-]*"


class Component(Protocol):
    """What all components have in common."""

    name: ClassVar[str]
    paper: ClassVar[str]


class Architecture(Component, Protocol):
    """A generator, a discriminator and the latent between them.

    May also define ``companions(data) -> {name: Companion}``, ``batch_coupling`` (how D's output for one sample depends
    on the others: "none", "normalisation" for BatchNorm in D, "statistic" for minibatch statistics), ``recipe``,
    ``compatible(cell)``.
    """

    def latent(self, data: DataSpec) -> Latent:
        """Return the latent that the generator takes."""

    def generator(self, data: DataSpec) -> nn.Module:
        """Build a module: (z (N, latent.size), labels int64 (N,) | None) -> Tensor (N, *data.shape) or `Sample`."""

    def discriminator(self, data: DataSpec) -> nn.Module | None:
        """Build a module: (x (N, *data.shape), labels | None) -> Tensor of logits (N,) or `Critique`.

        Under packing ``data`` is already packed, N counts decisions and labels have shape (N, m).
        """

    @classmethod
    def smallest(cls) -> tuple[Architecture, DataSpec]:
        """Return the cheapest instance and a data spec that it can draw, for tests of all combinations."""


class Game(Protocol):
    """What losses, regularizers and augmentations see of one phase; evaluated when first read, then kept.

    In the discriminator's phase the fakes are inputs without a graph; in the generator's phase they carry its graph.
    All tensors are on the run's device. N is the batch size, units = N / pac the number of decisions.
    """

    phase: Player
    """Whose phase this is."""
    real: Tensor
    """Real samples (N, *shape) in [-1, 1] as the discriminator sees them: augmented, never packed."""
    fake: Tensor
    """Generated samples, likewise."""
    clean_real: Tensor
    """Real samples before augmentation."""
    clean_fake: Tensor
    """Generated samples before augmentation."""
    sample: Sample
    """All that the generator returned."""
    latents: Tensor
    """(N, latent.size)."""
    real_labels: Tensor | None
    fake_labels: Tensor | None
    real_critique: Critique
    fake_critique: Critique
    real_logits: Tensor
    """(units,)."""
    fake_logits: Tensor
    """(units,)."""
    step: Tensor
    """This player's updates so far, a 0-dim tensor on the device, never a Python number."""
    progress: Tensor
    """Share of the budget that is spent, 0-dim, in [0, 1]."""

    def critic(self, x: Tensor, labels: Tensor | None = None) -> Critique:
        """Judge ``x`` (N, *shape) as given, packing it if the run packs."""

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Sample:
        """Run the generator on ``z`` (N, latent.size)."""

    def augment(self, x: Tensor) -> Tensor:
        """Apply the run's augmentations to ``x``."""

    def companion(self, name: str) -> nn.Module:
        """Return the architecture's companion network of this name."""

    def state(self, component: Any) -> Mapping[str, Tensor]:
        """Return the tensors that the engine keeps for ``component`` (itself, passed as ``self``)."""

    def slope(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return d logits / d x as float32 (units, -1), with a graph for double backward."""

    def mix(self, a: Tensor, b: Tensor) -> Tensor:
        """Return points between ``a`` and ``b``: one uniform weight a decision, detached, requiring gradient."""

    def uniform(self, *shape: int) -> Tensor:
        """Draw from U(0, 1) out of the phase's own stream."""

    def normal(self, *shape: int) -> Tensor:
        """Draw from N(0, 1) out of the phase's own stream."""

    def log(self, name: str, value: Tensor) -> None:
        """Record a tensor (its mean) for the curves."""


class Loss(Component, Protocol):
    """What each player minimises: ``discriminator(game)`` and ``generator(game)``, each a scalar tensor.

    One of the two may be missing: that player never moves. May also define ``recipe``, ``compatible(cell)``,
    ``state()`` and ``update(game, state)``.
    """


class Regularizer(Component, Protocol):
    """A change to a player's loss: any of ``penalty(game) -> scalar``, ``select(game, critique, which) -> Critique``
    (``which`` is "real" or "fake"), ``latents(game, z) -> z``.

    Traits: ``phases`` in which it acts, ``every`` so many updates of that player (the engine multiplies the term by
    it), ``differentiates`` (which of "real", "fake", "latents" must be leaves with gradient), ``per_sample`` (its
    formula is wrong where D normalises over the batch), ``recipe``, ``compatible(cell)``, ``state()``, ``update()``.
    """


class Constraint(Component, Protocol):
    """A change to weights in place, after a player's update or after a round of the schedule."""

    after: ClassVar[Literal["discriminator", "generator", "round"]]

    def __call__(self, params: Sequence[Tensor], state: Mapping[str, Tensor]) -> None:
        """Change ``params`` (and ``state``, from an optional ``state(params)``) in place; "round" gets D's then G's."""


class Augmentation(Component, Protocol):
    """A differentiable change to what the discriminator sees; a probability is a tensor, applied by `torch.where`."""

    def __call__(self, images: Tensor, game: Game) -> Tensor:
        """Return the changed images (N, *shape)."""


class Optimizer(Component, Protocol):
    """How a player moves along its gradient. ``evaluations`` = 2 asks for an ``extrapolate()`` on what `build` returns.

    The field ``lr`` is set from the recipe's ``g_lr`` and ``d_lr``, the field ``betas``, where there is one, from
    ``g_betas`` and ``d_betas``.
    """

    lr: float

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """Return a torch optimizer over ``params``."""


class Dataset(Component, Protocol):
    """Real data in named splits; "train" is what a GAN sees, "test" is the reference of its scores.

    ``extractor`` names the default extractor, ``domain`` the kind of data as extractors know it ("mnist"). May define
    ``fingerprint(root) -> str`` where the content is the user's own and belongs to a run's identity. A field that only
    says where the data lie has the metadata ``{"location": True}`` and does not.

    May also define ``truth(root) -> Truth`` where the modes of the data are known; ``stream(root, split) -> Stream``
    for sets too large for memory; and the class method ``opening(path) -> Dataset | None``: a dataset of what lies at
    this path, if it is something that it can read. The split "all" of that one holds everything there; its field
    ``value_range``, where it has one, is set to what the floats of images are said to lie in; the docstring of
    ``opening`` begins with "Open" and what it opens.
    """

    extractor: ClassVar[str]
    domain: ClassVar[str]

    def spec(self, root: Path) -> DataSpec:
        """Return the data spec without loading the pixels. Raises ValueError for a broken set."""

    def load(self, root: Path, split: str) -> Images:
        """Return one split, downloading under ``root`` where the set allows it.

        Raises:
            ValueError: the split does not exist, or the files are missing, truncated or of mixed sizes.
        """


class Truth(Protocol):
    """What is known of data whose modes are known."""

    @property
    def modes(self) -> int:
        """How many modes there are."""

    @property
    def width(self) -> int | None:
        """In how many dimensions a sample deviates from its mode's mean; None where a mode is no density (a class)."""

    def locate(self, stored: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the mode of each stored sample, int64 (N,), -1 for a sample of no mode, and its deviation.

        The deviation is the Mahalanobis distance to the nearest mode's mean, float64 (N,), or None without a width.
        """


Sampler = Callable[[int], "Tensor"]
"""n -> stored samples (up to n of them): uint8 (n, C, H, W) or float32 (n, d)."""


class Baseline(Component, Protocol):
    """A reference row outside the product of architectures and losses; ``trained`` ones are run with every seed."""

    trained: ClassVar[bool]

    def fit(self, data: DataSpec, images: Images, rng: torch.Generator) -> Sampler:
        """Return a sampler that was fitted to ``images``."""


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


@dataclass(frozen=True)
class Lesson:
    """What a trainer is given for one training.

    ``dataset`` has its files under ``root``. What the trainer writes into ``folder`` is called after ``name``, which is
    to be the extractor's; ``command`` is what repeats the training, for the card. ``tell(share, words)`` is called now
    and then with the share of the work that is done, in [0, 1], and what there is to say of it.
    """

    name: str
    dataset: Dataset
    root: Path
    folder: Path
    device: torch.device
    seed: int
    command: str
    tell: Callable[[float, str], None]


class Trainer(Component, Protocol):
    """A way to make an extractor out of labelled data, for ``ganbench extractor train``.

    A plugin with a trainer also offers, as extractors, what it has left in `ganbench.folders.extractors_folder`; one
    that cannot be used says why in its ``available()``.
    """

    def train(self, lesson: Lesson) -> Mapping[str, Any]:
        """Train, judge on samples that were not seen, write ``<name>.json`` and the rest, and return that card.

        The card is JSON and has at least ``test: {images, accuracy}``; ``notes``, a list of sentences for who asked.

        Raises:
            ValueError: these data cannot be learned from; nothing was written.
            ArithmeticError: the training diverged; nothing was written.
        """


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


TRAITS: Mapping[str, Any] = MappingProxyType(
    {
        "recipe": MappingProxyType({}),
        "batch_coupling": "none",
        "phases": frozenset({"discriminator"}),
        "every": 1,
        "differentiates": frozenset(),
        "per_sample": False,
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
        "trained": False,
        "domains": None,
    }
)
"""What a component may leave out, and what then holds."""


def trait(component: Any, name: str) -> Any:
    """Return the trait ``name`` of ``component``, or its default from `TRAITS`."""
    return getattr(component, name, TRAITS[name])


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
            Kind("baseline", "baselines", ("fit",)),
        )
    }
)


def each_kind() -> Iterator[Kind]:
    """Yield the kinds in the order in which they are listed to people."""
    yield from KINDS.values()
