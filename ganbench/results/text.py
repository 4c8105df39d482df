"""Numbers and foreign text as tables show them: significant digits, and escapes for each format."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

ARROWS = {"lower": "↓", "higher": "↑"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
}


def plain(text: str) -> str:
    """Return ``text`` on one line without control, format or surrogate characters."""
    spaced = re.sub(r"\s+", " ", text).strip()
    return "".join(char for char in spaced if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co"))


def markdown(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is, in a table's cell too."""
    escaped = re.sub(r"([\\`*\[\]<>|])", r"\\\1", plain(text))
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", escaped)


def latex(text: str) -> str:
    """Return ``text`` so that LaTeX typesets it as it is."""
    return "".join(_LATEX.get(char, char) for char in plain(text))


def spreadsheet(text: str) -> str:
    """Return ``text`` so that no spreadsheet takes it for a formula: an apostrophe before =, +, - and @.

    Numbers are left alone.
    """
    text = plain(text)
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return text


def width(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def significant(value: float, digits: int = 4) -> str:
    """Return ``value`` to so many significant digits, scientific where it is tiny or huge."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return _fixed(value, digits - 1 - _exponent(value, digits))


def with_interval(mean: float, half_width: float) -> str:
    """Return ``mean ± half_width``: the half-width to two significant digits, the mean to the same decimals."""
    if half_width == 0:
        return f"{significant(mean)} ± 0"
    decimals = 1 - _exponent(half_width, 2)
    return f"{_fixed(mean, decimals)} ± {_fixed(half_width, decimals)}"


def count(value: float) -> str:
    """Return a rate or a number of steps: whole from 100 on, with thousands separated, else three digits."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else significant(value, 3)


def either(words: Sequence[str]) -> str:
    """Return "a", "a or b", "a, b or c"."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _exponent(value: float, digits: int) -> int:
    """Return the power of ten of ``value`` after rounding to ``digits`` significant digits."""
    return int(f"{value:.{digits - 1}e}".rpartition("e")[2])


def _fixed(value: float, decimals: int) -> str:
    """Return ``value`` rounded to ``decimals`` places (negative: tens), scientific beyond six places either way."""
    rounded = round(value, decimals) + 0.0  # no negative zero
    if -6 <= decimals <= 6:
        return f"{rounded:.{max(decimals, 0)}f}"
    if rounded == 0:
        return "0"
    return f"{rounded:.{max(0, decimals + math.floor(math.log10(abs(rounded))))}e}"
