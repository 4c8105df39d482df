"""What a metric's values along a ladder say about the metric, beyond the noise of sampling.

Two rungs differ beyond the noise where their values are more than three standard errors of a difference apart, those of
two independent sets: what would tell two generators apart. Rungs are made of the same samples, so this is strict.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

BEYOND = 3.0
"""Standard errors; by chance one of 370 comparisons goes beyond, and a table holds some hundreds."""

Word = Literal[
    "follows",
    "follows, then flat",
    "follows roughly",
    "follows late",
    "turns back",
    "does not follow",
    "moves the wrong way",
    "blind, as meant",
    "moves though it should not",
    "not measured",
]

MEANINGS: Mapping[Word, str] = {
    "follows": "every step is worse than the one before",
    "follows, then flat": "every step is worse up to the rung named, and the last rung is no worse than that one",
    "follows roughly": "every rung is worse than clean and none turns back, but some steps are within the noise",
    "follows late": "worse than clean from the rung named on, not before; none turns back",
    "turns back": "worse than clean at the end, but the step to the rung named is for the better",
    "does not follow": "the last rung is not worse than clean",
    "moves the wrong way": "the last rung is better than clean",
    "blind, as meant": "not meant to move, and no rung differs from clean",
    "moves though it should not": "not meant to move, but from the rung named on it differs from clean",
    "not measured": "too few rungs have a value",
}
"""What each verdict says; every comparison is beyond the noise of sampling."""


@dataclass(frozen=True)
class Reading:
    """A metric's value at one rung, None where there is none; ``noise`` is its standard error over samples."""

    level: float
    value: float | None
    noise: float


@dataclass(frozen=True)
class Verdict:
    """What a ladder says: a word of `MEANINGS`, and the ``level`` of the rung that it names, if it names one."""

    word: Word
    level: float | None = None

    def __str__(self) -> str:
        """Return the words for people: ``follows late (from 0.3)``."""
        if self.level is None:
            return self.word
        where = {"follows, then flat": "after", "turns back": "at"}.get(self.word, "from")
        return f"{self.word} ({where} {self.level:g})"


def judge(readings: Sequence[Reading], direction: Literal["lower", "higher"], blind: bool) -> Verdict:
    """Return the verdict on the ``readings`` of one ladder, rung 0 first; rungs without a value are passed over."""
    if not readings or readings[0].value is None:
        return Verdict("not measured")
    known = [reading for reading in readings if reading.value is not None]
    if len(known) < 2:
        return Verdict("not measured")
    worse = 1 if direction == "lower" else -1
    from_clean = [worse * _moved(known[0], reading) for reading in known[1:]]
    levels = [reading.level for reading in known[1:]]
    if blind:
        return _judge_blind(from_clean, levels)
    steps = [worse * _moved(a, b) for a, b in itertools.pairwise(known)]
    if from_clean[-1] <= 0:
        return Verdict("moves the wrong way" if from_clean[-1] < 0 else "does not follow")
    if -1 in steps:
        return Verdict("turns back", levels[steps.index(-1)])
    if 0 not in steps:
        return Verdict("follows")
    last = len(steps) - 1 - steps[::-1].index(1) if 1 in steps else len(steps) - 1
    if 0 not in steps[: last + 1] and not _moved(known[last + 1], known[-1]):
        return Verdict("follows, then flat", levels[last])
    seen = len(levels) - _run(from_clean[::-1])
    return Verdict("follows late", levels[seen]) if seen else Verdict("follows roughly")


def _judge_blind(from_clean: list[int], levels: list[float]) -> Verdict:
    moved = [level for level, moved in zip(levels, from_clean, strict=True) if moved]
    return Verdict("moves though it should not", moved[0]) if moved else Verdict("blind, as meant")


def _moved(a: Reading, b: Reading) -> int:
    """Return 1 where ``b`` is larger than ``a`` beyond the noise, -1 where it is smaller, else 0."""
    if a.value is None or b.value is None:
        return 0
    difference = b.value - a.value
    if abs(difference) <= BEYOND * math.hypot(a.noise, b.noise):
        return 0
    return 1 if difference > 0 else -1


def _run(signs: Sequence[int]) -> int:
    """Return how many of ``signs`` are 1 before the first that is not."""
    return next((count for count, sign in enumerate(signs) if sign != 1), len(signs))


_TRUSTED: Mapping[Word, str] = {
    "follows": "{}",
    "follows roughly": "{} (roughly)",
    "follows, then flat": "{} (up to {:g})",
    "follows late": "{} (from {:g})",
}
_OTHERS: Mapping[Word, tuple[str, str]] = {
    "turns back": ("turns back along {}", "{} (at {:g})"),
    "does not follow": ("does not see {}", "{}"),
    "moves the wrong way": ("takes {} for an improvement", "{}"),
    "moves though it should not": ("moves, though it is not meant to, along {}", "{} (from {:g})"),
    "blind, as meant": ("is blind, as meant, to {}", "{}"),
    "not measured": ("has no value along {}", "{}"),
}


def sentence(verdicts: Mapping[str, Verdict], lost: Mapping[str, float] | None = None) -> str:
    """Say in one sentence how far a metric can be trusted, from its verdicts by ladder.

    ``lost`` gives the level of the first rung without a value, on ladders where there is one.
    """
    trusted = [
        _TRUSTED[verdict.word].format(ladder, verdict.level)
        for ladder, verdict in verdicts.items()
        if verdict.word in _TRUSTED
    ]
    parts = [f"Can be trusted along {_listed(trusted)}" if trusted else "Can be trusted along no ladder"]
    for word, (phrase, form) in _OTHERS.items():
        found = [form.format(ladder, verdict.level) for ladder, verdict in verdicts.items() if verdict.word == word]
        if found:
            parts.append(phrase.format(_listed(found)))
    gaps = [
        f"{ladder} ({level:g})"
        for ladder, level in (lost or {}).items()
        if ladder in verdicts and verdicts[ladder].word != "not measured"
    ]
    if gaps:
        parts.append(f"has rungs without a value on {_listed(gaps)}")
    return f"{'; '.join(parts)}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
