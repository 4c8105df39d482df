"""What trains: architectures, losses, regularizers, constraints, augmentations, optimizers, and the game they see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from ganbench.components.base import Component
from ganbench.values import Critique, DataSpec, Latent, Player, Sample

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Architecture(Component, Protocol):
    """A generator, a discriminator and the latent between them.

    May also define ``companions(data) -> {name: Companion}``, ``batch_coupling`` (how D's output for one sample depends
    on the others: "none", "normalisation" for BatchNorm in D, "statistic" for minibatch statistics), ``offers`` (what
    its networks give beyond images and logits: "style" of `Sample`, any of "features", "class_logits", "codes",
    "embedding", "reconstruction" of `Critique`; components find it in ``cell.offers``), ``recipe``,
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

    def weights(self, player: Player) -> tuple[Tensor, ...]:
        """Return the trained parameters of ``player``, companions included; in this phase, its own have gradients.

        A loss may leave some of them out: give `torch.autograd.grad` ``materialize_grads=True``.
        """

    def objective(self, player: Player) -> Tensor:
        """Return what ``player``'s loss is on this phase's samples, with a graph to both players' weights.

        Penalties are left out. Only for a component with "weights" in ``differentiates``.
        """

    def state(self, component: Any) -> Mapping[str, Tensor]:
        """Return the tensors that the engine keeps for ``component`` (itself, passed as ``self``)."""

    def keep(self, component: Any, name: str, value: Any) -> None:
        """Keep ``value`` for a later method of ``component`` (passed as ``self``) in this phase: see `kept`."""

    def kept(self, component: Any, name: str) -> Any:
        """Return what ``component`` kept under ``name`` in this phase. Raises ValueError if it kept nothing so."""

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
    ``state()``, ``update(game, state)`` and ``separable`` (see `Regularizer`).
    """


class Regularizer(Component, Protocol):
    """A change to a player's loss: any of ``penalty(game) -> scalar``, ``select(game, critique, which) -> Critique``
    (``which`` is "real" or "fake"), ``latents(game, z) -> z``.

    Traits: ``phases`` in which it acts, ``every`` so many updates of that player (the engine multiplies the term by
    it), ``differentiates`` (which of "real", "fake", "latents" must be leaves with gradient; "weights" for a term that
    differentiates by both players' weights, of which the mover alone is stepped), ``per_sample`` (its formula is wrong
    where D normalises over the batch), ``separable`` (its value on a batch is the mean of its values on equal parts of
    it, and what it draws has one row a sample or a decision: then a batch that does not fit into memory can be cut,
    whatever the component asks of the networks; one that reads critiques only needs no such word), ``recipe``,
    ``compatible(cell)``, ``state()``, ``update()``.
    """


class Constraint(Component, Protocol):
    """A change to weights in place, after a player's update or after a round of the schedule."""

    after: ClassVar[Literal["discriminator", "generator", "round"]]

    def __call__(self, params: Sequence[Tensor], state: Mapping[str, Tensor]) -> None:
        """Change ``params`` (and ``state``, from an optional ``state(params)``) in place; "round" gets D's then G's."""


class Augmentation(Component, Protocol):
    """A differentiable change to what the discriminator sees; a probability is a tensor, applied by `torch.where`.

    Trait: ``separable`` (each sample is changed by itself, and what is drawn has one row a sample).
    """

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
