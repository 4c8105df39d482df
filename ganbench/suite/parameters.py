"""From names and parameters to component instances; every mistake is named: the key, what was found, what is known."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
import typing
from collections.abc import Iterable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from ganbench.catalog import Catalog, Entry
from ganbench.errors import SuiteError, did_you_mean
from ganbench.identity import source_digest

_PLAIN: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is missing",
        "string_type": "wants text",
        "tuple_type": "wants a list",
        "dict_type": "wants a table",
        "model_type": "wants a table",
        "bool_type": "wants true or false",
        "int_type": "wants a whole number",
        "int_from_float": "wants a whole number",
        "float_type": "wants a number",
        "finite_number": "wants a finite number",
        "too_short": "wants at least {min_length} of them",
        "too_long": "wants at most {max_length} of them",
        "string_pattern_mismatch": "wants lower-case letters, digits and any of . _ + -, a letter or digit first",
    }
)
"""What pydantic says in Python's terms, said in TOML's."""


def instantiate(entry: Entry, parameters: Mapping[str, Any], reserved: Iterable[str] = ()) -> Any:
    """Return the component with ``parameters``, checked against its fields' types.

    ``reserved`` names the keys that may stand beside parameters, for a "did you mean".

    Raises:
        SuiteError: an unknown or a missing parameter, a value of the wrong type, or one that the component refuses.
    """
    fields = {f.name: f for f in dataclasses.fields(entry.component) if f.init}
    what = f"{entry.kind} {entry.name!r}"
    for key in parameters:
        if key not in fields:
            raise SuiteError(f"{what} has no parameter {key!r}{did_you_mean(key, {*fields, *reserved})}")
    for key, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and key not in parameters:
            raise SuiteError(f"{what} needs the parameter {key!r}; write {entry.name}({key}=...)")
    checked = {key: _check(what, entry.component, key, value) for key, value in parameters.items()}
    try:
        return entry.component(**checked)
    except (ValueError, TypeError) as error:
        raise SuiteError(f"{what}: {error}") from error


def describe(catalog: Catalog, kind: str, component: Any) -> dict[str, Any]:
    """Return the JSON form of a component: name, all parameters, digest of its source.

    Fields with the metadata ``location`` say where something lies, not what it is: they stand apart under that key,
    which is no part of a run's identity.

    Raises:
        SuiteError: a parameter has a value that JSON cannot hold.
    """
    entry = catalog.find(kind, component.name)
    values: dict[str, dict[str, Any]] = {"parameters": {}, "location": {}}
    for field in dataclasses.fields(component):
        if field.init:
            text = _json(f"{kind} {entry.name!r}", field.name, _plain(getattr(component, field.name)))
            values["location" if field.metadata.get("location") else "parameters"][field.name] = json.loads(text)
    if not values["location"]:
        del values["location"]
    return {"name": component.name, **values, "source": source_digest(entry.component)}


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def rebuild(catalog: Catalog, kind: str, described: Mapping[str, Any]) -> Any:
    """Return the component that `describe` described. Raises as `instantiate` and `Catalog.find` do."""
    parameters = {**described["parameters"], **described.get("location", {})}
    return instantiate(catalog.find(kind, described["name"]), parameters)


def plain_sentence(error: ValidationError, what: str) -> str:
    """Return the first problem that pydantic found, in one sentence that names the key."""
    first = error.errors(include_url=False)[0]
    where, message, kind = place(first["loc"]), _message(first), first["type"]
    found = "" if kind in {"missing", "value_error"} else f"; found {first['input']!r}"
    subject = "" if message.startswith(where) else f"{where} " if kind == "missing" else f"{where}: "
    return f"{what}: {subject}{message}{found}"


def place(location: Iterable[str | int]) -> str:
    """Return where a key stands, for people: ``cell number 2, where.loss``."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f" number {part + 1},"
        else:
            text += f"{' ' if text.endswith(',') else '.' if text else ''}{part}"
    return text.removesuffix(",")


def _message(problem: Mapping[str, Any]) -> str:
    message: str = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in _PLAIN:
        return _PLAIN[problem["type"]].format(**problem.get("ctx", {}))
    return message[:1].lower() + message[1:]


def _check(what: str, component: type, key: str, value: Any) -> Any:
    text = _json(what, key, value)
    try:
        return TypeAdapter(_hint(component, key)).validate_json(text, strict=True)
    except ValidationError as error:
        raise SuiteError(f"{what}: {key} = {value!r}: {_message(error.errors(include_url=False)[0])}") from error
    except (NameError, PydanticUserError) as error:
        raise SuiteError(
            f"{what}: {key} cannot be set, because its annotation is no type that can be checked"
        ) from error


def _hint(component: type, key: str) -> Any:
    """Return the type of the field ``key`` alone: other annotations may name what only a type checker imports."""
    owner = next(cls for cls in component.__mro__ if key in inspect.get_annotations(cls))
    alone = SimpleNamespace(__annotations__={key: inspect.get_annotations(owner)[key]})
    return typing.get_type_hints(alone, vars(sys.modules[owner.__module__]), vars(owner), include_extras=True)[key]


def _json(what: str, key: str, value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"{what}: {key} = {value!r} is no number, text, list or table that can be stored") from error
