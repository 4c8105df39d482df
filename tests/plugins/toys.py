"""Toy components, each of which exercises one part of the contract that no bundled component exercises yet.

A real plugin: tests load it through the catalog, and `ganbench run --plugins tests/plugins/toys.py` would too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench import (
    Cell,
    Companion,
    Critique,
    DataSpec,
    Features,
    Images,
    ImageSpec,
    Latent,
    PointSpec,
    Sample,
    hookimpl,
)


class TinyGenerator(nn.Module):
    def __init__(self, latent: int, shape: tuple[int, ...], norm: bool) -> None:
        super().__init__()
        self.shape = shape
        self.body = nn.Sequential(nn.Linear(latent, 16), nn.BatchNorm1d(16) if norm else nn.Identity(), nn.ReLU())
        self.out = nn.Linear(16, int(torch.tensor(shape).prod()))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Sample:
        style = self.body(z)
        return Sample(self.out(style).view(len(z), *self.shape).tanh(), style)


class TinyCritic(nn.Module):
    def __init__(self, shape: tuple[int, ...], codes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(int(torch.tensor(shape).prod()), 16), nn.LeakyReLU(0.2))
        self.logit, self.code = nn.Linear(16, 1), nn.Linear(16, max(codes, 1))
        self.back = nn.Linear(16, int(torch.tensor(shape).prod()))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Critique:
        h = self.body(x)
        return Critique(
            self.logit(h)[:, 0],
            features=(h,),
            codes=(self.code(h),),
            embedding=h,
            reconstruction=self.back(h).view(x.shape),
        )


@dataclass(frozen=True)
class Tiny:
    """Two layers a side, every field of `Critique` filled, an optional code for an auxiliary head."""

    norm: bool = False
    codes: int = 0
    spectral: bool = False

    name: ClassVar[str] = "tiny"
    paper: ClassVar[str] = "none"
    offers: ClassVar[frozenset[str]] = frozenset({"style", "features", "codes", "embedding", "reconstruction"})

    def latent(self, data: DataSpec) -> Latent:
        return Latent(4, categorical=(self.codes,) if self.codes else ())

    def generator(self, data: DataSpec) -> nn.Module:
        return TinyGenerator(self.latent(data).size, data.shape, self.norm)

    def discriminator(self, data: DataSpec) -> nn.Module:
        critic = TinyCritic(data.shape, self.codes)
        if self.spectral:
            nn.utils.parametrizations.spectral_norm(critic.body[1])
        return critic

    def companions(self, data: DataSpec) -> Mapping[str, Companion]:
        encoder = nn.Sequential(nn.Flatten(), nn.Linear(int(torch.tensor(data.shape).prod()), 4))
        return {"encoder": Companion(encoder, "generator")}

    @classmethod
    def smallest(cls) -> tuple[Tiny, DataSpec]:
        return cls(), ImageSpec((1, 4, 4))


@dataclass(frozen=True)
class BatchCoupled(Tiny):
    """A discriminator with BatchNorm: what it says of one sample depends on the others."""

    name: ClassVar[str] = "batch_coupled"
    paper: ClassVar[str] = "none"
    batch_coupling: ClassVar[str] = "normalisation"

    def discriminator(self, data: DataSpec) -> nn.Module:
        critic = TinyCritic(data.shape, self.codes)
        critic.body.append(nn.BatchNorm1d(16))
        return critic


@dataclass(frozen=True)
class Scalars:
    """The bilinear game min_x max_y xy: one number a player, the generator's output is its number."""

    name: ClassVar[str] = "scalars"
    paper: ClassVar[str] = "none"

    def latent(self, data: DataSpec) -> Latent:
        return Latent(1)

    def generator(self, data: DataSpec) -> nn.Module:
        return Number()

    def discriminator(self, data: DataSpec) -> nn.Module:
        return Product()

    @classmethod
    def smallest(cls) -> tuple[Scalars, DataSpec]:
        return cls(), PointSpec((1,))


class Number(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.ones(1))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.x.expand(len(z), 1)


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.y = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return x[:, 0] * self.y


@dataclass(frozen=True)
class Logistic:
    """The non-saturating loss, to combine the other toys with."""

    name: ClassVar[str] = "logistic"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def discriminator(self, game: Any) -> Tensor:
        return F.softplus(-game.real_logits).mean() + F.softplus(game.fake_logits).mean()

    def generator(self, game: Any) -> Tensor:
        return F.softplus(-game.fake_logits).mean()


