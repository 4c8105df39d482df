"""Write the generated references cli.md, plugins.md and components.md, from the code that they describe.

python docs/generate.py            writes them beside this file
python docs/generate.py --check    writes nothing; exits with 1 and names the file that is stale
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import click

from ganbench import components, hookspecs, values
from ganbench.catalog import Catalog, Entry, load_catalog
from ganbench.catalog.description import fields, formula
from ganbench.catalog.loading import hooks
from ganbench.components import NAME_PATTERN, RESERVED, TRAITS, each_kind
from ganbench.testing import check_component

WIDTH = 100
NOTE = "<!-- Written by docs/generate.py; do not edit. -->"


def cli() -> str:
    """Return cli.md: the help of every verb."""
    from ganbench.cli.main import main

    return cli_of(main)


def cli_of(group: click.Command) -> str:
    """Return the help of ``group`` and of every command under it, as Markdown."""
    parts = [NOTE, "# Command line", "What `ganbench --help` and `ganbench VERB --help` print."]
    for path, text in _help(group, None, "ganbench"):
        parts.append(f"## {path}\n\n```text\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def _help(command: click.Command, parent: click.Context | None, name: str) -> Iterator[tuple[str, str]]:
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    with click.Context(command, parent=parent, info_name=name, **settings) as context:
        yield context.command_path, command.get_help(context).rstrip()
        if isinstance(command, click.Group):
            for verb in command.list_commands(context):
                child = command.get_command(context, verb)
                if child is not None and not child.hidden:
                    yield from _help(child, context, verb)


def plugins() -> str:
    """Return plugins.md: hooks, protocols, traits and the game, from the source of the contract."""
    source = _Source(Path(components.__file__).parent)
    parts = [NOTE, "# The plugin contract", _markdown(inspect.getdoc(hookspecs) or "")]
    parts += ["## Hooks", "Each is optional; none takes an argument."]
    parts += [f"- `{hook}()`: {_inline(inspect.getdoc(getattr(hookspecs, hook)))}" for hook in hooks()]
    parts += ["## Components", _markdown(inspect.getdoc(components) or "")]
    parts.append(f"A name matches `{NAME_PATTERN}`. Reserved: {', '.join(f'`{key}`' for key in sorted(RESERVED))}.")
    parts += source.described("Component", "###")
    for kind in each_kind():
        parts += source.described(kind.name.capitalize(), "###")
        if kind.any_of:
            parts.append(f"At least one of {', '.join(f'`{method}()`' for method in kind.any_of)} must be defined.")
    parts.append("## What components are given and return")
    parts.append("These are in `ganbench.components`.")
    for name in (
        "Game",
        "Combination",
        "FeatureNetwork",
        "Lesson",
        "MetricContext",
        "Neighbours",
        "LeftOut",
        "Synthesis",
        "Truth",
    ):
        parts += source.described(name, "###")
    parts += [
        "## Values",
        "Frozen dataclasses, all of them in `ganbench` itself; the fields in order, with their defaults.",
    ]
    parts += [_value_type(cls) for cls in vars(values).values() if _is_value(cls)]
    parts += ["## Traits", "What a component may leave out, and what then holds."]
    rows = [(f"`{name}`", f"`{_value(value)}`") for name, value in TRAITS.items()]
    parts.append(_table(("trait", "default"), rows))
    first, _, rest = (inspect.getdoc(check_component) or "").partition("\n\n")
    parts += [
        "## Checking a component",
        f"`ganbench.testing.check_component{_call(check_component)}`: {_inline(first)}",
    ]
    parts.append(_markdown(rest))
    return _joined(parts)


def _is_value(thing: object) -> bool:
    return dataclasses.is_dataclass(thing) and isinstance(thing, type) and thing.__module__ == values.__name__


def _value_type(cls: type) -> str:
    """Return one value type as Markdown: its fields, its docstring, its public methods."""
    shown = ", ".join(_field(field) for field in dataclasses.fields(cls))
    methods = [
        f"- `{name}{_call(method)}`: {_inline(inspect.getdoc(method))}"
        for name, method in vars(cls).items()
        if inspect.isfunction(method) and not name.startswith("_")
    ]
    return "\n\n".join(
        [
            f"### {cls.__name__}",
            f"`{cls.__name__}({shown})`",
            _markdown(inspect.getdoc(cls) or ""),
            *(["\n".join(methods)] if methods else []),
        ]
    )


def _field(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"{field.name}: {field.type} = {field.default!r}"
    return f"{field.name}: {field.type}" + (" = {}" if field.default_factory is not dataclasses.MISSING else "")


def _call(method: Callable[..., object]) -> str:
    return str(inspect.signature(method)).replace("'", "").replace("(self, ", "(").replace("(self)", "()")


def components_page() -> str:
    """Return components.md: everything that is bundled, kind by kind."""
    catalog, version = _bundled(), metadata.version("ganbench")
    parts = [NOTE, "# Bundled components", f"What `ganbench plugins` lists of ganbench {version} itself."]
    for kind in each_kind():
        entries = catalog.of_kind(kind.name)
        if entries:
            rows = [_row(entry) for entry in entries]
            shown = (*_HEADS, "formula") if any(row[-1] for row in rows) else _HEADS
            parts += [f"## {kind.hook}", _table(shown, [row[: len(shown)] for row in rows])]
    return _joined(parts)


_HEADS = ("name", "what it is", "paper", "fields")


def _row(entry: Entry) -> tuple[str, ...]:
    shown = "<br>".join(f"`{field.name} = {field.default}`" for field in fields(entry.component))
    equation = "<br>".join(f"`{line}`" for line in formula(entry.component).splitlines())
    return (f"`{entry.name}`", entry.summary, entry.paper, shown, equation)


def _bundled() -> Catalog:
    """Load the catalog and keep what is ganbench's own; its faults stop the docs."""
    os.environ.pop("GANBENCH_PLUGINS", None)
    os.environ["GANBENCH_EXTRACTORS"] = os.devnull  # what was trained here is not bundled
    catalog = load_catalog()
    own = f"ganbench {metadata.version('ganbench')}"
    faults = [f"{fault.origin}: {fault.reason}" for fault in catalog.faults if fault.origin.startswith(f"{own} (")]
    if faults:
        raise SystemExit("bundled plugins have faults: " + "; ".join(faults))
    return Catalog({key: entry for key, entry in catalog.entries.items() if entry.origin == own})


