"""A stored generator, ready to draw from, outside any suite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganbench.catalog import Catalog
from ganbench.errors import DatasetError, ResultsError
from ganbench.results.store import RunFolder
from ganbench.scoring.randomness import own_randomness
from ganbench.scoring.sample import GeneratorSource
from ganbench.suite.assemble import architecture_of
from ganbench.suite.parameters import rebuild
from ganbench.training.checkpoint import GENERATOR_FILE, load_generator


def find_run(text: str, results: Path) -> RunFolder:
    """Return the folder of the run that ``text`` names: a path, an id, or the first digits of one.

    Raises:
        ResultsError: no run is called so, or several are.
    """
    path = Path(text)
    if (path / "config.json").exists():
        return RunFolder(path)
    found = runs_called(text, results)
    if not found:
        raise ResultsError(f"no run {text!r} below {results}; give a path, or look elsewhere with --results")
    if len({folder.id for folder in found}) > 1:
        raise ResultsError(f"several runs begin with {text!r}: {', '.join(sorted({folder.id for folder in found}))}")
    return found[0]


def runs_called(text: str, results: Path) -> list[RunFolder]:
    """Return the folders below ``results`` of all runs whose id is ``text`` or begins with it."""
    if not text.isalnum():
        return []
    return [RunFolder(path) for path in sorted(results.glob(f"**/runs/{text}*")) if path.is_dir()]


def open_generator(
    folder: RunFolder, catalog: Catalog, data_root: Path, device: torch.device, seed: int = 0
) -> GeneratorSource:
    """Return the samples of the generator that the run in ``folder`` kept.

    The architecture is built from the plugins of today; the weights must fit it.

    Raises:
        ResultsError: the run kept no generator, or weights of another one.
        DatasetError: the dataset, which says what is drawn and gives the labels, cannot be read.
    """
    stored = folder.config()
    if stored is None:
        raise ResultsError(f"{folder.path} is the folder of no run: it has no config.json")
    config: Mapping[str, Any] = stored["config"]
    if "recipe" not in config:
        raise ResultsError(f"run {folder.id} is a baseline and has no generator")
    if not (folder.path / GENERATOR_FILE).exists():
        status = (folder.status() or {}).get("status", "not started")
        raise ResultsError(f"run {folder.id} ({status}) has kept no generator")
    dataset = rebuild(catalog, "dataset", config["dataset"])
    try:
        spec = dataset.spec(data_root)
        labels: Tensor | None = dataset.load(data_root, "train").labels if spec.classes else None
    except (ValueError, OSError) as error:
        raise DatasetError(f"dataset {dataset.name!r}: {error}") from error
    architecture = architecture_of(config, catalog, spec)
    with own_randomness(0, device):  # layers draw initial weights
        network = architecture.generator(spec)
    load_generator(folder.path / GENERATOR_FILE, network, device)
    return GeneratorSource(network, architecture.latent(spec), spec, labels, seed, device)
