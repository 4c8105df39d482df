"""Plain text in columns, readable at 100 characters."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

WIDTH = 100
_GAP = 2


def columns(rows: Sequence[Sequence[str]], caps: Sequence[int], indent: int = 2) -> Iterator[str]:
    """Yield lines that show ``rows`` in aligned columns, each at most its cap wide, the last one filling the line.

    A cell wraps within its column; a word that is wider than the column sticks out on a line of its own.
    """
    if not rows:
        return
    widths = [min(cap, max(len(row[i]) for row in rows)) for i, cap in enumerate(caps)]
    last = max(24, WIDTH - indent - sum(width + _GAP for width in widths))
    for row in rows:
        cells = [_wrapped(cell, width) for cell, width in zip(row, [*widths, last], strict=True)]
        for number in range(max(len(cell) for cell in cells)):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            padded = [f"{part:<{width + _GAP}}" for part, width in zip(parts, widths, strict=False)]
            yield (" " * indent + "".join([*padded, parts[-1]])).rstrip()


def paragraphs(text: str, indent: int = 0) -> Iterator[str]:
    """Yield ``text`` line by line, paragraphs that are too wide wrapped anew; indented ones stay as they are."""
    width = WIDTH - indent
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ""
        lines = paragraph.splitlines()
        if any(len(line) > width for line in lines) and not any(line.startswith((" ", "\t", "- ")) for line in lines):
            lines = _wrapped(" ".join(lines), width)
        yield from ((" " * indent + line).rstrip() for line in lines)


def pairs(rows: Iterable[tuple[str, str]], indent: int = 2) -> Iterator[str]:
    """Yield a line or more for each (key, value), the values aligned; a repeated key is written once."""
    shown, before = [], ""
    for key, value in rows:
        shown.append(("" if key == before else key, value))
        before = key
    return columns(shown, [24], indent)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 1), break_long_words=False, break_on_hyphens=False) or [""]
