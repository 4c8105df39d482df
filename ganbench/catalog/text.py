"""Text that plugins contribute, made fit for a terminal: no escape sequence and no control character survives."""

from __future__ import annotations

import inspect
import re
import sys
import unicodedata

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def clean(text: object) -> str:
    """Return ``str(text)`` without terminal escapes and control or format characters; line ends and tabs stay."""
    bare = _ESCAPES.sub("", str(text)).replace("\r\n", "\n")
    return "".join(c for c in bare if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


def one_line(text: object) -> str:
    """Return ``text`` cleaned and on one line, runs of white space made single."""
    return " ".join(clean(text).split())


def class_doc(component: type) -> str:
    """Return the docstring of ``component`` itself, cleaned; "" where `dataclasses` made one up from the signature."""
    doc = component.__dict__.get("__doc__")
    if not isinstance(doc, str) or doc.startswith(f"{component.__name__}("):
        return ""
    return clean(inspect.cleandoc(doc))


def module_doc(component: type) -> str:
    """Return the docstring of the module that defines ``component``, cleaned, or ""."""
    doc = getattr(sys.modules.get(component.__module__), "__doc__", None)
    return clean(inspect.cleandoc(doc)) if isinstance(doc, str) else ""


def summary(component: type) -> str:
    """Return the first line of the class's docstring, else of its module's, else ""."""
    for doc in (class_doc(component), module_doc(component)):
        if doc.strip():
            return one_line(doc.strip().splitlines()[0]).replace("``", "`")
    return ""
