"""`ganbench.score`: from Python what ``ganbench score`` does on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ganbench.catalog import load_catalog
from ganbench.components import Extractor
from ganbench.errors import DatasetError
from ganbench.execution.batches import as_tensor
from ganbench.execution.environment import resolve_device
from ganbench.execution.inputs import NOBODYS, Input, Place, as_rows, open_batches, open_dataset, open_path
from ganbench.execution.naming import open_text
from ganbench.execution.scores import Scores
from ganbench.execution.scoring import Wanted, find_extractor, find_metrics
from ganbench.execution.scoring import score as measure
from ganbench.folders import data_folder
from ganbench.stored import Held, dtype_name, form_of
from ganbench.values import DataSpec, Images, ImageSpec, PointSpec, Stream

__all__ = ["Scores", "score"]

Samples: TypeAlias = "str | Path | Tensor | np.ndarray[Any, Any] | Images | Stream | Iterable[Any]"
"""What may be scored: see `score`; also a dataset component, such as ``Digits(size=32)``."""


def score(  # noqa: PLR0913  all but the first two have defaults
    generated: Samples | Any,
    reference: Samples | Any,
    *,
    extractor: str | Extractor | None = None,
    metrics: str | Sequence[str] | None = None,
    samples: int | None = None,
    seed: int = 0,
    device: str = "auto",
    data_root: str | Path | None = None,
    results: str | Path = "results",
    value_range: tuple[float, float] | None = None,
    force: bool = False,
    errors: bool = True,
    batch_size: int = 128,
    plugins: Sequence[str | Path] = (),
) -> Scores:
    """Score ``generated`` samples against ``reference`` ones, under one protocol a metric.

    Each side is one of

    - a tensor or array: images uint8 (N, C, H, W), (N, H, W, C) or (N, H, W) in [0, 255], the same as floats in
      [-1, 1] (or in ``value_range``), or points float (N, d);
    - an iterable of such batches, read until there are ``samples`` or it ends;
    - `ganbench.Images` or a dataset component, of which the split "test" is meant;
    - a `Path` to a folder or zip of images, to an .npy or .npz file, or to the folder of a run;
    - a string, as on the command line: a path, a dataset ("mnist:train"), the id of a run below ``results``, or
      "path.py:function".

    ``extractor`` is a term such as "inception_v3" or a component, by default that of the reference's dataset;
    ``metrics`` are names, by default the standard ones; ``samples`` is how many generated samples are looked at, by
    default all up to 50,000. ``seed`` fixes which ones and every draw of a metric. ``force`` uses the extractor on data
    that it was not made for; then names end in ``!forced``. ``errors`` asks for the standard error of each score over
    the generated samples. ``batch_size`` changes speed only.

    Returns scores by full name, ``result["fd/digits_cnn"].value``, with ``protocols``, ``to_frame()``, ``to_json()``
    and a table as text. A metric that cannot be measured has no value but a ``status`` and a ``reason``. Torch's global
    random state is the same before and after, except for what an iterable itself draws.

    Raises:
        ganbench.GanbenchError: a set, a metric or the extractor cannot be used; the sentence says what to do.
    """
    catalog = load_catalog([Path(path) for path in plugins])
    place = Place(
        catalog=catalog,
        data_root=Path(data_root) if data_root is not None else data_folder(),
        results=Path(results),
        device=resolve_device(device),
        seed=seed,
        samples=samples,
        value_range=value_range,
    )
    chosen = find_extractor(catalog, extractor) if isinstance(extractor, str) else extractor
    wanted = Wanted(find_metrics(catalog, metrics), chosen, None, samples, force, errors, batch_size)
    against = _open(reference, "reference", place)
    return measure(_open(generated, "generated", place), against, wanted, place)


def _open(given: Any, name: str, place: Place) -> Input:
    if isinstance(given, str):
        return open_text(given, place)
    if isinstance(given, Path):
        return open_path(str(given), place)
    if isinstance(given, Tensor | np.ndarray):
        return _array(given, name, place)
    if isinstance(given, Images | Stream):
        return _images(given, name)
    if hasattr(given, "load") and hasattr(given, "spec"):
        return open_dataset(given, "test", place, given.name)
    if isinstance(given, Iterable):
        return open_batches(given, place, name)
    raise DatasetError(
        f"{name} is {type(given).__name__}; give a tensor, an array, batches of them, a path or a dataset"
    )


def _array(given: Tensor | np.ndarray[Any, Any], name: str, place: Place) -> Input:
    try:
        tensor = as_tensor(given, name)
        form = form_of(name, tuple(tensor.shape), dtype_name(tensor.dtype), place.value_range)
        if not len(tensor):
            raise ValueError(f"{name} holds no samples")
        stored = form.store(tensor)
        form.check_lowest(form.lowest(tensor))
    except ValueError as error:
        raise DatasetError(str(error)) from error
    return Input(name, form.data, "unknown", None, NOBODYS, Held(stored, form.data))


def _images(given: Images | Stream, name: str) -> Input:
    if not len(given):
        raise DatasetError(f"{name} holds no samples")
    first = given.pixels[torch.arange(1)]
    shape = tuple(first.shape[1:])
    if first.dtype == torch.uint8 and len(shape) == 3:
        data: DataSpec = ImageSpec((shape[0], shape[1], shape[2]))
    elif first.dtype == torch.float32 and len(shape) == 1:
        data = PointSpec((shape[0],))
    else:
        raise DatasetError(
            f"{name} holds {first.dtype} of shape {shape}; stored samples are uint8 images or float32 points"
        )
    return Input(name, data, "unknown", None, NOBODYS, as_rows(given, data), given.labels)
