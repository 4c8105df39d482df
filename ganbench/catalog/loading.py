"""Loads plugins one by one and turns whatever goes wrong into faults; everything else goes on."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar

import pluggy

from ganbench import hookspecs
from ganbench.catalog.checking import is_name, refusal
from ganbench.catalog.entries import Catalog, Entry, Fault, SuiteEntry
from ganbench.catalog.sources import Installed, Loose, Source, given, installed
from ganbench.catalog.text import clean, one_line
from ganbench.components import KINDS, NAME_PATTERN, Kind
from ganbench.errors import did_you_mean

_LONGEST_REASON = 400
_NAME = re.compile(r"""^[ \t]+name\b[^=\n]*=[ \t]*["']([^"'\n]+)["']""", re.MULTILINE)
_FUNCTION = re.compile(r"^def (\w+)\(", re.MULTILINE)

T = TypeVar("T", Entry, SuiteEntry)


def load_catalog(paths: Sequence[Path] = ()) -> Catalog:
    """Load what the entry points name, then ``paths``, then what GANBENCH_PLUGINS names.

    What plugins print while they are loaded goes to stderr.

    Raises:
        GanbenchError: a path does not exist, or is neither a Python file nor a folder.
    """
    loose = list(given(paths))
    found = _Found()
    with contextlib.redirect_stdout(sys.stderr):
        sources: list[Source] = [*installed(), *loose]
        for source in sources:
            found.add(source)
    return found.catalog()


@functools.cache
def hooks() -> tuple[str, ...]:
    """Name the hooks, in the order of `ganbench.hookspecs`."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    return tuple(name for name in vars(hookspecs) if manager.parse_hookspec_opts(hookspecs, name) is not None)


