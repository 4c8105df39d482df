"""Hooks that return something other than a sequence of component classes."""

from ganbench import hookimpl


@hookimpl
def losses():
    return {"dictionary": int}


@hookimpl
def regularizers():
    return "a text"


@hookimpl
def constraints():
    return None


@hookimpl
def optimizers():
    return [3, "adam"]


@hookimpl
def suites():
    return ["quickstart.toml"]
