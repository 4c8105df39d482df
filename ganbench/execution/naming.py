"""What somebody calls a set of samples on the command line or in Python, and which set that is.

A text is read in this order; one that may be several things is refused, with the spellings that tell them apart:

1. ``path.py:function`` is a function that yields batches;
2. what has a ``/`` in it, or begins with ``.`` or ``~``, is a path; another text is one too if something is called so;
3. ``name``, ``name(parameter=value)`` or ``name:split`` is a dataset, of which the split "test" is meant if none is
   named;
4. the id of a run below the results folder, or its first digits.

A path leads to the folder of a run, or to what some dataset's `opening` can read; the core knows no format.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ganbench.errors import DatasetError, GanbenchError, UnknownComponent
from ganbench.execution.generator import runs_called
from ganbench.execution.inputs import Input, Place, open_dataset, open_function, open_path, open_run
from ganbench.suite.parameters import instantiate
from ganbench.suite.terms import parse_term

_FUNCTION = re.compile(r"(.+\.py)(?::([^:/\\]*))?", re.IGNORECASE | re.DOTALL)
_TERM = re.compile(r"\s*([a-z0-9][a-z0-9._+-]*)\s*(\(.*\))?(?::([\w-]+))?\s*", re.DOTALL)


@dataclass(frozen=True)
class Reading:
    """One thing that a text may mean: what it is, a spelling that means nothing else, how it is opened."""

    what: str
    spelling: str
    open: Callable[[], Input]


def open_text(text: str, place: Place) -> Input:
    """Return the set that ``text`` means; see above for what it may be.

    Raises:
        GanbenchError: it means nothing or several things, or what it means cannot be read; the sentence says what.
    """
    found = readings(text, place)
    if not found:
        raise _unknown(text, place)
    if len(found) > 1:
        choices = " or ".join(f"{reading.what} (write {reading.spelling})" for reading in found)
        raise GanbenchError(f"{text!r} may be {choices}")
    return found[0].open()


def readings(text: str, place: Place) -> list[Reading]:
    """Return everything that ``text`` may mean, in the order above. Raises GanbenchError for a path to nothing."""
    function = _FUNCTION.fullmatch(text)
    if function:
        path = Path(function[1]).expanduser()
        return [Reading("a function", text, partial(open_function, path, function[2] or "", place))]
    term = _TERM.fullmatch(text)
    written_as_path = text.startswith((".", "~")) or ("/" in text and not (term and term[2]))
    there = _is_there(text) or _is_there(text.rpartition(":")[0], file=True)
    if written_as_path and not there:
        raise DatasetError(f"{text} does not exist")
    found = []
    if there:
        found.append(Reading("the path", f"./{text}", partial(open_path, text, place)))
    if written_as_path:
        return found
    if term and (("dataset", term[1]) in place.catalog.entries or (term[2] and not there)):
        spelling = text if term[3] else f"{text}:test"
        found.append(Reading("a dataset", spelling, partial(open_term, text, place)))
    runs = {folder.id: folder for folder in runs_called(text, place.results)}
    return [*found, *(Reading("a run", str(run.path), partial(open_run, run, place)) for run in runs.values())]


def open_term(text: str, place: Place) -> Input:
    """Return the split of a dataset that ``name(parameter=value):split`` names; "test" where no split is named.

    Raises:
        GanbenchError: there is no such dataset, parameter or split, or the data cannot be read.
    """
    matched = _TERM.fullmatch(text)
    split = matched[3] if matched else None
    term = parse_term(text.rpartition(":")[0] if split else text)
    if term.extras:
        raise DatasetError(f"{text!r} adds {term.extras[0].name!r} to a dataset, which can have nothing added")
    dataset = instantiate(place.catalog.find("dataset", term.name), term.parameters)
    return open_dataset(dataset, split or "test", place, text)


def term_of(dataset: Any, split: str) -> str:
    """Return the dataset in the short form that `open_term` reads."""
    given = {f.name: getattr(dataset, f.name) for f in dataclasses.fields(dataset) if f.init}
    inside = ", ".join(f"{key}={_toml(value)}" for key, value in given.items() if value is not None)
    return f"{dataset.name}({inside}):{split}"


def _is_there(text: str, file: bool = False) -> bool:
    try:
        path = Path(text).expanduser()
        return bool(text) and (path.is_file() if file else path.exists())
    except (OSError, RuntimeError):  # too long for a path, or of a user who is not there
        return False


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list | tuple) else repr(value)


def _unknown(text: str, place: Place) -> GanbenchError:
    term = _TERM.fullmatch(text)
    try:
        place.catalog.find("dataset", term[1] if term else text)
        hint = "cannot be read"
    except UnknownComponent as error:
        hint = str(error)
    return DatasetError(
        f"{text!r} is no file or folder, no FILE.py:FUNCTION, no run below {place.results} and no dataset: {hint}"
    )
