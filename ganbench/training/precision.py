"""Precision: what networks compute in. Weights, losses, slopes of penalties and averages are float32 in any case."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch

Precision = Literal["float32", "tf32", "bf16"]


def region(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a phase is evaluated: autocast to bfloat16, or none. Never step inside it."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


@contextmanager
def products(precision: Precision) -> Iterator[None]:
    """Let float32 products on CUDA use TF32 where ``precision`` is "tf32", and never otherwise, then as before."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