@dataclass(frozen=True)
class Bilinear:
    """min_x max_y xy, where the fake logit is xy."""

    name: ClassVar[str] = "bilinear"
    paper: ClassVar[str] = "arXiv:1807.02629"

    def discriminator(self, game: Any) -> Tensor:
        return -game.fake_logits.mean()

    def generator(self, game: Any) -> Tensor:
        return game.fake_logits.mean()


@dataclass(frozen=True)
class Stateful:
    """A loss with state, in the manner of BEGAN: a balance that both phases read and update in [0, 1]."""

    rate: float = 0.1

    name: ClassVar[str] = "stateful"
    paper: ClassVar[str] = "arXiv:1703.10717"

    def compatible(self, cell: Cell) -> str | None:
        return None if cell.pac == 1 else "a reconstruction of packed samples cannot be compared with single ones"

    def state(self) -> Mapping[str, Tensor]:
        return {"k": torch.zeros(()), "calls": torch.zeros((), dtype=torch.int64)}

    def discriminator(self, game: Any) -> Tensor:
        real = (game.real_critique.reconstruction - game.real).abs().mean()
        fake = (game.fake_critique.reconstruction - game.fake).abs().mean()
        game.log("balance", game.state(self)["k"])
        return real - game.state(self)["k"] * fake

    def generator(self, game: Any) -> Tensor:
        return (game.fake_critique.reconstruction - game.fake).abs().mean()

    def update(self, game: Any, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"k": (state["k"] + self.rate).clamp(0, 1), "calls": state["calls"] + 1}


@dataclass(frozen=True)
class Autoencoding:
    """A variational autoencoder as a loss of the generator's player alone: there is no discriminator."""

    name: ClassVar[str] = "autoencoding"
    paper: ClassVar[str] = "arXiv:1312.6114"

    def generator(self, game: Any) -> Tensor:
        mean = game.companion("encoder")(game.real)
        z = mean + game.normal(*mean.shape)
        images = game.generate(z, game.real_labels).images
        return (images - game.real).square().mean() + 0.01 * mean.square().mean()


@dataclass(frozen=True)
class Exploding:
    """A loss that stops being finite in the discriminator's update number ``at``."""

    at: int = 5

    name: ClassVar[str] = "exploding"
    paper: ClassVar[str] = "none"

    def discriminator(self, game: Any) -> Tensor:
        value = F.softplus(-game.real_logits).mean() + F.softplus(game.fake_logits).mean()
        return value * torch.where(game.step >= self.at, torch.nan, 1.0)

    def generator(self, game: Any) -> Tensor:
        return F.softplus(-game.fake_logits).mean()


@dataclass(frozen=True)
class Raising:
    """A loss that raises when it is asked."""

    name: ClassVar[str] = "raising"
    paper: ClassVar[str] = "none"

    def discriminator(self, game: Any) -> Tensor:
        raise ValueError("this loss always raises")

    def generator(self, game: Any) -> Tensor:
        return game.fake_logits.mean()


@dataclass(frozen=True)
class Auxiliary:
    """An auxiliary head trained in both phases, in the manner of InfoGAN."""

    weight: float = 1.0

    name: ClassVar[str] = "auxiliary"
    paper: ClassVar[str] = "arXiv:1606.03657"
    phases: ClassVar[frozenset[str]] = frozenset({"discriminator", "generator"})

    def compatible(self, cell: Cell) -> str | None:
        if cell.pac > 1:
            return "a packed decision has no single code to predict"
        return None if cell.latent.categorical else "the latent has no categorical code to predict"

    def penalty(self, game: Any) -> Tensor:
        code = game.latents[:, 4:].argmax(dim=1)
        return self.weight * F.cross_entropy(game.fake_critique.codes[0], code)


@dataclass(frozen=True)
class TopK:
    """The generator learns from its best samples only."""

    share: float = 0.5

    name: ClassVar[str] = "top_half"
    paper: ClassVar[str] = "arXiv:2002.06224"
    phases: ClassVar[frozenset[str]] = frozenset({"generator"})

    def select(self, game: Any, critique: Critique, which: str) -> Critique:
        best = critique.logits.topk(max(1, int(len(critique.logits) * self.share))).indices
        return Critique(critique.logits[best])


