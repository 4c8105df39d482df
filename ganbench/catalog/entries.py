"""What the catalog holds: entries, suites and faults, all frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ganbench.catalog.text import one_line, summary
from ganbench.errors import SuiteError, UnknownComponent, did_you_mean


@dataclass(frozen=True)
class Entry:
    """One usable component. ``origin`` is "distribution version", or "file:line" for a plugin loaded from a path."""

    kind: str
    name: str
    component: type
    origin: str

    @property
    def paper(self) -> str:
        """The arXiv id or reference, on one line."""
        return one_line(getattr(self.component, "paper", ""))

    @property
    def summary(self) -> str:
        """The first line of the component's docstring."""
        return summary(self.component)


@dataclass(frozen=True)
class Fault:
    """Something that a plugin got wrong, and where.

    ``stage`` is "find", "import", "register", "call", "check" or "clash". ``names`` are the (kind, name) pairs that it
    makes unusable, as far as they can be known; ``traceback`` is "" where nothing was raised.
    """

    origin: str
    stage: str
    reason: str
    traceback: str = ""
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class SuiteEntry:
    """A suite file that a plugin offers, found by its stem."""

    name: str
    path: Path
    origin: str


@dataclass(frozen=True)
class Catalog:
    """All usable components by (kind, name), all suites by name, and what failed."""

    entries: Mapping[tuple[str, str], Entry] = field(default_factory=lambda: MappingProxyType({}))
    suites: Mapping[str, SuiteEntry] = field(default_factory=lambda: MappingProxyType({}))
    faults: tuple[Fault, ...] = ()

    def find(self, kind: str, name: str) -> Entry:
        """Return the component of this kind and name.

        Raises:
            UnknownComponent: there is none; where a fault is known to have taken it away, the message says so.
        """
        entry = self.entries.get((kind, name))
        if entry is None:
            raise UnknownComponent(self._absent(kind, name))
        return entry

    def named(self, name: str) -> list[Entry]:
        """Return the components of this name, of whatever kind."""
        return [entry for entry in self.entries.values() if entry.name == name]

    def of_kind(self, kind: str) -> list[Entry]:
        """Return the components of one kind, sorted by name."""
        return sorted((entry for entry in self.entries.values() if entry.kind == kind), key=lambda entry: entry.name)

    def suite(self, name: str) -> SuiteEntry:
        """Return the suite of this name.

        Raises:
            SuiteError: there is none.
        """
        suite = self.suites.get(name)
        if suite is None:
            raise SuiteError(self._faulty("suite", name) or f"unknown suite {name!r}{did_you_mean(name, self.suites)}")
        return suite

    def absent(self, name: str) -> UnknownComponent:
        """Return the error that says why no component of whatever kind has this name."""
        for fault in self.faults:
            for kind, faulty in fault.names:
                if faulty == name:
                    return UnknownComponent(self._faulty(kind, name))
        known = {entry.name for entry in self.entries.values()}
        return UnknownComponent(f"unknown component {name!r}{did_you_mean(name, known)}{self._unnamed()}")

    def _absent(self, kind: str, name: str) -> str:
        faulty = self._faulty(kind, name)
        if faulty:
            return faulty
        others = " and ".join(f"the {entry.kind}" for entry in self.named(name))
        hint = f" (there is {others} of this name)" if others else ""
        known = [entry.name for entry in self.of_kind(kind)]
        return f"unknown {kind} {name!r}{hint}{did_you_mean(name, known)}{self._unnamed()}"

    def _faulty(self, kind: str, name: str) -> str:
        for fault in self.faults:
            if (kind, name) in fault.names:
                where = "" if fault.stage == "clash" else f" ({fault.origin})"
                return f"{kind} {name!r} cannot be used{where}: {fault.reason}"
        return ""

    def _unnamed(self) -> str:
        count = sum(not fault.names for fault in self.faults)
        what = "a plugin fault" if count == 1 else f"{count} plugin faults"
        return f"; {what} may have taken it away, see 'ganbench plugins'" if count else ""
