"""``where``: which labels a rule of a suite names, and which combinations it matches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ganbench.errors import SuiteError
from ganbench.suite.schema import SuiteFile


def matches(where: Mapping[str, Sequence[str]], labels: Mapping[str, str]) -> bool:
    """Return whether a combination has one of the named labels on each axis that ``where`` names."""
    return all(labels[axis] in names for axis, names in where.items())


def is_excluded(suite: SuiteFile, labels: Mapping[str, str]) -> bool:
    """Return whether an ``[[exclude]]`` rule takes the combination of these labels out of the suite."""
    return any(
        matches(rule.where, labels) and not (rule.unless and matches(rule.unless, labels)) for rule in suite.exclude
    )


def check_rules(suite: SuiteFile, axes: Mapping[str, Sequence[str]]) -> None:
    """Raise SuiteError for a rule that names a label which is not on its axis, and so matches nothing."""
    for name, where in _rules(suite):
        for axis, labels in where.items():
            for label in labels:
                if label not in axes[axis]:
                    raise SuiteError(f"{name}: no {axis} is labelled {label!r}; labels: {', '.join(axes[axis])}")


def _rules(suite: SuiteFile) -> Iterator[tuple[str, Mapping[str, Sequence[str]]]]:
    yield from ((f"[[cell]] number {number}", rule.where) for number, rule in enumerate(suite.cell, start=1))
    for number, rule in enumerate(suite.exclude, start=1):
        yield from ((f"[[exclude]] number {number}", labels) for labels in (rule.where, rule.unless))
    if suite.search:
        yield from ((f"search.space {key}", dimension.where) for key, dimension in suite.search.space.items())
