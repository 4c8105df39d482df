"""Bars of passes: after a while, on a terminal, and never elsewhere."""

from __future__ import annotations

import io

import pytest

from ganbench.cli import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "patience", "shown"),
    [(Terminal, 0.0, True), (Terminal, 60.0, False), (io.StringIO, 0.0, False)],
)
def test_passes_are_shown_on_a_terminal_once_they_take_long(stream, patience, shown, monkeypatch):
    heard = stream()
    monkeypatch.setattr("sys.stderr", heard)
    monkeypatch.setattr(progress, "PATIENCE", patience)
    monkeypatch.setenv("TERM", "xterm")
    with progress.Passes() as passes:
        for done in (128, 599):
            passes.tell("reference", done, 599)
        passes.tell("generated", 50, 2000)
    assert ("reference" in heard.getvalue()) == shown
    assert ("599/599" in heard.getvalue()) == shown
    assert bool(heard.getvalue()) == shown
