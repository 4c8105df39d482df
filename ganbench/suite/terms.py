"""The short form of components, the same on the command line and in a suite's lists: ``dcgan(width=32)+r1,hinge``.

A term is a name, parameters in parentheses, and further components after ``+``. Parameter values are written as in
TOML; a bare word is a string.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ganbench.components import NAME_PATTERN
from ganbench.errors import SuiteError

_BRACKETS = MappingProxyType({"(": ")", "[": "]", "{": "}"})


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
    return tuple(parse_term(part) for part in split_terms(text))


def split_terms(text: str) -> list[str]:
    """Return the texts between commas, those within brackets and quotes aside. Raises SuiteError as `parse_terms`."""
    return _split(text, ",")


def parse_term(text: str) -> Term:
    """Parse one term. Raises SuiteError where the text is not of this form."""
    head, *extras = (_parse_single(part) for part in _split(text, "+"))
    return Term(head.name, head.parameters, tuple(extras))


def parse_value(text: str) -> Any:
    """Return ``text`` as a TOML value of numbers, text, booleans, lists and tables; what is none is a string."""
    text = text.strip()
    try:
        table = tomllib.loads(f"value = {text}")
        if table.keys() == {"value"} and _is_plain(table["value"]):
            return table["value"]
    except tomllib.TOMLDecodeError:
        pass
    try:  # Python's 1e6 is TOML's 1e6, but .5 and 1. are not
        number = float(text)
    except ValueError:
        return text
    return number if _is_plain(number) else text


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold ``value``: dates, NaN and infinities are words here."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _parse_single(text: str) -> Term:
    match = re.fullmatch(rf"\s*({NAME_PATTERN.replace('+', '', 1)})\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    if match is None:
        raise SuiteError(f"cannot read {text.strip()!r}; write a name, or name(parameter=value, ...)")
    name, inside = match.groups()
    parameters: dict[str, Any] = {}
    for part in _split(inside, ",") if inside and inside.strip() else ():
        key, equals, value = part.partition("=")
        key = key.strip()
        if not equals or not key.isidentifier():
            raise SuiteError(f"cannot read {part.strip()!r} in {text.strip()!r}; write parameter=value")
        if key in parameters or key == "name":
            raise SuiteError(f"{key} is given twice in {text.strip()!r}")
        parameters[key] = parse_value(value)
    return Term(name, parameters)


def _split(text: str, separator: str) -> list[str]:
    """Split at ``separator`` outside brackets and quotes."""
    parts, closing, quote, start = [], list[str](), "", 0
    for i, char in enumerate(text):
        if quote:
            escaped = quote == '"' and _backslashes_before(text, i) % 2
            quote = "" if char == quote and not escaped else quote
        elif char in "\"'":
            quote = char
        elif char in _BRACKETS:
            closing.append(_BRACKETS[char])
        elif char in _BRACKETS.values():
            if not closing or closing.pop() != char:
                raise SuiteError(f"the brackets in {text.strip()!r} do not match")
        elif char == separator and not closing:
            parts.append(text[start:i])
            start = i + 1
    if closing or quote:
        raise SuiteError(f"a bracket or quote is left open in {text.strip()!r}")
    return [*parts, text[start:]]


def _backslashes_before(text: str, i: int) -> int:
    return i - len(text[:i].rstrip("\\"))
