"""Super-convergence: very fast training of neural networks using large learning rates, L. N. Smith and N. Topin, 2018.

arXiv:1708.07120, and "Decoupled weight decay regularization" (Loshchilov and Hutter, arXiv:1711.05101): a classifier
(`ganbench_zoo.classifier`) is trained by AdamW under one cycle of the learning rate, on images that are turned, scaled
and moved at random. Its hidden layer, standardised over the training images as they are, is the feature space.

Differs: what cycles against the learning rate is AdamW's first beta, in place of momentum. The split "extractor" is
learned from where a data set has one, else "train" (`ganbench_zoo.labelled`). On the CPU with one thread the same seed
gives the same bytes on the same machine and versions; more threads are faster and may not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

import ganbench
from ganbench import Images
from ganbench.components import Lesson
from ganbench.files import write_atomically, write_json, write_text
from ganbench_zoo.classifier import Classifier, Plan, preprocess
from ganbench_zoo.classifier_card import describe, readable
from ganbench_zoo.labelled import Material, gather

BLOCK = 500
"""Images judged at once."""
TOLD = 100
"""How often a training tells of itself, beside the end of each epoch; each time waits for the device."""


@dataclass(frozen=True)
class ClassifierTrainer:
    """3x3 convolutions of ``channels`` and ``strides``, then ``width`` features: the classifier of any labelled images.

    ``turn`` is in degrees, ``zoom`` and ``shift`` are shares of the side; ``judged_on`` names the splits that judge.
    """

    name: ClassVar[str] = "classifier"
    paper: ClassVar[str] = "arXiv:1708.07120"

    epochs: int = 30
    batch_size: int = 128
    peak_lr: float = 3e-3
    weight_decay: float = 0.01
    width: int = 128
    channels: tuple[int, ...] = (16, 32, 48, 64, 96)
    strides: tuple[int, ...] = (1, 2, 1, 2, 2)
    turn: float = 12.0
    zoom: float = 0.12
    shift: float = 0.1
    judged_on: tuple[str, ...] = ("test",)
    threads: int = 1

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "width", "threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"classifier needs {name} >= 1, not {getattr(self, name)}")
        if not self.channels or len(self.channels) != len(self.strides) or min(*self.channels, *self.strides) < 1:
            raise ValueError(
                "classifier needs channels and strides of 1 or more, equally many, not "
                f"{list(self.channels)} and {list(self.strides)}"
            )
        if not 0 < self.peak_lr < math.inf or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"classifier needs peak_lr > 0 and weight_decay >= 0, not {self.peak_lr:g} and {self.weight_decay:g}"
            )
        if not (0 <= self.turn <= 180 and 0 <= self.zoom < 1 and 0 <= self.shift < 1):
            raise ValueError(
                "classifier needs turn in [0, 180], zoom and shift in [0, 1), not "
                f"{self.turn:g}, {self.zoom:g} and {self.shift:g}"
            )

    def train(self, lesson: Lesson) -> Mapping[str, Any]:
        """Train, judge and write ``<name>.safetensors``, ``<name>.md`` and ``<name>.json``; return the last, the card.

        Raises:
            ValueError: the data cannot be learned from.
            ArithmeticError: the training diverged.
        """
        material = gather(lesson.dataset, lesson.root, self.judged_on)
        plan = Plan(material.spec.shape, self.channels, self.strides, self.width, material.classes)
        before, start = torch.get_num_threads(), time.monotonic()
        torch.set_num_threads(self.threads)
        try:
            model = fit(self, plan, material.seen, lesson)
            seconds = time.monotonic() - start
            confusion = judge(model, plan, material.unseen, lesson.device)
        finally:
            torch.set_num_threads(before)
        return self._write(lesson, plan, material, model, confusion, seconds)

    def _write(
        self, lesson: Lesson, plan: Plan, material: Material, model: Classifier, confusion: Tensor, seconds: float
    ) -> dict[str, Any]:
        content = save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()})
        card = describe(self, lesson, plan, material, content) | {
            "training": {
                "command": lesson.command,
                "seed": lesson.seed,
                "device": lesson.device.type,
                "threads": self.threads,
                "seconds": round(seconds),
            },
            "test": {
                "splits": list(material.judged_on),
                "images": len(material.unseen),
                "left_out": material.left_out,
                "accuracy": confusion.trace().item() / len(material.unseen),
                "confusion": confusion.tolist(),
            },
        }
        most = confusion.sum(dim=1).max().item() / len(material.unseen)
        if card["test"]["accuracy"] <= most:
            card["notes"].append(f"always naming the most frequent class would be right as often ({most:.4f})")
        path = lesson.folder / lesson.name
        write_atomically(path.with_name(f"{path.name}.safetensors"), lambda file: file.write_bytes(content))
        write_text(path.with_name(f"{path.name}.md"), readable(card))
        write_json(path.with_name(f"{path.name}.json"), card)  # last: with its card the extractor is there
        return card


def fit(trainer: ClassifierTrainer, plan: Plan, images: Images, lesson: Lesson) -> Classifier:
    """Return a classifier in eval mode, its features standardised over ``images`` (uint8, labelled) as they are.

    Raises:
        ArithmeticError: the loss, or a feature over the images, is no finite number, or a feature never varies.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(lesson.seed)
        model = Classifier(plan).to(lesson.device)
    rng = torch.Generator().manual_seed(lesson.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=trainer.peak_lr, weight_decay=trainer.weight_decay)
    steps = max(1, len(images) // trainer.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, trainer.peak_lr, max(2, trainer.epochs * steps))
    told = max(1, trainer.epochs * steps // TOLD)
    for epoch in range(1, trainer.epochs + 1):
        total, order = torch.zeros((), device=lesson.device), torch.randperm(len(images), generator=rng)
        batches = order[: steps * trainer.batch_size].split(trainer.batch_size)
        for step, index in enumerate(batches, start=1):
            x = augment(trainer, preprocess(images.pixels[index].to(lesson.device), plan.shape), rng)
            loss = F.cross_entropy(model(x)[1], _labels(images, index).to(lesson.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
            done = (epoch - 1) * steps + step
            if done % told == 0 or step == steps:
                mean = total.item() / step
                if not math.isfinite(mean):
                    where = f"in epoch {epoch} of {trainer.epochs}"
                    raise ArithmeticError(f"the loss was {mean} {where}; lower peak_lr ({trainer.peak_lr:g})")
                lesson.tell(done / (trainer.epochs * steps), f"epoch {epoch}/{trainer.epochs}: loss {mean:.4f}")
    return _standardised(model.eval().requires_grad_(False), plan, images, lesson)


def augment(trainer: ClassifierTrainer, x: Tensor, rng: torch.Generator) -> Tensor:
    """Turn, scale and move each image (N, C, H, W) in [-1, 1] at random; what comes in from outside is black (-1)."""
    n = len(x)
    angle = (torch.rand(n, generator=rng) * 2 - 1) * math.radians(trainer.turn)
    scale = 1 + (torch.rand(n, generator=rng) * 2 - 1) * trainer.zoom
    shift = (torch.rand(n, 2, generator=rng) * 2 - 1) * (2 * trainer.shift)  # in half sides
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(n, 2, 2)
    theta = torch.cat([turn * scale.view(n, 1, 1), shift.unsqueeze(2)], dim=2)  # (N, 2, 3)
    grid = F.affine_grid(theta.to(x.device), list(x.shape), align_corners=False)
    return F.grid_sample(x + 1, grid, align_corners=False) - 1


@torch.no_grad()
def judge(model: Classifier, plan: Plan, images: Images, device: torch.device) -> Tensor:
    """Return the confusion matrix over ``images``, int64 (classes, classes): a row a true class, a column a guess."""
    guesses = [model(preprocess(part.to(device), plan.shape))[1].argmax(1).cpu() for part in images.pixels.split(BLOCK)]
    cells = _labels(images) * plan.classes + torch.cat(guesses)
    return torch.bincount(cells, minlength=plan.classes**2).view(plan.classes, plan.classes)


def _standardised(model: Classifier, plan: Plan, images: Images, lesson: Lesson) -> Classifier:
    """Store mean and standard deviation of the features over ``images``. Raises as `fit` does."""
    parts = images.pixels.split(BLOCK)
    raw = torch.cat([model(preprocess(part.to(lesson.device), plan.shape))[0] for part in parts])
    model.feature_mean.copy_(raw.mean(0))
    model.feature_std.copy_(raw.std(0))
    broken = int((~(model.feature_std.isfinite() & (model.feature_std > 0))).sum())
    if broken:
        raise ArithmeticError(f"{broken} of {plan.width} features have no finite spread over the training images")
    return model


def _labels(images: Images, rows: Tensor | None = None) -> Tensor:
    if images.labels is None:
        raise ValueError("these images have no labels")
    return images.labels if rows is None else images.labels[rows]


@ganbench.hookimpl
def trainers() -> Sequence[type]:
    """Offer `ClassifierTrainer`."""
    return [ClassifierTrainer]
