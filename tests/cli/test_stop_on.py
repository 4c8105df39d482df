"""Runs that a suite stops for a collapse: finished, kept, drawn, counted, never scored, never trained again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganbench.files import read_json_lines
from ganbench.results.store import Store
from ganbench.training import loop

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
COLLAPSING = '''

@dataclass(frozen=True)
class Shrinking(Logistic):
    """The generator's loss draws all its samples together."""

    name: ClassVar[str] = "shrinking"
    recipe: ClassVar[dict[str, Any]] = {"g_lr": 0.05}

    def generator(self, game: Any) -> Tensor:
        return game.fake.square().mean()


@hookimpl
def losses() -> list[type]:
    return [Logistic, Shrinking]
'''
SUITE = {
    "losses": 'losses = ["shrinking", "logistic"]\nstop_on = ["diverged", "collapsed"]',
    "seeds = 2": "seeds = 1",
    "budget": "images = 960",
}


@pytest.fixture
def run(run_toy, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    plugins = tmp_path / "toys.py"
    text = TOYS.read_text()
    head, hook, tail = text.partition("@hookimpl\ndef losses()")
    plugins.write_text(head + COLLAPSING.lstrip() + tail[tail.index("\n\n\n") :])
    assert hook
    return lambda *arguments, **changes: run_toy(*arguments, plugins=plugins, **{**SUITE, **changes})


def store() -> Store:
    return Store.open(Path("results/toy"))


def test_a_run_that_collapses_is_finished_but_not_scored(run):
    result = run()
    assert result.exit_code == 0, result.output
    assert "1 of 4 runs collapsed: tiny / shrinking seed 0 (at step" in result.stdout
    assert "collapsed: tiny/shrinking on blobs, seed 0 (5 readings of the curves in a row showed it)" in result.stderr
    collapsed = [f for f in store().run_folders() if f.status()["status"] == "collapsed"]
    assert len(collapsed) == 1
    for folder in collapsed:
        status, rows = folder.status(), read_json_lines(folder.path / "curves.jsonl")
        assert status["step"] == status["rounds"] == rows[-1]["round"] < 60
        onset = next(row for row in rows if "events" in row)
        assert onset["events"] == ["collapsed"]
        assert status["events"]["collapsed"] == onset["images_seen"]
        assert {"generator.safetensors", "sheet.png"} <= {path.name for path in folder.path.iterdir()}
        assert folder.records() == []
    again = run()
    assert "all 4 runs are done" in again.stderr
    assert again.stdout == result.stdout
    assert "nothing to do" in run("--dry-run").stdout


def test_nothing_stops_a_run_unless_the_suite_says_so(run):
    changes = {"losses": 'losses = ["shrinking", "logistic"]'}
    assert run(**changes).exit_code == 0
    statuses = [folder.status() for folder in store().run_folders()]
    assert {status["status"] for status in statuses} == {"done"}
    assert sum("collapsed" in status.get("events", {}) for status in statuses) == 1
