"""Train an embedded extractor and write its weights, its card and the card's readable form.

``python -m ganbench_zoo.classifier_training digits`` or ``... mnist --root DATA`` writes into the package's folder
``extractors/weights/`` (or ``--out``). AdamW with a one-cycle learning rate; images turned by up to 12 degrees, scaled
by up to 12 % and moved by up to a tenth of their side. One thread and a fixed seed: the same bytes again on the same
machine and versions.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from ganbench import Images
from ganbench.files import write_atomically, write_json, write_text
from ganbench.identity import digest
from ganbench_zoo.classifier import FOLDER, Classifier, Plan, preprocess
from ganbench_zoo.datasets.digits import SPLITS as DIGITS_SPLITS
from ganbench_zoo.datasets.digits import Digits
from ganbench_zoo.datasets.mnist import SPLITS as MNIST_SPLITS
from ganbench_zoo.datasets.mnist import Mnist
from ganbench_zoo.extractors.digits_cnn import DigitsCnn
from ganbench_zoo.extractors.mnist_cnn import MnistCnn
from ganbench_zoo.splits import partition


@dataclass(frozen=True)
class Task:
    """What is trained: ``dataset`` whose split "extractor" is seen and whose ``unseen`` splits judge; how long."""

    name: str
    plan: Plan
    dataset: Any
    unseen: tuple[str, ...]
    epochs: int
    batch_size: int
    peak_lr: float
    sizes: Mapping[str, int]


TASKS = (
    Task("digits", DigitsCnn.plan, Digits(), ("train", "test"), 200, 64, 3e-3, DIGITS_SPLITS),
    Task("mnist", MnistCnn.plan, Mnist(), ("test",), 30, 128, 3e-3, MNIST_SPLITS),
)


def augment(x: Tensor, rng: torch.Generator) -> Tensor:
    """Turn, scale and move each image (N, 1, H, W) in [-1, 1] at random; what comes in from outside is black (-1)."""
    n = len(x)
    angle = (torch.rand(n, generator=rng) * 2 - 1) * math.radians(12)
    scale = 1 + (torch.rand(n, generator=rng) * 2 - 1) * 0.12
    shift = (torch.rand(n, 2, generator=rng) * 2 - 1) * 0.2  # in half sides
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(n, 2, 2)
    theta = torch.cat([turn * scale.view(n, 1, 1), shift.unsqueeze(2)], dim=2)  # (N, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x + 1, grid, align_corners=False) - 1


def train(task: Task, seed: int, images: Images) -> Classifier:
    """Return a classifier in eval mode, its features standardised over ``images`` as they are stored."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    model, x, labels = Classifier(task.plan), preprocess(images.pixels, task.plan.size), images.labels
    optimizer = torch.optim.AdamW(model.parameters(), lr=task.peak_lr, weight_decay=0.01)
    steps = len(x) // task.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, task.peak_lr, task.epochs * steps)
    for epoch in range(task.epochs):
        total, order = 0.0, torch.randperm(len(x), generator=rng)
        for step in range(steps):
            index = order[step * task.batch_size : (step + 1) * task.batch_size]
            loss = F.cross_entropy(model(augment(x[index], rng))[1], labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        if (epoch + 1) % max(1, task.epochs // 10) == 0:
            print(f"epoch {epoch + 1}/{task.epochs}: loss {total / steps:.4f}", file=sys.stderr, flush=True)
    model.eval().requires_grad_(False)
    raw = torch.cat([model(part)[0] for part in x.split(500)])
    model.feature_mean.copy_(raw.mean(0))
    model.feature_std.copy_(raw.std(0))
    return model


def judge(model: Classifier, task: Task, images: Images) -> tuple[float, list[list[int]]]:
    """Return accuracy and confusion matrix (row: true class, column: predicted) over ``images``."""
    x = preprocess(images.pixels, task.plan.size)
    predicted = torch.cat([model(part)[1].argmax(1) for part in x.split(500)])
    classes = task.plan.classes
    table = torch.bincount(images.labels * classes + predicted, minlength=classes * classes).view(classes, classes)
    return table.trace().item() / len(images), table.tolist()


def describe(task: Task, seed: int, seconds: float, content: bytes) -> dict[str, Any]:
    """Return the card without its results: data, training, file, versions."""
    splits = partition(sum(task.sizes.values()), task.name, task.sizes)
    return {
        "name": f"{task.name}_cnn",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "features": task.plan.width,
        "classes": task.plan.classes,
        "data": {
            "dataset": task.name,
            "paper": task.dataset.paper,
            "split": "extractor",
            "images": len(splits["extractor"]),
            "split_sha256": digest(splits["extractor"]),
        },
        "training": {
            "command": f"python -m ganbench_zoo.classifier_training {task.name}",
            "seed": seed,
            "epochs": task.epochs,
            "batch_size": task.batch_size,
            "peak_lr": task.peak_lr,
            "threads": torch.get_num_threads(),
            "seconds": round(seconds),
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "torchvision", "numpy", "scikit-learn", "safetensors")},
    }


def readable(card: Mapping[str, Any]) -> str:
    """Return the card as Markdown."""
    data, training, test = card["data"], card["training"], card["test"]
    rows = [f"| {i} | {' | '.join(map(str, row))} |" for i, row in enumerate(test["confusion"])]
    head = range(card["classes"])
    return "\n".join(
        [
            f"# {card['name']}",
            "",
            "Written by the command below; the numbers are those of the JSON beside it.",
            "",
            f"- Use: features ({card['features']}) and logits ({card['classes']}) for scores of generated images of "
            f"`{data['dataset']}`; nothing else.",
            f"- Data: {data['paper']}; split `{data['split']}`, {data['images']} images, "
            f"SHA-256 of its indices `{data['split_sha256']}`.",
            f"- Training: `{training['command']}`, seed {training['seed']}, {training['epochs']} epochs of batches of "
            f"{training['batch_size']}, peak learning rate {training['peak_lr']}, {training['threads']} thread, "
            f"{training['seconds']} s.",
            f"- Accuracy on {test['images']} images that it has not seen (split {' and '.join(test['splits'])}): "
            f"{test['accuracy']:.4f}.",
            f"- File: {card['bytes']} bytes, SHA-256 `{card['sha256']}`.",
            f"- Versions: {', '.join(f'{name} {number}' for name, number in sorted(card['versions'].items()))}.",
            "",
            "Confusion matrix (row: true class, column: predicted):",
            "",
            f"| | {' | '.join(map(str, head))} |",
            f"|---|{'---|' * len(head)}",
            *rows,
            "",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the classifier that the command line names, write it, and print its accuracy."""
    parser = argparse.ArgumentParser(prog="python -m ganbench_zoo.classifier_training", description=__doc__)
    parser.add_argument("task", choices=[task.name for task in TASKS])
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("GANBENCH_DATA", "data")), help="data root")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for weights and card")
    options = parser.parse_args(arguments)
    task = next(task for task in TASKS if task.name == options.task)
    torch.set_num_threads(1)
    start = time.monotonic()
    model = train(task, options.seed, task.dataset.load(options.root, "extractor"))
    content = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    card = describe(task, options.seed, time.monotonic() - start, content)
    parts = [task.dataset.load(options.root, split) for split in task.unseen]
    unseen = Images(torch.cat([part.pixels for part in parts]), torch.cat([part.labels for part in parts]))
    accuracy, confusion = judge(model, task, unseen)
    card["test"] = {"splits": task.unseen, "images": len(unseen), "accuracy": accuracy, "confusion": confusion}
    write_atomically(options.out / f"{card['name']}.safetensors", lambda path: path.write_bytes(content))
    write_json(options.out / f"{card['name']}.json", card)
    write_text(options.out / f"{card['name']}.md", readable(card))
    print(f"{card['name']}: accuracy {accuracy:.4f} on {len(unseen)} unseen images, {len(content)} bytes")


if __name__ == "__main__":
    main()
