"""Where plugins come from: entry points of installed packages, and files or folders that somebody named."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from ganbench.errors import GanbenchError

GROUP = "ganbench"
VARIABLE = "GANBENCH_PLUGINS"


@dataclass(frozen=True)
class Installed:
    """A module of an installed package. ``named`` by an entry point itself, or found inside a package that is."""

    module: str
    distribution: str
    named: bool = True

    @property
    def where(self) -> str:
        """Where it is, for faults."""
        return f"{self.distribution} ({self.module})"

    @property
    def file(self) -> Path | None:
        """The source file, if it can be told without running anything."""
        loaded = sys.modules.get(self.module)
        parent = self.module.rpartition(".")[0]
        if parent and parent not in sys.modules:
            return None
        spec = loaded.__spec__ if loaded else importlib.util.find_spec(self.module)
        return Path(spec.origin) if spec and spec.has_location and spec.origin else None

    def load(self) -> ModuleType:
        """Import the module."""
        if not re.fullmatch(r"\w+(\.\w+)*", self.module):
            raise ValueError(f"entry point value {self.module!r} must name a module or a package, nothing in it")
        return importlib.import_module(self.module)

    def inside(self, module: ModuleType) -> list[Installed]:
        """Return the plugins directly inside, if this is a package that an entry point names."""
        names = _modules_inside(module) if self.named else []
        return [Installed(f"{self.module}.{name}", self.distribution, named=False) for name in names]

    def origin(self, component: type) -> str:  # noqa: ARG002
        """Return "distribution version"."""
        return self.distribution


@dataclass(frozen=True)
class Loose:
    """A file or a folder that somebody named, or a module inside such a folder; ``module`` is its unique name.

    A folder serves as a package whether or not it has an ``__init__.py``: its modules may import from each other with
    ``from ._shared import x``.
    """

    path: Path
    module: str
    named: bool = True

    @property
    def where(self) -> str:
        """Where it is, for faults."""
        return str(self.path)

    @property
    def file(self) -> Path | None:
        """The source file; a folder without ``__init__.py`` has none."""
        file = self.path / "__init__.py" if self.path.is_dir() else self.path
        return file if file.is_file() else None

    def load(self) -> ModuleType:
        """Execute the file as a module that stands in `sys.modules` from before it runs; taken out if it fails."""
        if self.module in sys.modules:
            return sys.modules[self.module]
        module = importlib.util.module_from_spec(self._spec())
        sys.modules[self.module] = module
        try:
            if module.__spec__ and isinstance(module.__spec__.loader, SourceFileLoader):
                module.__spec__.loader.exec_module(module)
        except BaseException:
            for name in [name for name in sys.modules if f"{name}.".startswith(f"{self.module}.")]:
                del sys.modules[name]
            raise
        parent, _, name = self.module.rpartition(".")
        if parent:
            setattr(sys.modules[parent], name, module)
        return module

    def inside(self, module: ModuleType) -> list[Loose]:
        """Return the plugins directly inside, if this is a folder that somebody named."""
        if not self.named or not self.path.is_dir():
            return []
        paths = {name: self.path / name for name in _modules_inside(module)}
        return [
            Loose(path if path.is_dir() else path.with_name(f"{name}.py"), f"{self.module}.{name}", named=False)
            for name, path in paths.items()
        ]

    def origin(self, component: type) -> str:
        """Return "file:line" of the class."""
        return _place(component) or str(self.file or self.path)

    def _spec(self) -> ModuleSpec:
        file = self.file
        folder = [str(self.path)] if self.path.is_dir() else None
        if file is None:
            spec = ModuleSpec(self.module, None, is_package=True)
            spec.submodule_search_locations = folder
            return spec
        loader = _FreshLoader(self.module, str(file))
        found = importlib.util.spec_from_file_location(
            self.module, file, loader=loader, submodule_search_locations=folder
        )
        if found is None:
            raise ImportError(f"{file} cannot be read as a Python module")
        return found


Source = Installed | Loose


class _FreshLoader(SourceFileLoader):
    """Compiles the source each time: bytecode is dated to the second, and a plugin may be edited within one."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        return self.source_to_code(self.get_data(self.path), self.path)


@functools.cache
def _place(component: type) -> str | None:
    """Return "file:line" of a class, looked up once: each time the whole file would be parsed."""
    try:
        return f"{inspect.getsourcefile(component)}:{inspect.getsourcelines(component)[1]}"
    except (OSError, TypeError):  # a class made by a call has no lines of its own
        return None


def installed() -> Iterator[Installed]:
    """Yield what the entry points of the group name, sorted by name."""
    points = importlib.metadata.entry_points(group=GROUP)
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        about = point.dist
        yield Installed(point.value, f"{about.name} {about.version}" if about else f"entry point {point.name!r}")


def given(paths: Sequence[Path]) -> Iterator[Loose]:
    """Yield the plugins named by ``paths``, then by the variable GANBENCH_PLUGINS, each once.

    Raises:
        GanbenchError: a path does not exist, or is neither a Python file nor a folder.
    """
    more = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    asked = [(Path(path), "--plugins") for path in paths] + [(path, VARIABLE) for path in more]
    seen = set[Path]()
    for path, asker in asked:
        whole = path.expanduser().resolve()
        if not whole.exists():
            raise GanbenchError(f"{asker} names {str(path)!r}, which does not exist; give a Python file or a folder")
        if not whole.is_dir() and whole.suffix != ".py":
            raise GanbenchError(f"{asker} names {str(path)!r}, which is neither a Python file nor a folder of them")
        if whole not in seen:
            seen.add(whole)
            yield Loose(whole, _unique_name(whole, asker))


def _unique_name(path: Path, asker: str) -> str:
    """Name the module after the path and what is written there: an edited plugin is another module."""
    content = hashlib.sha256(str(path).encode())
    try:
        for file in _python_files(path):
            content.update(b"\0" + str(file).encode() + b"\0" + file.read_bytes())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise GanbenchError(f"{asker} names {str(path)!r}, which cannot be read: {reason}") from error
    stem = re.sub(r"\W", "_", path.stem)
    return f"ganbench_path_{content.hexdigest()[:12]}_{stem}"


def _python_files(path: Path) -> list[Path]:
    """List what a plugin at ``path`` is made of: the file; or the folder's files and those of the packages in it."""
    if not path.is_dir():
        return [path]
    packages = [child for child in sorted(path.iterdir()) if (child / "__init__.py").is_file()]
    return sorted(path.glob("*.py")) + [file for package in packages for file in sorted(package.rglob("*.py"))]


def _modules_inside(module: ModuleType) -> list[str]:
    """Name the modules and packages directly inside a package; one that starts with ``_`` is a building block."""
    found = pkgutil.iter_modules(getattr(module, "__path__", []))
    return [info.name for info in found if not info.name.startswith("_")]
