"""The rooms of the house: no lower room imports a higher one, and the core knows no plugin."""

from __future__ import annotations

import ast
from pathlib import Path

import ganbench

CORE = Path(ganbench.__file__).parent

# cli > execution > training, scoring, results > suite, catalog > components, values > errors, files, seeds, identity
FLOORS = {
    "endings": 0,
    "errors": 0,
    "files": 0,
    "folders": 0,
    "identity": 0,
    "memory": 0,
    "seeds": 0,
    "values": 1,
    "stored": 1,
    "components": 1,
    "hookspecs": 1,
    "": 1,  # ganbench/__init__.py, what plugins import
    "catalog": 2,
    "suite": 2,
    "training": 3,
    "scoring": 3,
    "results": 3,
    "testing": 4,
    "execution": 4,
    "api": 5,
    "cli": 5,
    "__main__": 5,
}
HEAVY = {
    "torch",
    "torchvision",
    "torch_fidelity",
    "pandas",
    "scipy",
    "sklearn",
    "rich",
    "pydantic",
    "numpy",
    "matplotlib",
}
MODULES = sorted(CORE.rglob("*.py"))


def room(module: str) -> str:
    """Return the room of a dotted module name within the package: "ganbench.training.loop" -> "training"."""
    first = module.split(".")[1] if "." in module else ""
    return first if first in FLOORS or (CORE / first).exists() or (CORE / f"{first}.py").exists() else ""


def dotted(path: Path) -> str:
    parts = path.relative_to(CORE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> list[tuple[str, int]]:
    """Return every module that a file imports, wherever in the file, and the line."""
    found = []
    package = dotted(path) if path.name == "__init__.py" else dotted(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "ganbench" else [base]
            found += [(name, node.lineno) for name in names]
    return found


def uphill(path: Path) -> list[str]:
    """Name the imports of a file that lead to a higher room; `ganbench` may lend what users call from the top."""
    own = room(dotted(path))
    return [
        f"{dotted(path)}:{line} imports {name}"
        for name, line in imports(path)
        if name.partition(".")[0] == "ganbench" and FLOORS[room(name)] > FLOORS[own]
        if (own, name) != ("", "ganbench.api")
    ]


def test_every_module_has_its_room():
    assert {room(dotted(path)) for path in MODULES} <= set(FLOORS)
    unknown = [path.name for path in CORE.iterdir() if path.suffix == ".py" and path.stem not in FLOORS]
    assert unknown == ["__init__.py"]


def test_no_lower_room_imports_a_higher_one():
    assert [line for path in MODULES for line in uphill(path)] == []


def test_the_core_imports_no_plugin():
    guilty = [(path.name, name) for path in MODULES for name, _ in imports(path) if name.startswith("ganbench_zoo")]
    assert guilty == []


def test_the_command_line_imports_nothing_heavy_at_its_top():
    """Verbs are imported to show their help; what runs imports inside functions."""
    guilty = []
    for path in sorted((CORE / "cli").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                guilty += [f"{path.name} imports {name}" for name in names if name.partition(".")[0] in HEAVY]
    assert guilty == []


def test_an_uphill_import_would_be_seen(tmp_path, monkeypatch):
    core = tmp_path / "ganbench"
    (core / "training").mkdir(parents=True)
    (core / "cli").mkdir()
    guilty = core / "training" / "loop.py"
    guilty.write_text(
        "def f():\n    from ganbench.cli import run\n    from ..execution import pool\n", encoding="utf-8"
    )
    monkeypatch.setitem(globals(), "CORE", core)
    assert uphill(guilty) == [
        "ganbench.training.loop:2 imports ganbench.cli",
        "ganbench.training.loop:3 imports ganbench.execution",
    ]
