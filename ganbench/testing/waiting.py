"""Finds code that waits for the device: it is run on tensors without data, which cannot be read."""

from __future__ import annotations

import copy
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeCopyMode,
    FakeTensorMode,
)

from ganbench.testing.fault import ComponentFault

T = TypeVar("T")


class Dataless:
    """A world of tensors that have shape, dtype and device, but no numbers."""

    def __init__(self) -> None:
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)

    def module(self, module: nn.Module) -> nn.Module:
        """Return a copy of ``module`` without data."""
        with FakeCopyMode(self._mode):
            return copy.deepcopy(module)

    def tensor(self, tensor: Tensor) -> Tensor:
        """Return ``tensor`` without its data."""
        return self._mode.from_tensor(tensor)

    def run(self, label: str, action: Callable[[], T]) -> T:
        """Return what ``action`` returns here.

        Raises:
            ComponentFault: it reads a tensor's data (``.item()``, ``float()``, ``bool()``, ``.numpy()``, a mask used as
                an index), for which a GPU would have to stop, or cannot run without data for another reason.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # converting a tensor to a number warns before it fails
            try:
                with self._mode:
                    return action()
            except (DataDependentOutputException, DynamicOutputShapeException) as error:
                where = _outside_torch(error)
                raise ComponentFault(
                    f"{label} waits for the device{where}: it reads a tensor's value ({error}); "
                    "compute with tensors (torch.where, masks) instead"
                ) from error
            except Exception as error:
                where = _outside_torch(error)
                raise ComponentFault(f"{label} cannot run without reading tensors{where}: {error}") from error


def _outside_torch(error: BaseException) -> str:
    """Return `` at file:line`` of the innermost frame that is not torch's own."""
    torch_folder = str(Path(torch.__file__).parent)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(torch_folder)
    ]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def dataless(values: Any, world: Dataless) -> Any:
    """Return ``values`` (a tensor, None, or a tuple or dict of such) without data."""
    if isinstance(values, Tensor):
        return world.tensor(values)
    if isinstance(values, tuple):
        return tuple(dataless(value, world) for value in values)
    if isinstance(values, dict):
        return {key: dataless(value, world) for key, value in values.items()}
    return values
