"""The card of a trained classifier: what it learned from, how, and how well; as JSON and as Markdown."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from ganbench.components import Lesson
from ganbench.identity import digest
from ganbench.scoring.reference import content_hash
from ganbench_zoo.classifier import Plan
from ganbench_zoo.labelled import Material

PACKAGES = ("ganbench", "torch", "torchvision", "numpy", "scikit-learn", "safetensors")


def describe(trainer: Any, lesson: Lesson, plan: Plan, material: Material, content: bytes) -> dict[str, Any]:
    """Return the card without training and results: trainer, file, data, versions."""
    dataset, seen = lesson.dataset, material.seen
    return {
        "name": lesson.name,
        "trainer": {"name": trainer.name, "parameters": _json(asdict(trainer))},
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "features": plan.width,
        "classes": plan.classes,
        "plan": plan.to_json(),
        "data": {
            "dataset": dataset.name,
            "parameters": _json(asdict(dataset)),
            "domain": dataset.domain,
            "paper": dataset.paper,
            "split": material.split,
            "images": len(seen),
            "split_sha256": split_hash(seen),
            "shared": dict(material.shared),
        },
        "notes": list(material.notes),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def split_hash(images: Any) -> str:
    """Return the SHA-256 over the images and labels of a split, in their order."""
    return digest([content_hash(images.pixels), content_hash(images.labels)])


def readable(card: Mapping[str, Any]) -> str:
    """Return the card as Markdown."""
    data, training, test, plan = card["data"], card["training"], card["test"], card["plan"]
    rows = [f"| {i} | {' | '.join(map(str, row))} |" for i, row in enumerate(test["confusion"])]
    head = range(card["classes"])
    parameters = ", ".join(f"{key} {_plain(value)}" for key, value in sorted(card["trainer"]["parameters"].items()))
    left_out = f"; {test['left_out']} that it had seen were left out" if test["left_out"] else ""
    shared = data["shared"]
    return "\n".join(
        [
            f"# {card['name']}",
            "",
            "Written by the command below; the numbers are those of the JSON beside it.",
            "",
            f"- Use: features ({card['features']}) and logits ({card['classes']}) for scores of generated images of "
            f"`{data['domain']}`, {'x'.join(map(str, plan['shape']))}; nothing else.",
            f"- Data: `{data['dataset']}`, {data['paper']}; split `{data['split']}`, {data['images']} images, "
            f"SHA-256 of its images and labels `{data['split_sha256']}`. "
            f"Of these images {shared['train']} are in the split `train`, {shared['test']} in `test`.",
            f"- Training: `{training['command']}`; seed {training['seed']}, {training['threads']} thread"
            f"{'s' if training['threads'] > 1 else ''} on {training['device']}, {training['seconds']} s.",
            f"- Settings of `{card['trainer']['name']}`: {parameters}.",
            f"- Accuracy on {test['images']} images that it has not seen (split {' and '.join(test['splits'])}"
            f"{left_out}): {test['accuracy']:.4f}.",
            f"- File: {card['bytes']} bytes, SHA-256 `{card['sha256']}`.",
            f"- Versions: {', '.join(f'{name} {number}' for name, number in sorted(card['versions'].items()))}.",
            *(f"- Note: {note}." for note in card["notes"]),
            "",
            "Confusion matrix (row: true class, column: predicted):",
            "",
            f"| | {' | '.join(map(str, head))} |",
            f"|---|{'---|' * len(head)}",
            *rows,
            "",
        ]
    )


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as JSON has them: a tuple is a list."""
    found: dict[str, Any] = json.loads(json.dumps(dict(values), default=str))
    return found


def _plain(value: Any) -> str:
    return "/".join(map(str, value)) if isinstance(value, list) else f"{value}"