@dataclass
class _Found:
    """What has been gathered so far; each (value, where it comes from)."""

    entries: list[tuple[Entry, str]] = field(default_factory=list)
    suites: list[tuple[SuiteEntry, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, source: Source) -> bool:
        """Import a plugin, call its hooks, do the same with each plugin directly inside; say whether anything came."""
        module, inside = None, list[Source]()
        with _Isolated(self, source, "import", tuple(KINDS.values())):
            module = source.load()
            inside.extend(source.inside(module))
        if module is None:
            return True  # it has its fault
        came = self._call_hooks(source, module)
        for plugin in inside:
            came = self.add(plugin) or came
        if source.named and not came:
            reason = f"offers nothing; mark one of {', '.join(hooks())} with @ganbench.hookimpl"
            self.fault(source.where, "register", reason)
        return came

    def catalog(self) -> Catalog:
        """Withdraw what clashes and freeze the rest."""
        order = list(KINDS)
        entries = self._without_clashes(self.entries, lambda entry: (entry.kind, entry.name), lambda e: id(e.component))
        suites = self._without_clashes(self.suites, lambda suite: ("suite", suite.name), lambda suite: suite.path)
        entries.sort(key=lambda entry: (order.index(entry.kind), entry.name))
        usable = {(entry.kind, entry.name): entry for entry in entries}
        faults = (replace(fault, names=_taken_away(fault, usable)) for fault in self.faults)
        by_name = {suite.name: suite for suite in sorted(suites, key=lambda suite: suite.name)}
        return Catalog(MappingProxyType(usable), MappingProxyType(by_name), tuple(faults))

    def _call_hooks(self, source: Source, module: ModuleType) -> bool:
        """Call each hook of the module on its own; say whether there was one, or a fault in place of one."""
        came = False
        for attribute in list(vars(module)):
            with _Isolated(self, source, "register"):
                came = self._call_if_hook(source, module, attribute) or came
        return came

    def _call_if_hook(self, source: Source, module: ModuleType, attribute: str) -> bool:
        function, known = vars(module)[attribute], hooks()
        options: Any = None
        if inspect.isroutine(function):
            options = pluggy.PluginManager(hookspecs.PROJECT).parse_hookimpl_opts(module, attribute)
        hook = (options and options.get("specname")) or attribute
        if options is not None and hook in known:
            kind_of = {kind.hook: kind for kind in KINDS.values()}
            self._call(source, function, hook, kind_of.get(hook))
        elif options is not None and not options.get("optionalhook"):
            self.fault(source.where, "register", f"unknown hook {hook!r}{did_you_mean(hook, known)}")
        elif attribute in known and inspect.isfunction(function) and function.__module__ == module.__name__:
            self.fault(source.where, "register", f"function {attribute!r} is not marked with @ganbench.hookimpl")
        else:
            return False
        return True

    def _call(self, source: Source, function: Any, hook: str, kind: Kind | None) -> None:
        kinds = (kind,) if kind else ()
        alone = ModuleType("one_hook")  # a plugin that has this hook and nothing else
        setattr(alone, hook, function)
        manager = pluggy.PluginManager(hookspecs.PROJECT)
        manager.add_hookspecs(hookspecs)
        with _Isolated(self, source, "register", kinds):
            manager.register(alone, name=source.where)
            with _Isolated(self, source, "call", kinds):
                results = getattr(manager.hook, hook)()
                returned = results[0] if results else None
                if not isinstance(returned, Sequence) or isinstance(returned, str | bytes):
                    what = "component classes" if kind else "suite files"
                    reason = f"hook {hook!r} returned {type(returned).__name__}, not a sequence of {what}"
                    self.fault(source.where, "call", reason, self.names(source, kinds))
                    return
                for offered in returned:
                    self._take(source, kind, offered) if kind else self._take_suite(source, offered)

    def _take(self, source: Source, kind: Kind, offered: Any) -> None:
        with _Isolated(self, source, "check", (kind,)):
            reason = refusal(kind, offered)
            name = one_line(getattr(offered, "name", ""))
            if reason is None:
                entry = Entry(kind.name, name, offered, one_line(source.origin(offered)))
                self.entries.append((entry, _place(source, offered)))
            else:
                names = ((kind.name, name),) if isinstance(offered, type) and name else ()
                self.fault(_place(source, offered), "check", reason, names)

    def _take_suite(self, source: Source, offered: Any) -> None:
        with _Isolated(self, source, "check"):
            if not isinstance(offered, Path):
                reason = f"hook 'suites' returned {type(offered).__name__} in place of a Path"
                self.fault(source.where, "check", reason)
                return
            problem = None
            if offered.suffix != ".toml" or not is_name(offered.stem):
                problem = f"must be called name.toml, where the name matches {NAME_PATTERN}"
            elif not offered.is_file():
                problem = "does not exist"
            if problem:
                reason = f"suite file {str(offered)!r} {problem}"
                self.fault(source.where, "check", reason, (("suite", one_line(offered.stem)),))
                return
            origin = source.distribution if isinstance(source, Installed) else str(offered.resolve())
            self.suites.append((SuiteEntry(offered.stem, offered.resolve(), one_line(origin)), source.where))

    def _without_clashes(self, offers: Iterable[tuple[T, str]], key: Any, same: Any) -> list[T]:
        groups: dict[tuple[str, str], list[tuple[T, str]]] = {}
        for offer in offers:
            group = groups.setdefault(key(offer[0]), [])
            if all(same(offer[0]) != same(other) for other, _ in group):
                group.append(offer)
        for (kind, name), group in groups.items():
            if len(group) > 1:
                places = " and ".join(place for _, place in group)
                reason = f"{kind} {name!r} is offered by {places}; all are withdrawn: rename one or leave one out"
                self.fault(places, "clash", reason, ((kind, name),))
        return [group[0][0] for group in groups.values() if len(group) == 1]

    def fault(
        self, where: str, stage: str, reason: str, names: tuple[tuple[str, str], ...] = (), trace: str = ""
    ) -> None:
        """Keep a fault; its text is made fit for a terminal."""
        text = one_line(reason)
        short = text if len(text) <= _LONGEST_REASON else f"{text[: _LONGEST_REASON - 3]}..."
        self.faults.append(Fault(one_line(where), stage, short, trace, names))

    def names(self, source: Source, kinds: Iterable[Kind]) -> tuple[tuple[str, str], ...]:
        """Read from the source what the plugin would have offered: a suite that names it can then say what is wrong."""
        try:
            file = source.file
            text = file.read_text(encoding="utf-8", errors="replace") if file else ""
        except (OSError, ImportError, ValueError):
            return ()
        offered = set(_FUNCTION.findall(text))
        names = sorted({name for name in _NAME.findall(text) if is_name(name)})
        return tuple((kind.name, name) for kind in kinds if kind.hook in offered for name in names)


@dataclass(frozen=True)
class _Isolated:
    """Turns whatever is raised inside into a fault, `SystemExit` and stranger things included; only Ctrl-C passes."""

    found: _Found
    source: Source
    stage: str
    kinds: tuple[Kind, ...] = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None or isinstance(error, KeyboardInterrupt):
            return False
        names = self.found.names(self.source, self.kinds)
        said = str(traceback.TracebackException.from_exception(error))  # safe where str(error) itself raises
        reason = f"{type(error).__name__}: {said}" if said else type(error).__name__
        self.found.fault(self.source.where, self.stage, reason, names, _traceback(error))
        return True


def _taken_away(fault: Fault, usable: Mapping[tuple[str, str], Entry]) -> tuple[tuple[str, str], ...]:
    """Return the names that ``fault`` makes unusable; those read from source are guesses, and wrong where one works."""
    if fault.stage in ("check", "clash"):
        return tuple(pair for pair in fault.names if pair not in usable)
    working = {name for _, name in usable}
    return tuple((kind, name) for kind, name in fault.names if name not in working)


def _place(source: Source, offered: Any) -> str:
    """Say where a component comes from: the plugin of an installed package, or file and line."""
    return source.origin(offered) if isinstance(source, Loose) and isinstance(offered, type) else source.where


def _traceback(error: BaseException) -> str:
    """Format ``error`` from the first frame that is the plugin's own."""
    frame = error.__traceback__
    machinery = (str(Path(__file__).parent), str(Path(pluggy.__file__).parent), "<frozen importlib")
    while frame and (
        frame.tb_frame.f_code.co_filename.startswith(machinery)
        or frame.tb_frame.f_globals.get("__name__") == "importlib"
    ):
        frame = frame.tb_next
    return clean("".join(traceback.format_exception(type(error), error, frame))).rstrip()