@dataclass(frozen=True)
class LatentStep:
    """Latents move up the discriminator's slope first, in the manner of LOGAN."""

    rate: float = 0.5

    name: ClassVar[str] = "latent_step"
    paper: ClassVar[str] = "arXiv:1912.00953"
    phases: ClassVar[frozenset[str]] = frozenset({"discriminator", "generator"})
    differentiates: ClassVar[frozenset[str]] = frozenset({"latents"})

    def latents(self, game: Any, z: Tensor) -> Tensor:
        logits = game.critic(game.generate(z, game.fake_labels).images, game.fake_labels).logits
        moved = z + self.rate * game.slope(logits, z).view_as(z)
        game.log("moved", (moved - z).norm(dim=1))
        return moved


@dataclass(frozen=True)
class SlopePenalty:
    """A gradient penalty on points between real and fake; with ``side`` set, on one side itself."""

    side: str = "between"
    every: int = 1

    name: ClassVar[str] = "slope_penalty"
    paper: ClassVar[str] = "arXiv:1704.00028"

    @property
    def differentiates(self) -> frozenset[str]:
        return frozenset({self.side}) - {"between"}

    def penalty(self, game: Any) -> Tensor:
        if self.side == "between":
            x = game.mix(game.real, game.fake)
            slope = game.slope(game.critic(x, game.real_labels).logits, x)
        elif self.side == "real":
            slope = game.slope(game.real_logits, game.real)
        else:
            slope = game.slope(game.fake_logits, game.fake)
        game.log("slope", slope.norm(dim=1))
        return slope.square().sum(1).mean()


@dataclass(frozen=True)
class Counting:
    """A regularizer that counts its own calls: equal instances must not share their state."""

    name: ClassVar[str] = "counting"
    paper: ClassVar[str] = "none"

    def state(self) -> Mapping[str, Tensor]:
        return {"calls": torch.zeros((), dtype=torch.int64)}

    def penalty(self, game: Any) -> Tensor:
        return game.state(self)["calls"] * 0.0

    def update(self, game: Any, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"calls": state["calls"] + 1}


@dataclass(frozen=True)
class Box:
    """Weights of the discriminator stay within a box."""

    c: float = 0.05

    name: ClassVar[str] = "box"
    paper: ClassVar[str] = "arXiv:1701.07875"
    after: ClassVar[str] = "discriminator"

    def __call__(self, params: Sequence[Tensor], state: Mapping[str, Tensor]) -> None:
        for p in params:
            p.clamp_(-self.c, self.c)


@dataclass(frozen=True)
class Lookahead:
    """Both players go back halfway to slow weights every few rounds (Chavdarova 2021)."""

    every: int = 3
    alpha: float = 0.5

    name: ClassVar[str] = "slow_weights"
    paper: ClassVar[str] = "arXiv:2006.14567"
    after: ClassVar[str] = "round"

    def state(self, params: Sequence[Tensor]) -> Mapping[str, Tensor]:
        return {str(i): p.detach().clone() for i, p in enumerate(params)}

    def __call__(self, params: Sequence[Tensor], state: Mapping[str, Tensor]) -> None:
        for i, p in enumerate(params):
            state[str(i)].lerp_(p, self.alpha)
            p.copy_(state[str(i)])


@dataclass(frozen=True)
class Brightness:
    """Adds a random brightness to a random half of the samples, differentiably, with a probability tensor."""

    name: ClassVar[str] = "brightness"
    paper: ClassVar[str] = "none"

    def __call__(self, images: Tensor, game: Any) -> Tensor:
        shape = (len(images), *([1] * (images.dim() - 1)))
        return torch.where(game.uniform(*shape) < 0.5, images + 0.1 * game.normal(*shape), images)


