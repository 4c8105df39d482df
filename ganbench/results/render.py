"""A table as Markdown (padded, to be read in a terminal), CSV (long form), LaTeX (booktabs) or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from ganbench.results import text

if TYPE_CHECKING:
    from ganbench.results.grid import Block, Entry
    from ganbench.results.table import Table


def markdown(table: Table) -> str:
    """Return all blocks as Markdown tables, each below its title and above its notes."""
    return "\n\n".join(_markdown_block(block) for block in table.blocks) + "\n"


def _markdown_block(block: Block) -> str:
    header = [text.markdown(name) for name in block.header]
    body = [[_markdown_entry(entry) for entry in row] for row in block.rows]
    lines = padded(header, body, [_numeric(block.rows, index) for index in range(len(header))])
    notes = [f"- {text.markdown(note)}" for note in block.notes]
    return "\n".join([f"**{text.markdown(block.title)}**", "", *lines, *([""] if notes else []), *notes])


def _markdown_entry(entry: Entry) -> str:
    return f"**{text.markdown(entry.text)}**" if entry.bold else text.markdown(entry.text)


def padded(header: Sequence[str], body: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Return the lines of a Markdown table whose cells are padded, those of the columns ``right`` on their left."""
    widths = [max(3, *(text.width(row[i]) for row in (header, *body))) for i in range(len(header))]
    rule = [f"{'-' * (size - 1)}:" if flush else "-" * size for size, flush in zip(widths, right, strict=True)]
    return [_padded(row, widths, right) for row in (header, rule, *body)]


def _padded(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = []
    for cell, size, flush in zip(row, widths, right, strict=True):
        space = " " * (size - text.width(cell))
        cells.append(space + cell if flush else cell + space)
    return f"| {' | '.join(cells)} |"


def _numeric(rows: Sequence[Sequence[Entry]], index: int) -> bool:
    return bool(rows) and all(row[index].numeric for row in rows)


def latex(table: Table) -> str:
    """Return all blocks as ``table`` environments for the package booktabs, notes below as footnotes."""
    head = "% needs \\usepackage{booktabs}\n"
    return head + "\n\n".join(_latex_block(block) for block in table.blocks) + "\n"


def _latex_block(block: Block) -> str:
    spec = "".join("r" if _numeric(block.rows, index) else "l" for index in range(len(block.header)))
    rows = [" & ".join(_latex_entry(entry) for entry in row) for row in block.rows]
    notes = " \\\\\n".join(text.latex(note) for note in block.notes)
    return "\n".join(
        [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{text.latex(block.title)}}}",
            f"\\begin{{tabular}}{{{spec}}}",
            "\\toprule",
            " & ".join(text.latex(name) for name in block.header) + r" \\",
            "\\midrule",
            *(f"{row} \\\\" for row in rows),
            "\\bottomrule",
            "\\end{tabular}",
            *(["\\par\\footnotesize\\raggedright", notes] if notes else []),
            "\\end{table}",
        ]
    )


def _latex_entry(entry: Entry) -> str:
    return f"\\textbf{{{text.latex(entry.text)}}}" if entry.bold else text.latex(entry.text)


def csv(table: Table) -> str:
    """Return the long form, a line for each row and metric; text that a spreadsheet would compute is quoted."""
    import pandas as pd

    rows = [
        {key: text.spreadsheet(value) if isinstance(value, str) else value for key, value in row.items()}
        for row in table.long
    ]
    return pd.DataFrame(rows, dtype=object).to_csv(index=False, lineterminator="\n")


def as_json(table: Table) -> str:
    """Return the long form and the notes of each block as one JSON object."""
    content = {
        "suite": text.plain(table.suite),
        "level": table.level,
        "rows": [
            {key: text.plain(value) if isinstance(value, str) else value for key, value in row.items()}
            for row in table.long
        ],
        "tables": [
            {"title": text.plain(block.title), "notes": [text.plain(note) for note in block.notes]}
            for block in table.blocks
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[Table], str]] = MappingProxyType(
    {"markdown": markdown, "csv": csv, "latex": latex, "json": as_json}
)
