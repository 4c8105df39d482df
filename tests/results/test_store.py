"""The results folder: its marker, its lock, and sentences instead of tracebacks."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ganbench import files
from ganbench.errors import ResultsError
from ganbench.results.plan import Plan, PlannedBaseline, PlannedCell
from ganbench.results.record import Record
from ganbench.results.store import RunFolder, Store

RECORD = Record("r1", "digits", "mlp", "hinge", 0, 100, "fd/x", 1.0, "done", None, "p1")


@pytest.fixture
def store(tmp_path):
    return Store.create(tmp_path / "results" / "demo", "demo")


def test_create_and_open(tmp_path):
    folder = tmp_path / "deep" / "demo"
    assert Store.create(folder, "demo") == Store.open(folder)
    assert json.loads((folder / "ganbench.json").read_text()) == {"format": 1, "suite": "demo"}
    assert Store.create(folder, "demo").suite == "demo"  # again: nothing is refused


def test_an_empty_folder_is_taken(tmp_path):
    assert Store.create(tmp_path, "demo").suite == "demo"


def test_traces_of_a_start_that_was_cut_short_are_no_foreign_content(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".ganbench.json.x1.tmp").touch()
    assert Store.create(tmp_path, "demo").suite == "demo"


def test_a_folder_with_other_content_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ResultsError, match=r"holds thesis.tex but no ganbench.json.*--results"):
        Store.create(tmp_path, "demo")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(ResultsError, match=r"there is no results folder .*absent"):
        Store.open(tmp_path / "absent")
    with pytest.raises(ResultsError, match=r"it has no ganbench\.json"):
        Store.open(tmp_path)
    (tmp_path / "ganbench.json").write_text('{"format": 9, "suite": "x"}')
    for way in (Store.open, lambda folder: Store.create(folder, "x")):
        with pytest.raises(ResultsError, match="format 9; this version of ganbench reads format 1"):
            way(tmp_path)
    (tmp_path / "ganbench.json").write_text("{")
    with pytest.raises(ResultsError, match=r"ganbench.json is not JSON"):
        Store.open(tmp_path)
    (tmp_path / "ganbench.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ResultsError, match="cannot be read"):
        Store.open(tmp_path)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(ResultsError, match="cannot be used as a results folder"):
        Store.create(tmp_path / "results", "demo")
    with pytest.raises(ResultsError, match=r"cannot be used|cannot be written"):
        Store.create(tmp_path / "results" / "demo", "demo")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EROFS, "Read-only file system.*--results"),
        (errno.EACCES, "Permission denied.*--results"),
        (errno.ENOSPC, "No space left on device.*free some space"),
    ],
)
def test_a_folder_that_cannot_be_written(store, monkeypatch, number, said):
    def refuse(path, write):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(files, "write_atomically", refuse)
    run = store.run_folder("r1")
    for write in (
        lambda: store.write_plan(Plan("demo")),
        lambda: store.write_suite({"name": "demo"}, "name = 'demo'"),
        lambda: store.add_protocols({"p": {}}),
        lambda: run.write_records([RECORD]),
        lambda: run.write_json("run.json", {"status": "done"}),
        lambda: run.write_text("error.txt", "boom"),
        lambda: Store.create(store.folder, "demo"),
    ):
        with pytest.raises(ResultsError, match=said):
            write()


def test_a_failed_write_leaves_the_old_records(store, monkeypatch):
    run = store.run_folder("r1")
    run.write_records([RECORD])
    monkeypatch.setattr(files, "_flush", lambda path: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(ResultsError, match="full"):
        run.write_records([])
    monkeypatch.undo()
    assert run.records() == [RECORD]
    assert [path.name for path in run.path.iterdir()] == ["records.jsonl"]


def test_one_writer(store):
    with store.lock(), pytest.raises(ResultsError, match=r"another ganbench run is writing to .*demo"), store.lock():
        pass
    with store.lock():
        pass


def test_one_writer_among_processes(store):
    code = (
        "import sys; from pathlib import Path; from ganbench.results.store import Store\n"
        "with Store.open(Path(sys.argv[1])).lock(): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(store.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ResultsError, match="another ganbench run"), store.lock():
            pass
        other.communicate("")
    with store.lock():
        pass


def test_absent_files_read_as_nothing(store):
    run = store.run_folder("r1")
    assert (run.config(), run.environment(), run.status(), run.records()) == (None, None, None, [])
    assert store.plan() == Plan("demo")
    assert store.protocols() == {}
    assert store.run_folders() == []


def test_a_plan_survives(store):
    plan = Plan(
        suite="demo",
        budget={"images": 50000},
        samples=2000,
        metrics=("fd/x",),
        cells=(
            PlannedCell("digits", "mlp", "hinge", {0: "r1", 10: "r2"}),
            PlannedCell("digits", "dcgan", "hinge", {}, skipped="why"),
        ),
        baselines=(PlannedBaseline("digits", "real", {0: "b1"}),),
        protocols=("p1",),
    )
    store.write_plan(plan)
    assert store.plan() == plan
    store.write_plan(plan.to_json())
    assert store.plan() == plan


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cells": None}, "malformed"),
        ({"cells": [{"dataset": "d"}]}, "lacks 'architecture'"),
        ({"cells": [{"dataset": "d", "architecture": "a", "loss": "l", "runs": {"x": "r"}}]}, "malformed"),
        ({"cells": [{"dataset": "d", "architecture": "a", "loss": "l", "runs": {"0": "../r"}}]}, "no training id"),
        ({"cells": [{"dataset": "d", "architecture": "a", "loss": "l", "runs": {}}] * 2}, "d / a / l twice"),
    ],
)
def test_a_malformed_plan_is_refused(store, change, said):
    plan = {"suite": "s", "budget": {}, "samples": 1, "metrics": [], "cells": [], "baselines": []} | change
    with pytest.raises(ResultsError, match=said):
        store.write_plan(plan)
    (store.folder / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ResultsError, match=rf"plan\.json is damaged: .*{said}"):
        store.plan()


def test_protocols_are_merged(store):
    store.add_protocols({"a": {"metric": "fd"}})
    store.add_protocols({"b": {"metric": "kd"}, "a": {"metric": "fd", "floor": None}})
    assert store.protocols() == {"a": {"metric": "fd", "floor": None}, "b": {"metric": "kd"}}


def test_the_suite_is_kept_as_given(store):
    store.write_suite({"name": "demo"}, "name = 'demo'\n")
    assert (store.folder / "suite.toml").read_text() == "name = 'demo'\n"
    store.write_suite({"name": "demo"})  # now from the command line
    assert not (store.folder / "suite.toml").exists()
    assert json.loads((store.folder / "suite.json").read_text()) == {"name": "demo"}


def test_records_of_planned_runs_bear_the_labels_of_the_plan(store):
    store.run_folder("r1").write_records([RECORD])
    store.run_folder("r2").write_records([replace(RECORD, run="r2")])
    store.write_plan(Plan("demo", cells=(PlannedCell("digits", "mlp", "renamed", {0: "r1"}),)))
    assert [(record.run, record.loss) for record in store.records()] == [("r1", "renamed")]
    assert [(record.run, record.loss) for record in store.records(all=True)] == [("r1", "renamed"), ("r2", "hinge")]


def test_a_run_that_stands_for_two_cells_is_given_for_each(store):
    store.run_folder("r1").write_records([RECORD])
    cells = tuple(PlannedCell("digits", "mlp", loss, {0: "r1"}) for loss in ("a", "b"))
    store.write_plan(Plan("demo", cells=cells))
    assert [record.loss for record in store.records()] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{not json", "line 2 is no record of this run"),
        ("[]", "line 2 is no record of this run: a record is list"),
        ('{"run": "r1"}', "line 2 is no record of this run: a record lacks architecture"),
        (json.dumps({**RECORD.to_json(), "run": "r9"}), "line 2 .* belongs to run r9"),
        (json.dumps({**RECORD.to_json(), "value": float("nan")}), "line 2 .* finite number"),
    ],
)
def test_a_corrupt_line_is_named(store, line, said):
    run = store.run_folder("r1")
    run.write_records([RECORD])
    with (run.path / "records.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ResultsError, match=rf"r1/records\.jsonl, {said}"):
        run.records()


@settings(max_examples=50)
@given(st.lists(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))))
def test_no_text_makes_reading_records_raise_anything_else(tmp_path_factory, lines):
    run = RunFolder(tmp_path_factory.mktemp("run"))
    (run.path / "records.jsonl").write_text("\n".join(lines).encode("utf-8", "replace").decode(), encoding="utf-8")
    found, said = None, ""
    try:
        found = run.records()
    except ResultsError as error:
        said = str(error)
    assert found == [] or ", line " in said


@settings(max_examples=50)
@given(st.text(min_size=1))
def test_any_reason_survives_the_file(tmp_path_factory, reason):
    run = RunFolder(tmp_path_factory.mktemp("run"))
    reason = reason.encode("utf-8", "replace").decode()
    record = replace(RECORD, run=run.id, value=None, status="failed", reason=reason)
    run.write_records([record, record])
    assert run.records() == [record, record]


def test_records_of_another_run_are_refused(store):
    with pytest.raises(ResultsError, match="run r2 was given records of run r1"):
        store.run_folder("r2").write_records([RECORD])


def test_an_unknown_status_of_a_run_is_named(store):
    run = store.run_folder("r1")
    run.write_json("run.json", {"status": "sleeping"})
    with pytest.raises(ResultsError, match=r"run\.json has the status 'sleeping'; it must be one of done"):
        run.status()
