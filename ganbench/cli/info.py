"""``ganbench info``: what this machine offers, for a bug report and before a long run."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ganbench.cli.extractors import usabilities
from ganbench.cli.layout import pairs
from ganbench.cli.options import catalog_from, json_option, plugins_option
from ganbench.folders import cache_folder, data_folder, extractors_folder

if TYPE_CHECKING:
    from ganbench.catalog import Catalog

_PACKAGES = ("ganbench", "torch", "torchvision", "torch-fidelity", "numpy")
_ALLOCATOR = ("LD_PRELOAD", "GLIBC_TUNABLES", "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@click.command("info")
@plugins_option
@json_option
def command(plugins: tuple[Path, ...], as_json: bool) -> None:
    """Print versions, devices, threads, allocator, folders, and which extractors are usable here."""
    sections = {
        "versions": _versions(),
        "devices": _devices(),
        "threads": _threads(),
        "allocator": _allocator(),
        "folders": _folders(),
        "extractors": _extractors(catalog_from(plugins)),
    }
    if as_json:
        click.echo(json.dumps(sections, indent=2, ensure_ascii=False))
        return
    for line in _lines(sections):
        click.echo(line)


def _lines(sections: dict[str, dict[str, Any]]) -> Iterator[str]:
    for number, (title, values) in enumerate(sections.items()):
        if number:
            yield ""
        yield title
        shown = [(key, "not set" if value is None else str(value)) for key, value in values.items()]
        yield from pairs(shown or [("none", "")])


def _versions() -> dict[str, str]:
    found = {"python": f"{platform.python_version()} ({platform.system()} {platform.machine()})"}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _devices() -> dict[str, str]:
    import torch

    found = {"cpu": f"{platform.processor() or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"}
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            memory = about.total_memory / 2**30
            found[f"cuda:{index}"] = f"{about.name}, {memory:.1f} GiB, compute capability {about.major}.{about.minor}"
    else:
        found["cuda"] = "none" if torch.version.cuda is None else f"none (torch is built for CUDA {torch.version.cuda})"
    if torch.backends.mps.is_available():
        found["mps"] = "available"
    return found


def _threads() -> dict[str, Any]:
    import torch

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    counts = {"cores": os.cpu_count(), "cores allowed": allowed}
    return counts | {"torch intra-op": torch.get_num_threads()} | {name: os.environ.get(name) for name in _THREADS}


def _allocator() -> dict[str, str | None]:
    library = " ".join(platform.libc_ver()).strip() or "unknown"
    malloc = sorted(name for name in os.environ if name.startswith("MALLOC_"))
    return {"libc": library} | {name: os.environ.get(name) for name in (*_ALLOCATOR, *malloc)}


def _folders() -> dict[str, str]:
    found = {}
    for title, variable, folder in (
        ("caches", "GANBENCH_CACHE", cache_folder()),
        ("data", "GANBENCH_DATA", data_folder()),
        ("trained extractors", "GANBENCH_EXTRACTORS", extractors_folder()),
    ):
        chosen = f"from {variable}" if os.environ.get(variable) else f"{variable} not set"
        found[title] = f"{folder} ({chosen}{'' if folder.is_dir() else ', not there yet'})"
    return found


def _extractors(catalog: Catalog) -> dict[str, str]:
    found = sorted(usabilities(catalog), key=lambda one: one.name)
    return {one.name: "usable" if one.usable else f"not usable: {one.reason}" for one in found}
