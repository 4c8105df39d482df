"""The short form of components, the same on the command line and in a suite's lists: ``dcgan(width=32)+r1,hinge``.

A term is a name, parameters in parentheses, and further components after ``+``. Parameter values are written as in
TOML; a bare word is a string.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import Any

from ganbench.components import NAME_PATTERN
from ganbench.errors import SuiteError

_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True)
class Term:
    """One component in short form, with the components added to it."""

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    extras: tuple[Term, ...] = ()

    def as_table(self) -> dict[str, Any]:
        """Return the table of a suite file that says the same; what was added after ``+`` stands under that key."""
        table: dict[str, Any] = {"name": self.name, **self.parameters}
        if self.extras:
            table["+"] = [extra.as_table() for extra in self.extras]
        return table


def parse_terms(text: str) -> tuple[Term, ...]:
    """Parse terms separated by commas.

    Raises:
        SuiteError: the text is not of this form.
    """
    return tuple(parse_term(part) for part in _split(text, ","))


def parse_term(text: str) -> Term:
    """Parse one term. Raises SuiteError where the text is not of this form."""
    head, *extras = (_parse_single(part) for part in _split(text, "+"))
    return Term(head.name, head.parameters, tuple(extras))


def parse_value(text: str) -> Any:
    """Return ``text`` as a TOML value; what is none is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        pass
    try:  # Python's 1e6 is TOML's 1e6, but .5 and 1. are not
        return float(text)
    except ValueError:
        return text.strip()


def _parse_single(text: str) -> Term:
    match = re.fullmatch(rf"\s*({NAME_PATTERN.replace('+', '', 1)})\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    if match is None:
        raise SuiteError(f"cannot read {text.strip()!r}; write a name, or name(parameter=value, ...)")
    name, inside = match.groups()
    parameters: dict[str, Any] = {}
    for part in _split(inside, ",") if inside and inside.strip() else ():
        key, equals, value = part.partition("=")
        if not equals or not key.strip().isidentifier():
            raise SuiteError(f"cannot read {part.strip()!r} in {text.strip()!r}; write parameter=value")
        parameters[key.strip()] = parse_value(value.strip())
    return Term(name, parameters)


def _split(text: str, separator: str) -> list[str]:
    """Split at ``separator`` outside brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif char == separator and depth == 0 and not _in_number(text, i):
            parts.append(text[start:i])
            start = i + 1
    if depth or quote:
        raise SuiteError(f"a bracket or quote is left open in {text!r}")
    return [*parts, text[start:]]


def _in_number(text: str, i: int) -> bool:
    """Whether the character at ``i`` is the sign of an exponent, as in 1e+4."""
    return text[i] == "+" and re.search(r"\d[eE]$", text[:i]) is not None
