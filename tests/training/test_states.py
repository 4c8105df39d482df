"""Collapse and saturation: what begins and ends in the curves, and runs that stop for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ganbench.files import read_json_lines
from ganbench.suite.recipe import Budget
from ganbench.training import loop
from ganbench.training.checkpoint import GENERATOR_FILE, STATE_FILE, load_state, read_details
from ganbench.training.loop import Controls, Training
from ganbench.training.states import PATIENCE, STATES, events, holds, lasting, onsets
from ganbench.values import Sample

CPU = torch.device("cpu")


def row(spread=1.0, signal=1.0, images=0):
    return {"sample_spread": spread, "g_signal": signal, "images_seen": images}


def test_a_state_holds_below_its_threshold_only():
    for state, (diagnostic, below) in STATES.items():
        assert holds(state, {diagnostic: below * 0.99})
        assert not holds(state, {diagnostic: below})
        assert not holds(state, {diagnostic: None})
        assert not holds(state, {})


def test_events_are_what_begins_and_what_ends():
    fine, collapsed, both, unknown = row(), row(spread=0.0), row(0.05, 0.001), row(None, None)
    assert events({}, fine) == events(fine, fine) == events(both, both) == events(fine, unknown) == []
    assert events({}, collapsed) == events(fine, collapsed) == ["collapsed"]
    assert events(fine, both) == ["collapsed", "saturated"]
    assert events(both, collapsed) == ["no longer saturated"]
    assert events(both, fine) == ["no longer collapsed", "no longer saturated"]


def test_the_first_onset_counts():
    rows = [row(images=1), row(0.0, images=2), row(images=3), row(0.0, 0.0, images=4)]
    assert onsets(rows) == {"collapsed": 2, "saturated": 4}
    assert onsets(rows[:1]) == {}


def test_a_state_lasts_once_it_was_read_often_enough_in_a_row():
    fine, gone = row(), row(spread=0.0)
    assert lasting([gone] * (PATIENCE - 1), ("collapsed",)) is None
    assert lasting([fine, *[gone] * PATIENCE], ("collapsed",)) == "collapsed"
    assert lasting([*[gone] * (PATIENCE - 1), fine, gone], ("collapsed",)) is None
    assert lasting([gone] * PATIENCE, ()) is None
    assert lasting([gone] * PATIENCE, ("diverged", "saturated")) is None
    assert lasting([row(0.0, 0.0)] * PATIENCE, ("saturated", "collapsed")) == "collapsed"


@pytest.fixture
def train(make_setup, toys, tmp_path, monkeypatch):
    """Train a toy whose generator shrinks its samples from round 9 on, and swells them again from ``until`` on."""
    monkeypatch.setattr(loop, "LOG_EVERY", 1)

    class Falling(toys.Tiny):
        """A generator whose spread follows from the rounds that it has been trained for, whatever the loss says."""

        until = 10**9

        def generator(self, data):
            network, until = super().generator(data), self.until
            network.register_buffer("calls", torch.zeros(()))

            def shrink(module, _, sample):
                module.calls += module.training  # once for each player and round
                scale = torch.where((module.calls >= 2 * 9) & (module.calls < 2 * until), 0.01, 1.0)
                spread = torch.linspace(-1, 1, len(sample.images)).view(-1, 1, 1, 1)
                return Sample((sample.images * 0 + spread) * scale, sample.style)

            network.register_forward_hook(shrink)
            return network

    def train(name="run", rounds=30, stop_on=("collapsed",), controls=None, until=10**9):
        Falling.until = until
        setup = make_setup(architecture=Falling(), budget=Budget(images=16 * rounds), stop_on=stop_on)
        return Training(setup, tmp_path / name, CPU, controls).run()

    return train


def curves(folder: Path):
    return read_json_lines(folder / "curves.jsonl")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "timings.jsonl"}


def stop_after(calls: int) -> Controls:
    left: Iterator[bool] = iter([False] * calls + [True] * 10_000)
    return Controls(stop=lambda: next(left))


def test_a_collapse_is_an_event_at_its_onset_and_stops_nothing_unless_asked_to(train, tmp_path):
    outcome = train(stop_on=())
    rows = curves(tmp_path / "run")
    assert (outcome.status, len(rows)) == ("done", 30)
    assert [(r["round"], r["events"]) for r in rows if "events" in r] == [(9, ["collapsed"])]
    assert outcome.facts["events"] == {"collapsed": 9 * 16}


def test_an_end_of_a_collapse_is_an_event_too(train, tmp_path):
    outcome = train(until=12)
    rows = curves(tmp_path / "run")
    assert [(r["round"], r["events"]) for r in rows if "events" in r] == [
        (9, ["collapsed"]),
        (12, ["no longer collapsed"]),
    ]
    assert (outcome.status, outcome.facts["events"]) == ("done", {"collapsed": 144})


def test_a_run_stops_for_a_collapse_that_lasts_and_keeps_its_generator(train, tmp_path):
    outcome = train()
    last = 9 + PATIENCE - 1
    assert (outcome.status, outcome.step, outcome.facts["rounds"]) == ("collapsed", last, last)
    assert outcome.reason == "5 readings of the curves in a row showed it"
    assert read_details(tmp_path / "run" / GENERATOR_FILE) == {"images_seen": 16 * last, "status": "collapsed"}
    assert len(curves(tmp_path / "run")) == last
    assert load_state(tmp_path / "run").numbers["counters"]["rounds"] == last


def test_a_run_stops_for_nothing_that_was_not_named(train):
    assert train(stop_on=("saturated",)).status == "done"
    assert train("diverged", stop_on=("diverged",)).status == "done"


def test_a_run_whose_budget_ends_with_the_last_reading_is_done(train):
    outcome = train(rounds=9 + PATIENCE - 1)
    assert (outcome.status, outcome.facts["events"]) == ("done", {"collapsed": 144})


def test_a_stopped_run_that_is_begun_again_plays_no_further_round(train, tmp_path):
    first = train()
    kept = contents(tmp_path / "run")
    again = train()
    assert (again.status, again.step, again.reason) == (first.status, first.step, first.reason)
    assert contents(tmp_path / "run") == kept


@pytest.mark.parametrize("rounds", [5, 9, 11, 12])
def test_an_interruption_moves_no_event_and_no_stop(train, tmp_path, rounds):
    train("whole")
    assert train("parts", controls=stop_after(rounds)).status == "interrupted"
    assert train("parts").status == "collapsed"
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_what_is_not_finite_is_a_divergence_whatever_else_holds(make_setup, toys, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    setup = make_setup(toys.Exploding(at=3), budget=Budget(images=16 * 30), stop_on=("collapsed", "saturated"))
    outcome = Training(setup, tmp_path, CPU).run()
    assert (outcome.status, outcome.step) == ("diverged", 3)
    assert (tmp_path / STATE_FILE).exists()


def test_a_loss_that_lets_nothing_through_is_saturated(make_setup, toys, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_EVERY", 1)

    class Faint(toys.Logistic):
        def generator(self, game):
            return super().generator(game) * torch.where(game.step >= 4, 1e-3, 1.0)

    setup = make_setup(Faint(), budget=Budget(images=16 * 30), stop_on=("saturated",))
    outcome = Training(setup, tmp_path, CPU).run()
    assert (outcome.status, outcome.step) == ("saturated", 8)
    assert outcome.facts["events"]["saturated"] == 4 * 16
