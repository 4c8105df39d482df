"""Devices and the environment of a run: what may change rounding, stored beside its numbers."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from ganbench.errors import DeviceError
from ganbench.memory import keep_large_blocks


def resolve_device(text: str) -> torch.device:
    """Return the device that ``text`` (auto, cpu, cuda, cuda:1, mps) names; auto takes a GPU where there is one.

    Raises:
        DeviceError: it does not exist here, or the text names none.
    """
    if text == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(text)
    except RuntimeError as error:
        raise DeviceError(f"unknown device {text!r}; write auto, cpu, cuda, cuda:0 or mps") from error
    if device.type not in {"cpu", "cuda", "mps"}:
        raise DeviceError(f"unknown device {text!r}; write auto, cpu, cuda, cuda:0 or mps")
    if device.type == "cuda":
        return _cuda(device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("there is no mps device here; use --device cpu or auto")
    return device


def device_name(device: torch.device) -> str:
    """Return the device's name for people: the GPU's, or the processor's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"{platform.processor()} (mps)"
    return _processor() or platform.processor() or platform.machine()


def configure(device: torch.device, threads: int, deterministic: bool) -> None:
    """Set what a process computes with: threads on the CPU, deterministic kernels where asked for, reused memory."""
    keep_large_blocks()
    torch.set_num_threads(threads)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = not deterministic
        torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
        torch.backends.cuda.matmul.fp32_precision = "ieee"  # TF32 is for runs that ask for it


def describe_environment(device: torch.device, deterministic: bool) -> dict[str, Any]:
    """Return versions, device, threads and kernel settings as JSON."""
    from importlib.metadata import version

    names = ("ganbench", "torch", "torchvision", "torch-fidelity", "numpy", "scipy")
    return {
        "python": sys.version.split()[0],
        **{name: version(name) for name in names},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device.type,
        "device_name": device_name(device),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
        "deterministic": deterministic,
    }


class PeakMemory:
    """Peak memory of a run in bytes: of the device on CUDA, of the process on Linux, unknown elsewhere."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            _reset_high_water_mark()

    def read(self) -> int | None:
        """Return the peak since this object was made."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        return _high_water_mark()


def _cuda(device: torch.device) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = device.index or 0
    if index >= count:
        there = f"the last one is cuda:{count - 1}" if count else "there is no CUDA device here"
        raise DeviceError(f"device {str(device)!r} does not exist: {there}; --device auto takes what there is")
    return torch.device("cuda", index)


def _processor() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _reset_high_water_mark() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return  # not Linux, or not allowed: the mark then covers the process's whole life


def _high_water_mark() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
