"""One measured value, in long form: what was run, what was measured, what came out, and under which protocol."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ganbench.errors import ResultsError

Status = Literal["done", "diverged", "collapsed", "saturated", "failed", "skipped", "interrupted"]
STATUSES: tuple[str, ...] = get_args(Status)


@dataclass(frozen=True)
class Record:
    """One metric of one run at one moment of its training.

    ``run`` is the training id, ``seed`` the training seed, ``images_seen`` the real images drawn so far. ``loss`` is
    None for a baseline, whose name then stands in ``architecture``. ``value`` is a finite number exactly where
    ``status`` is "done"; otherwise ``reason`` says why there is none. ``protocol`` is the id under which the value may
    be compared. ``error`` is the standard error of the value over the generated samples, None where it is not known;
    ``note`` says what the value refers to ("class 8"), where its metric has something to say.

    Raises:
        ResultsError: a field is of the wrong type or out of range, or value, status and reason contradict each other.
    """

    run: str
    dataset: str
    architecture: str
    loss: str | None
    seed: int
    images_seen: int
    metric: str
    value: float | None
    status: Status
    reason: str | None
    protocol: str
    error: float | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        for name in ("run", "dataset", "architecture", "metric", "protocol"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ResultsError(f"a record's {name} is {getattr(self, name)!r}; it must be a text that is not empty")
        for name in ("loss", "reason", "note"):
            if not isinstance(getattr(self, name), str | None):
                raise ResultsError(f"a record's {name} is {getattr(self, name)!r}; it must be a text or null")
        for name in ("seed", "images_seen"):
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise ResultsError(f"a record's {name} is {number!r}; it must be a whole number of 0 or more")
        if self.status not in STATUSES:
            raise ResultsError(f"a record's status is {self.status!r}; it must be one of {', '.join(STATUSES)}")
        self._check_value()

    def _check_value(self) -> None:
        """Refuse a value that is no finite number, and a value, or none, that its status contradicts."""
        value: Any = self.value
        error: Any = self.error
        if error is not None and (not _is_finite(error) or error < 0 or self.status != "done"):
            raise ResultsError(f"a record that is {self.status} has the error {error!r}; it must be 0 or more, or null")
        if self.status != "done":
            if value is not None:
                raise ResultsError(f"a record that is {self.status} has the value {value!r}; it must be null")
            if not self.reason:
                raise ResultsError(f"a record that is {self.status} gives no reason")
            return
        if not _is_finite(value):
            raise ResultsError(f"a record that is done has the value {value!r}; it must be a finite number")
        object.__setattr__(self, "value", float(value))

    def to_json(self) -> dict[str, Any]:
        """Return the record as a mapping that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Return the record that `to_json` made.

        Raises:
            ResultsError: a key is missing or unknown, or a field is refused.
        """
        if not isinstance(data, Mapping):
            raise ResultsError(f"a record is {type(data).__name__}; it must be a JSON object")
        known = {field.name for field in fields(cls)}
        missing, unknown = sorted(known - {"error", "note"} - data.keys()), sorted(map(str, data.keys() - known))
        if missing:
            raise ResultsError(f"a record lacks {', '.join(missing)}")
        if unknown:
            raise ResultsError(f"a record has the unknown key {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        return cls(**data)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
