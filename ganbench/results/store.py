"""The folder ``results/<suite>/``: a marker, what the suite names, the protocols, and a folder for each run.

    ganbench.json  suite.json  suite.toml  plan.json  protocols.json  runs/<id>/

Every file is written whole and renamed. Whatever cannot be read or written becomes one `ResultsError` sentence that
names the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganbench import files
from ganbench.errors import ResultsError
from ganbench.results.disk import read_object, read_text, writing
from ganbench.results.plan import Plan
from ganbench.results.record import STATUSES, Record

MARKER = "ganbench.json"
FORMAT = 1
RUN_STATUSES = (*STATUSES, "running")
_LOCKS = (".lock", ".protocols.lock")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, ``runs/<id>/``; absent files read as None or as no rows."""

    path: Path

    @property
    def id(self) -> str:
        """The training id."""
        return self.path.name

    def config(self) -> dict[str, Any] | None:
        """Return config.json: the resolved configuration, origins, labels and seed."""
        return read_object(self.path / "config.json")

    def environment(self) -> dict[str, Any] | None:
        """Return environment.json: versions, device, threads."""
        return read_object(self.path / "environment.json")

    def status(self) -> dict[str, Any] | None:
        """Return run.json, or None for a run that never started.

        Raises:
            ResultsError: it is no JSON object, or its status is not one of `RUN_STATUSES`.
        """
        path = self.path / "run.json"
        data = read_object(path)
        if data is not None and data.get("status") not in RUN_STATUSES:
            found, known = data.get("status"), ", ".join(RUN_STATUSES)
            raise ResultsError(f"{path} has the status {found!r}; it must be one of {known}")
        return data

    def records(self) -> list[Record]:
        """Return what was measured on this run.

        Raises:
            ResultsError: a line is no record of this run; the sentence names the file and the line.
        """
        path = self.path / "records.jsonl"
        found = []
        for number, line in enumerate(read_text(path, absent="").split("\n"), start=1):
            if not line:
                continue
            try:
                record = Record.from_json(json.loads(line))
                if record.run != self.id:
                    raise ResultsError(f"a record belongs to run {record.run}")
            except (ValueError, ResultsError) as error:
                raise ResultsError(f"{path}, line {number} is no record of this run: {error}") from error
            found.append(record)
        return found

    def write_records(self, records: Iterable[Record]) -> None:
        """Write all that was measured on this run in place of what stood there."""
        rows = list(records)
        foreign = sorted({record.run for record in rows} - {self.id})
        if foreign:
            raise ResultsError(f"run {self.id} was given records of run {', '.join(foreign)}")
        with writing(self.path):
            files.write_json_lines(self.path / "records.jsonl", [record.to_json() for record in rows])

    def add_scoring(self, event: Mapping[str, Any]) -> None:
        """Add to scorings.jsonl in what environment, and in how much time, some of the records were measured."""
        path = self.path / "scorings.jsonl"
        with writing(self.path):
            files.write_json_lines(path, [*files.read_json_lines(path), event])

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write ``value`` as the file ``name``: config.json, environment.json, run.json, state.json."""
        with writing(self.path):
            files.write_json(self.path / name, value)

    def write_text(self, name: str, text: str) -> None:
        """Write ``text`` as the file ``name``: error.txt."""
        with writing(self.path):
            files.write_text(self.path / name, text)


@dataclass(frozen=True)
class Store:
    """A results folder that bears our marker."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, suite_name: str) -> Store:
        """Return the store in ``folder``, making it where the folder is absent or empty.

        Raises:
            ResultsError: the folder holds something else, was written by a newer version, or cannot be written.
        """
        marker = folder / MARKER
        if marker.exists():
            store = cls.open(folder)
        else:
            foreign = _foreign(folder)
            if foreign:
                raise ResultsError(
                    f"{folder} holds {foreign[0]} but no {MARKER}, so it is no results folder; "
                    "name an empty or a new one with --results"
                )
            store = cls(folder)
        with writing(folder):
            files.write_json(marker, {"format": FORMAT, "suite": suite_name})
        return store

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Return the store that is in ``folder``.

        Raises:
            ResultsError: there is no such folder, it has no marker, or it was written by a newer version.
        """
        if not folder.is_dir():
            raise ResultsError(f"there is no results folder {folder}; 'ganbench run' makes one")
        marker = read_object(folder / MARKER)
        if marker is None:
            raise ResultsError(f"{folder} is no results folder: it has no {MARKER}; 'ganbench run' makes one")
        found = marker.get("format")
        if found != FORMAT:
            raise ResultsError(f"{folder} is of format {found!r}; this version of ganbench reads format {FORMAT}")
        return cls(folder)

    @property
    def suite(self) -> str:
        """The name of the suite whose results these are."""
        return str((read_object(self.folder / MARKER) or {}).get("suite", self.folder.name))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder as its only writer.

        Raises:
            ResultsError: another process holds it, or the folder cannot be written.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / _LOCKS[0])
        try:
            with writing(self.folder):
                lock.acquire(timeout=0)
        except Timeout as error:
            raise ResultsError(
                f"another ganbench run is writing to {self.folder}; wait for it to end, or choose another folder "
                "with --results"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def write_suite(self, resolved: Mapping[str, Any], source: str | None = None) -> None:
        """Write the suite as it was given, resolved as suite.json and, where it came from a file, as suite.toml."""
        with writing(self.folder):
            files.write_json(self.folder / "suite.json", resolved)
            if source is None:
                (self.folder / "suite.toml").unlink(missing_ok=True)
            else:
                files.write_text(self.folder / "suite.toml", source)

    def write_plan(self, plan: Plan | Mapping[str, Any]) -> None:
        """Write what the suite names now. Raises ResultsError for a malformed plan."""
        checked = plan if isinstance(plan, Plan) else Plan.from_json(plan)
        with writing(self.folder):
            files.write_json(self.folder / "plan.json", checked.to_json())

    def plan(self) -> Plan:
        """Return what the suite names now; a folder without a plan names nothing."""
        path = self.folder / "plan.json"
        data = read_object(path)
        if data is None:
            return Plan(self.suite)
        try:
            return Plan.from_json(data)
        except ResultsError as error:
            raise ResultsError(f"{path} is damaged: {error}") from error

    def add_protocols(self, protocols: Mapping[str, Mapping[str, Any]]) -> None:
        """Merge ``protocols`` (id -> name, label, direction, scale, floor, protocol) into protocols.json."""
        from filelock import FileLock

        with writing(self.folder), FileLock(self.folder / _LOCKS[1]):
            merged = {**self.protocols(), **protocols}
            files.write_json(self.folder / "protocols.json", merged)

    def protocols(self) -> dict[str, Any]:
        """Return all protocols under which something here was scored, by id."""
        return read_object(self.folder / "protocols.json") or {}

    def run_folder(self, run: str) -> RunFolder:
        """Return the folder of the run with this training id, which need not exist yet."""
        return RunFolder(self.folder / "runs" / run)

    def run_folders(self) -> list[RunFolder]:
        """Return the folders of all runs, those that the suite no longer names among them, sorted by id."""
        runs = self.folder / "runs"
        return [RunFolder(path) for path in sorted(runs.iterdir()) if path.is_dir()] if runs.is_dir() else []

    def records(self, all: bool = False) -> list[Record]:
        """Return the records of the runs that the suite names, labelled as it names them; with ``all``, of every run.

        A run that stands for several cells is given once for each.
        """
        plan = self.plan()
        planned: list[tuple[str, str, str, str | None]] = []
        for cell in plan.cells:
            planned += [(run, cell.dataset, cell.architecture, cell.loss) for run in cell.runs.values()]
        for row in plan.baselines:
            planned += [(run, row.dataset, row.name, None) for run in row.runs.values()]
        found = [
            replace(record, dataset=dataset, architecture=architecture, loss=loss)
            for run, dataset, architecture, loss in planned
            for record in self.run_folder(run).records()
        ]
        if all:
            named = {run for run, *_ in planned}
            found += [record for folder in self.run_folders() if folder.id not in named for record in folder.records()]
        return found


def _foreign(folder: Path) -> list[str]:
    """Name what is in ``folder`` and is not a trace of a start of our own that was cut short."""
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ResultsError(f"{folder} cannot be used as a results folder: {error.strerror or error}") from error
    return [name for name in names if name not in _LOCKS and not name.startswith(f".{MARKER}.")]
