"""Where a suite comes from: a TOML file, a bundled suite by name, or the command line alone."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from ganbench.catalog import Catalog
from ganbench.errors import SuiteError, did_you_mean
from ganbench.identity import digest
from ganbench.suite.parameters import place, plain_sentence
from ganbench.suite.schema import SuiteFile, known_keys
from ganbench.suite.terms import parse_terms, parse_value, split_terms

Held = TypeVar("Held", list[Any], dict[str, Any])
DEFAULT_SUITE = "quickstart"
DEFAULT_IMAGES = 100_000  # the budget of a suite that stands on the command line alone


@dataclass(frozen=True)
class Flags:
    """What the command line says about a suite; empty where it says nothing."""

    datasets: Sequence[str] = ()
    architectures: Sequence[str] = ()
    losses: Sequence[str] = ()
    regularizers: Sequence[str] = ()
    baselines: Sequence[str] = ()
    metrics: Sequence[str] = ()
    extractor: str | None = None
    seeds: str | None = None
    budget: Mapping[str, float] = field(default_factory=dict)
    settings: Sequence[str] = ()
    """``key=value``, a dotted key of the suite file."""
    name: str | None = None
    force_extractor: bool = False
    allow_incompatible: bool = False

    @property
    def stand_alone(self) -> bool:
        """Whether they name a whole product, so that no suite file is needed."""
        return bool(self.datasets and self.architectures and self.losses)


@dataclass(frozen=True)
class Request:
    """A suite as asked for: the validated file, recipe keys of the command line, the text it came from, if any."""

    suite: SuiteFile
    overrides: Mapping[str, Any]
    text: str | None = None


def read_request(source: str | None, flags: Flags, catalog: Catalog) -> Request:
    """Return the suite that ``source`` (a file, a bundled name, or None) and ``flags`` ask for.

    Raises:
        SuiteError: the file is missing, not TOML, or says what it may not; a flag is malformed.
    """
    text, where = None, "command line"
    if source is None and flags.stand_alone:
        table: dict[str, Any] = {"budget": {"images": DEFAULT_IMAGES}}
    else:
        text, where, table = _read_file(source or DEFAULT_SUITE, catalog)
    as_written = copy.deepcopy(table)
    table, overrides = _apply(table, flags)
    if text is not None and table != as_written and _is_valid(as_written):
        where = "command line"  # what is wrong now was not wrong in the file
    suite = validate({"name": "unnamed", **table}, where)
    if "name" not in table:
        name = f"{suite.all_datasets[0].name}-{digest([table, overrides])[:8]}"
        suite = validate({"name": name, **table}, where)
    return Request(suite, overrides, text)


def _is_valid(table: Mapping[str, Any]) -> bool:
    try:
        validate(table, "")
    except SuiteError:
        return False
    return True


def validate(table: Mapping[str, Any], where: str) -> SuiteFile:
    """Return the suite that ``table`` describes. Raises SuiteError with the first mistake, naming its key."""
    try:
        return SuiteFile.model_validate(table)
    except ValidationError as error:
        first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")  # a typo explains a lack
        *path, key = first["loc"] or ("",)
        inside = f" in {place(path)}" if path else ""
        if first["type"] == "extra_forbidden":
            message = f"{where}: unknown key {str(key)!r}{inside}{did_you_mean(str(key), known_keys(path))}"
            raise SuiteError(message) from error
        if first["type"] == "missing" and isinstance(key, str):
            raise SuiteError(f"{where}: the key {str(key)!r} is missing{inside}") from error
        raise SuiteError(plain_sentence(error, where)) from error


def _read_file(source: str, catalog: Catalog) -> tuple[str, str, dict[str, Any]]:
    path = Path(source)
    if path.suffix != ".toml" and not path.is_file():
        path = catalog.suite(source).path
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(f"cannot read the suite {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{path} is not TOML: {error}") from error
    table.setdefault("name", path.stem)
    return text, str(path), table


def _apply(table: dict[str, Any], flags: Flags) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the table with the flags applied, and the recipe keys among ``--set``, which win over everything."""
    axes = {"dataset": flags.datasets, "architecture": flags.architectures, "loss": flags.losses}
    plurals = {"dataset": "datasets", "architecture": "architectures", "loss": "losses"}
    for kind, texts in axes.items():
        if texts:
            table.pop(plurals[kind], None)
            table[kind] = [term.as_table() for text in texts for term in parse_terms(text)]
    if flags.regularizers:
        terms = [term for text in flags.regularizers for term in parse_terms(text)]
        table["regularizers"] = [*_held(table, "regularizers", list), *(term.as_table() for term in terms)]
    if flags.baselines:
        table["baselines"] = [term.as_table() for text in flags.baselines for term in parse_terms(text)]
    scoring = _scoring(flags)
    if scoring:
        table["scoring"] = {**_held(table, "scoring", dict), **scoring}
    if flags.seeds is not None:
        table["seeds"] = _seeds(flags.seeds)
    if flags.budget:
        table["budget"] = dict(flags.budget)
    if flags.allow_incompatible:
        table["allow_incompatible"] = True
    if flags.name:
        table["name"] = flags.name
    return table, _settings(table, flags.settings)


def _scoring(flags: Flags) -> dict[str, Any]:
    """Return the keys of ``[scoring]`` that flags set."""
    scoring: dict[str, Any] = {}
    if flags.metrics:
        scoring["metrics"] = [name.strip() for text in flags.metrics for name in split_terms(text)]
    if flags.extractor:
        scoring["extractor"] = flags.extractor
    if flags.force_extractor:
        scoring["force"] = True
    return scoring


def _held(table: Mapping[str, Any], key: str, kind: type[Held]) -> Held:
    """Return the list or table that a file holds under ``key``, empty where there is none."""
    value = table.get(key, kind())
    if not isinstance(value, kind):
        raise SuiteError(f"{key} of the suite wants a {'list' if kind is list else 'table'}; found {value!r}")
    return value


def _settings(table: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Put every ``key=value`` into ``table``, but for recipe keys: return those."""
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        *path, last = key.strip().split(".")
        if not equals or not all((*path, last)):
            raise SuiteError(f"cannot read --set {setting!r}; write --set key=value, as in recipe.g_lr=1e-4")
        if path[:1] == ["recipe"]:
            if len(path) > 1:
                short = f"recipe.{path[1]}='name({last}={text})'"
                raise SuiteError(f"--set {setting!r}: a recipe key is set as a whole, as in {short}")
            overrides[last] = parse_value(text)
            continue
        inner = table
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise SuiteError(f"--set {setting!r}: {part} is no table of the suite")
        inner[last] = parse_value(text)
    return overrides


def _seeds(text: str) -> Any:
    return parse_value(text if "," not in text or text.startswith("[") else f"[{text}]")