class _Source:
    """The classes of a package as they are written, with the docstrings that stand under attributes."""

    def __init__(self, folder: Path) -> None:
        trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))]
        self.classes = {node.name: node for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}

    def described(self, name: str, heading: str) -> Iterator[str]:
        """Yield a heading, the class's docstring, then its attributes and its methods as lists."""
        node = self.classes[name]
        yield f"{heading} {name}"
        yield _markdown(ast.get_docstring(node) or "")
        for number, statement in enumerate(node.body):
            if isinstance(statement, ast.AnnAssign):
                doc = _string(node.body[number + 1]) if number + 1 < len(node.body) else ""
                described = f": {_inline(doc)}" if doc else ""
                yield f"- `{ast.unparse(statement.target)}: {ast.unparse(statement.annotation)}`{described}"
        for statement in node.body:
            if isinstance(statement, ast.FunctionDef):
                first, _, rest = (ast.get_docstring(statement) or "").partition("\n\n")
                yield f"- `{_signature(statement)}`: {_inline(first)}"
                if rest:
                    yield f"  {_inline(rest)}"


def _signature(function: ast.FunctionDef) -> str:
    returns = ast.unparse(function.returns) if function.returns else "None"
    if any(isinstance(mark, ast.Name) and mark.id == "property" for mark in function.decorator_list):
        return f"{function.name}: {returns}"
    return f"{function.name}({_arguments(function)}) -> {returns}"


def _arguments(function: ast.FunctionDef) -> str:
    text = ast.unparse(function.args)
    for bound in ("self", "cls"):
        text = text.removeprefix(f"{bound}, ") if text != bound else ""
    return text


def _string(statement: ast.stmt) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return str(statement.value.value)
    return ""


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def _inline(text: str | None) -> str:
    return _markdown(" ".join((text or "").split()))


def _value(value: object) -> str:
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    return "{}" if value == {} else repr(value)


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    escaped = [" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines]
    return "\n".join(f"| {line} |" for line in escaped)


def _joined(parts: list[str]) -> str:
    """Join with blank lines between, except between the items of a list."""
    text = parts[0]
    for before, part in itertools.pairwise(parts):
        in_list = before.startswith(_ITEM) and part.startswith(_ITEM)
        text += ("\n" if in_list else "\n\n") + part
    return text + "\n"


_ITEM = ("- ", "  ")

PAGES: dict[str, Callable[[], str]] = {"cli.md": cli, "plugins.md": plugins, "components.md": components_page}


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a page is stale.")
@click.option("--folder", type=click.Path(path_type=Path), default=Path(__file__).parent, help="Where the pages lie.")
def main(check: bool, folder: Path) -> None:
    """Write the generated pages, or check that they are current."""
    stale = []
    for name, page in PAGES.items():
        path, text = folder / name, page()
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8", newline="\n")
            click.echo(f"wrote {path}")
    if check and stale:
        click.echo(f"stale: {', '.join(stale)}; run python docs/generate.py", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
