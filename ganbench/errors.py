"""The errors that a user can mend, each said in one sentence.

The core raises these, plugins raise ``ValueError``; the command line turns both into one sentence and exit code 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GanbenchError(Exception):
    """What was asked for cannot be done; the message says what was asked, what was found, what is possible."""


class SuiteError(GanbenchError):
    """A suite file or the command line asks for something that has no meaning here."""


class UnknownComponent(GanbenchError):
    """No plugin that loaded offers a component of this name."""


class DatasetError(GanbenchError):
    """A dataset is missing, truncated, of mixed sizes, or not what the suite needs."""


class ExtractorUnavailable(GanbenchError):
    """A feature extractor cannot be used on this machine now; the message says what to do."""


class DeviceError(GanbenchError):
    """The device that was asked for does not exist here."""


class RankLost(GanbenchError):
    """One of several processes that play a run together is gone, or failed alone; the others end as well."""


class CannotBeCut(GanbenchError):
    """A batch cannot be evaluated in parts, because the result would be another one."""


class MemoryExhausted(GanbenchError):
    """A run does not fit into the device's memory, whatever is done to save some."""


class ResultsError(GanbenchError):
    """A results folder cannot be read or written, or is not one of ours."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'? known: a, b`` for an unknown ``name``, to be appended to a sentence."""
    known = sorted(known)
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{hint} known: {', '.join(known) if known else 'none'}"