class ExtraSgd(torch.optim.Optimizer):
    def __init__(self, params: Sequence[Tensor], lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self.kept: list[Tensor] = []

    def _params(self) -> Iterator[tuple[Tensor, float]]:
        for group in self.param_groups:
            for p in group["params"]:
                yield p, group["lr"]

    @torch.no_grad()
    def extrapolate(self) -> None:
        self.kept = [p.detach().clone() for p, _ in self._params()]
        for p, lr in self._params():
            p.sub_(p.grad, alpha=lr)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for (p, lr), kept in zip(self._params(), self.kept, strict=True):
            p.copy_(kept - lr * p.grad)


@dataclass(frozen=True)
class Extragradient:
    """Steps from where it stands along the gradient at an extrapolated point (Korpelevich 1976)."""

    lr: float = 0.1

    name: ClassVar[str] = "extra_sgd"
    paper: ClassVar[str] = "arXiv:1802.10551"
    evaluations: ClassVar[int] = 2

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        return ExtraSgd(params, self.lr)


@dataclass(frozen=True)
class PlainSgd:
    """Stochastic gradient descent."""

    lr: float = 0.1

    name: ClassVar[str] = "plain_sgd"
    paper: ClassVar[str] = "none"

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=self.lr)


@dataclass(frozen=True)
class PlainAdam:
    """Adam, so that toys need nothing of the zoo."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)

    name: ClassVar[str] = "plain_adam"
    paper: ClassVar[str] = "arXiv:1412.6980"

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(params, lr=self.lr, betas=self.betas)


@dataclass(frozen=True)
class Blobs:
    """Bright 4x4 squares on dark 4x4 images; two classes; the same in every split but for the noise."""

    n: int = 96

    name: ClassVar[str] = "blobs"
    paper: ClassVar[str] = "none"
    extractor: ClassVar[str] = "pixels"
    domain: ClassVar[str] = "blobs"

    def spec(self, root: Path) -> DataSpec:
        return ImageSpec((1, 4, 4), classes=2)

    def load(self, root: Path, split: str) -> Images:
        if split not in ("train", "test"):
            raise ValueError(f"blobs has no split {split!r}; splits: train, test")
        rng = torch.Generator().manual_seed(("train", "test").index(split))
        labels = torch.arange(self.n) % 2
        pixels = torch.randint(0, 60, (self.n, 1, 4, 4), generator=rng)
        pixels[labels == 1, :, 1:3, 1:3] += 150
        return Images(pixels.byte(), labels)


class PixelNetwork:
    """Features are the pixels in [0, 1]; the logits say how bright the middle is."""

    provenance: ClassVar[dict[str, Any]] = {
        "layer": "pixels",
        "width": 16,
        "weights_sha256": None,
        "preprocessing": "/ 255",
    }
    canonical: ClassVar[bool] = False

    def __call__(self, stored: Tensor) -> Features:
        middle = stored[:, 0, 1:3, 1:3].float().mean(dim=(1, 2)) / 255
        return Features(stored.float().flatten(1) / 255, torch.stack([0.4 - middle, middle - 0.4], dim=1) * 20)


@dataclass(frozen=True)
class Pixels:
    """The pixels themselves as features."""

    name: ClassVar[str] = "pixels"
    paper: ClassVar[str] = "none"
    domains: ClassVar[frozenset[str]] = frozenset({"blobs"})

    def accepts(self, data: DataSpec) -> str | None:
        return None if data.shape == (1, 4, 4) else f"pixels takes (1, 4, 4), not {data.shape}"

    def available(self) -> str | None:
        return None

    def load(self, device: torch.device) -> PixelNetwork:
        return PixelNetwork()


@dataclass(frozen=True)
class Absent(Pixels):
    """An extractor whose weights are not here."""

    name: ClassVar[str] = "absent"

    def available(self) -> str | None:
        return "its weights are not here; put them somewhere"


@hookimpl
def extractors() -> Sequence[type]:
    return [Pixels, Absent]


@hookimpl
def architectures() -> Sequence[type]:
    return [Tiny, BatchCoupled, Scalars]


@hookimpl
def losses() -> Sequence[type]:
    return [Logistic, Bilinear, Stateful, Autoencoding, Exploding, Raising]


@hookimpl
def regularizers() -> Sequence[type]:
    return [Auxiliary, TopK, LatentStep, SlopePenalty, Counting]


@hookimpl
def constraints() -> Sequence[type]:
    return [Box, Lookahead]


@hookimpl
def augmentations() -> Sequence[type]:
    return [Brightness]


@hookimpl
def optimizers() -> Sequence[type]:
    return [Extragradient, PlainSgd, PlainAdam]


@hookimpl
def datasets() -> Sequence[type]:
    return [Blobs]
