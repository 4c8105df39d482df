"""Sets of samples: opened from a dataset, a path, a run, a function or an iterable of batches, each as an `Input`."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganbench.catalog import Catalog
from ganbench.errors import DatasetError, GanbenchError, ResultsError
from ganbench.execution.batches import Spool, call_function, collect
from ganbench.execution.generator import open_generator
from ganbench.results.store import MARKER, RunFolder
from ganbench.scoring.randomness import own_randomness
from ganbench.scoring.sample import GeneratorSource, generated_rule
from ganbench.stored import Held
from ganbench.suite.parameters import describe, rebuild
from ganbench.training.checkpoint import GENERATOR_FILE
from ganbench.values import DataSpec, Images, Rows, Stream

MOST = 50_000
"""Samples that are drawn of what has no end, where nobody says how many."""

CPU = torch.device("cpu")

NOBODYS: Mapping[str, Any] = {"dataset": None, "parameters": {}, "split": None}
"""What is known of samples that no dataset read."""

Tell = Callable[[str, int, int], None]
"""Hears of progress: what is being read, how many samples are done, how many there are."""


def silent(part: str, done: int, total: int) -> None:
    """Hear of progress and say nothing."""


@dataclass(frozen=True)
class Place:
    """Where names are looked up, and how what has no end is drawn from: ``samples`` of it, under ``seed``.

    ``value_range`` is what the floats of images lie in, for sets that do not say it themselves.
    """

    catalog: Catalog
    data_root: Path
    results: Path = Path("results")
    device: torch.device = CPU
    seed: int = 0
    samples: int | None = None
    value_range: tuple[float, float] | None = None
    tell: Tell = silent


@dataclass(frozen=True)
class Input:
    """A set of samples that was found: ``name`` is what it was called, ``stored`` its samples.

    ``generator`` stands in place of ``stored`` where samples are drawn as they are needed. ``about`` says as JSON what
    the set is, without its content; ``extractor`` names its default extractor. ``dataset`` is the component that read
    it, if one did, and ``split`` which part. ``drawn`` says that there would have been more for the asking.
    """

    name: str
    data: DataSpec
    domain: str
    extractor: str | None
    about: Mapping[str, Any]
    stored: Rows | None = None
    labels: Tensor | None = None
    generator: GeneratorSource | None = None
    dataset: Any = None
    split: str | None = None
    drawn: bool = False

    @cached_property
    def content(self) -> str | None:
        """SHA-256 over the samples, all of which are looked at; None for what is drawn as it is needed.

        Raises:
            DatasetError: one cannot be read, or holds what no sample may hold.
        """
        with blamed(self.name):
            return None if self.stored is None else self.stored.fingerprint

    @property
    def count(self) -> int | None:
        """How many samples there are; None without limit."""
        return None if self.stored is None else len(self.stored)


def open_dataset(dataset: Any, split: str, place: Place, name: str) -> Input:
    """Return one split of a dataset component, streamed where the dataset can do that.

    Raises:
        DatasetError: the data cannot be read, or have no such split.
    """
    spec, images = _read(dataset, split, place.data_root, f"dataset {name!r}: ")
    return _of_dataset(dataset, split, place, name, spec, images)


def open_path(text: str, place: Place) -> Input:
    """Return what lies at a path: the run whose folder it is, or a set that some dataset can open.

    Raises:
        GanbenchError: nothing can open it, or what lies there is broken.
    """
    path = Path(text).expanduser()
    if (path / MARKER).is_file():
        raise ResultsError(f"{text} holds the results of many runs; name one of them, by its id or by its folder")
    if _is_run(path):
        return open_run(RunFolder(path), place)
    opened = []
    for entry in place.catalog.of_kind("dataset"):
        opening = getattr(entry.component, "opening", None)
        if opening is not None:
            with blamed(text):
                dataset = opening(path)
            opened += [] if dataset is None else [dataset]
    if len(opened) != 1:
        openers = [entry for entry in place.catalog.of_kind("dataset") if hasattr(entry.component, "opening")]
        known = "; ".join(f"{e.name} opens {_opens(e.component)}" for e in openers)
        several = " and ".join(dataset.name for dataset in opened)
        what = f"can be opened by {several}; name one as a dataset" if opened else "is nothing that can be opened"
        raise DatasetError(f"{text} {what} ({known})")
    return _opened(opened[0], text, place)


def open_run(folder: RunFolder, place: Place) -> Input:
    """Return the generator that a run kept, ready to draw from under the seed.

    Raises:
        GanbenchError: it kept none, or the plugins of today cannot build it.
    """
    source = open_generator(folder, place.catalog, place.data_root, place.device, place.seed)
    config = (folder.config() or {})["config"]
    dataset = rebuild(place.catalog, "dataset", config["dataset"])
    weights = hashlib.sha256((folder.path / GENERATOR_FILE).read_bytes()).hexdigest()
    return Input(
        name=f"run {folder.id}",
        data=source.data,
        domain=dataset.domain,
        extractor=dataset.extractor,
        about={"run": folder.id, "generator_sha256": weights, **generated_rule(place.seed)},
        generator=replace(source, details=generated_rule(place.seed)),
    )


def open_function(path: Path, function: str, place: Place) -> Input:
    """Return the samples that a function of a Python file yields, until there are enough or it ends.

    Torch's global random state is seeded before it is called and restored after.

    Raises:
        DatasetError: the file or the function is not there, or what it yields is no batch of samples.
    """
    name = f"{path}:{function}"
    if not function:
        raise DatasetError(f"{path} names no function; write {path}:FUNCTION")
    with own_randomness(place.seed, place.device), closing(call_function(path, function)) as batches:
        return open_batches(batches, place, name)


def open_batches(batches: Any, place: Place, name: str) -> Input:
    """Return the samples of an iterable of batches, until there are enough or it ends. Raises DatasetError."""
    limit = place.samples or MOST
    rows, form = collect(
        batches, name, limit, place.value_range, lambda done: place.tell(f"samples of {name}", done, limit)
    )
    return Input(name, form.data, "unknown", None, NOBODYS, rows, drawn=True)


def collected(found: Input, n: int, tell: Tell) -> Input:
    """Return ``found`` with an end: of a generator the first ``n`` samples, kept.

    Raises:
        DatasetError: the generator gives NaN or infinity.
    """
    if found.generator is None:
        return found
    with Spool() as spool, blamed(found.name):
        for batch in found.generator.batches(n, 256):
            spool.add(batch)
            tell(f"samples of {found.name}", spool.count, n)
        return replace(found, stored=spool.rows(found.data), generator=None)


def as_rows(images: Images | Stream, data: DataSpec) -> Rows:
    """Return the samples of a split as rows, whose fingerprint is computed once."""
    return Held(images.pixels, data) if isinstance(images, Images) else images.pixels


def training_split(found: Input, data_root: Path, cheap: bool) -> Stream | None:
    """Return the training split beside ``found``, or None where there is none.

    With ``cheap``, a split is left alone that would have to be streamed or cannot be read: it would only give a floor.

    Raises:
        DatasetError: the dataset has one that cannot be read.
    """
    if found.dataset is None or found.split == "all" or (cheap and hasattr(found.dataset, "stream")):
        return None
    if found.split == "train" and found.stored is not None:
        return Stream(found.stored, found.labels)
    try:
        spec, images = _read(found.dataset, "train", data_root, f"dataset {found.name!r}: ")
    except DatasetError:
        if cheap:
            return None
        raise
    return Stream(as_rows(images, spec), images.labels)


def _opened(dataset: Any, text: str, place: Place) -> Input:
    fields = {field.name for field in dataclasses.fields(dataset)}
    if place.value_range is not None and "value_range" in fields:
        dataset = replace(dataset, value_range=place.value_range)
    spec, images = _read(dataset, "all", place.data_root, "", text)
    return _of_dataset(dataset, "all", place, text, spec, images)


def _of_dataset(dataset: Any, split: str, place: Place, name: str, spec: DataSpec, images: Images | Stream) -> Input:
    if ("dataset", dataset.name) in place.catalog.entries:
        parameters = describe(place.catalog, "dataset", dataset)["parameters"]
    else:  # handed over in Python by somebody whose plugin is not loaded
        parameters = {f.name: str(getattr(dataset, f.name)) for f in dataclasses.fields(dataset) if f.init}
    return Input(
        name=name,
        data=spec,
        domain=dataset.domain,
        extractor=dataset.extractor,
        about={"dataset": dataset.name, "parameters": parameters, "split": split},
        stored=as_rows(images, spec),
        labels=images.labels,
        dataset=dataset,
        split=split,
    )


def _read(dataset: Any, split: str, root: Path, prefix: str, path: str = "") -> tuple[DataSpec, Images | Stream]:
    with blamed(path, prefix):
        spec = dataset.spec(root)
        read = getattr(dataset, "stream", dataset.load)
        images: Images | Stream = read(root, split)
        if not len(images):
            raise ValueError(f"the split {split!r} is empty")
    return spec, images


class blamed:  # noqa: N801  a context manager, as in contextlib
    """Turns what a dataset raises into a `DatasetError` that begins with ``prefix``, or names ``path`` somewhere."""

    def __init__(self, path: str = "", prefix: str = "") -> None:
        self.path, self.prefix = path, prefix

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, GanbenchError) or not isinstance(error, Exception):
            return
        known = isinstance(error, ValueError | OSError)
        said = str(error) if known else f"raised {type(error).__name__}: {error}"
        named = not self.path or Path(self.path).name.partition(":")[0] in said
        raise DatasetError(f"{self.prefix or ('' if named else f'{self.path}: ')}{said}") from error


def _is_run(path: Path) -> bool:
    """Say whether ``path`` is the folder of a run, and not one of images that happens to hold a config.json."""
    try:
        return path.is_dir() and "config" in (RunFolder(path).config() or {})
    except ResultsError:
        return False


def _opens(component: type) -> str:
    """Return what a dataset's `opening` says that it opens, from the first line of its docstring."""
    doc = (getattr(component, "opening").__doc__ or "what it opens").strip().splitlines()[0]  # noqa: B009
    return doc.removeprefix("Open ").rstrip(".")
