"""From names and parameters to component instances; every mistake is named: the key, what was found, what is known."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ganbench.catalog import Catalog, Entry
from ganbench.errors import SuiteError, did_you_mean


def instantiate(entry: Entry, parameters: Mapping[str, Any]) -> Any:
    """Return the component with ``parameters``, checked against its fields' types.

    Raises:
        SuiteError: an unknown parameter, a value of the wrong type, or one that the component refuses.
    """
    fields = {f.name for f in dataclasses.fields(entry.component) if f.init}
    what = f"{entry.kind} {entry.name!r}"
    for key in parameters:
        if key not in fields:
            raise SuiteError(f"{what} has no parameter {key!r}{did_you_mean(key, fields)}")
    hints = typing.get_type_hints(entry.component, include_extras=True)
    checked = {key: _check(what, key, value, hints[key]) for key, value in parameters.items()}
    try:
        return entry.component(**checked)
    except (ValueError, TypeError) as error:
        raise SuiteError(f"{what}: {error}") from error


def describe(catalog: Catalog, kind: str, component: Any) -> dict[str, Any]:
    """Return the JSON form of a component: name, all parameters, digest of its source."""
    from ganbench.identity import source_digest

    entry = catalog.find(kind, component.name)
    return {
        "name": component.name,
        "parameters": json.loads(json.dumps(dataclasses.asdict(component))),
        "source": source_digest(entry.component),
    }


def rebuild(catalog: Catalog, kind: str, described: Mapping[str, Any]) -> Any:
    """Return the component that `describe` described. Raises as `instantiate` and `Catalog.find` do."""
    return instantiate(catalog.find(kind, described["name"]), described["parameters"])


def plain_sentence(error: ValidationError, what: str) -> str:
    """Return the first problem that pydantic found, in one sentence that names the key."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("function-", "tuple[")))
    message = first["msg"].removeprefix("Value error, ")
    found = first.get("input")
    shown = "" if isinstance(found, dict) or first["type"] in {"missing", "value_error"} else f"; found {found!r}"
    return f"{what}: {where + ': ' if where else ''}{message[:1].lower()}{message[1:]}{shown}"


def _check(what: str, key: str, value: Any, hint: Any) -> Any:
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"{what}: {key} = {value!r} is no number, text, list or table that can be stored") from error
    try:
        return TypeAdapter(hint, config=ConfigDict(strict=True)).validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]["msg"]
        raise SuiteError(f"{what}: {key} = {value!r}: {problem[:1].lower()}{problem[1:]}") from error
