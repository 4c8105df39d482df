"""Precision: what networks compute in. Weights, losses, slopes of penalties and averages are float32 in any case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from ganbench.suite.recipe import Precision


def region(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a phase is evaluated: autocast to bfloat16, or none. Never step inside it."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Let products of float32 on CUDA use TF32 where ``precision`` is "tf32", and never otherwise, then as before.

    PyTorch lets convolutions use it unless it is told not to.
    """
    settings: list[Any] = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]  # type: ignore[attr-defined]
    before = [setting.fp32_precision for setting in settings]
    for setting in settings:
        setting.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
