"""Runs in worker processes, one a core and one thread each: on the CPU the fastest way through a suite.

A worker stays warm from run to run. One that dies (killed, out of memory) costs its run, which is recorded as failed
and goes on from its last saved state next time; another worker takes its place.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from typing import Any

from ganbench.errors import GanbenchError, ResultsError
from ganbench.execution.inline import stop_on_interrupt
from ganbench.execution.job import Job, Progress, Result
from ganbench.results.store import Store
from ganbench.suite.plan import Run

POLL_SECONDS = 0.2


@dataclass
class Worker:
    """One process with our end of the pipe to it, and the run that it has in hand."""

    process: SpawnProcess
    pipe: Connection
    run: Run | None = None


def run_pool(runs: Iterable[Run], job: Job, workers: int, tell: Callable[[Progress], None]) -> Iterator[Result]:
    """Perform ``runs`` in ``workers`` processes and yield what became of each, as they end.

    After Ctrl-C the runs in hand are saved and no other begins; a second Ctrl-C kills the workers.

    Raises:
        ResultsError: a worker could not write the results folder.
    """
    context = multiprocessing.get_context("spawn")
    stopping = context.Event()
    waiting = list(runs)
    crew: list[Worker] = []
    try:
        with stop_on_interrupt() as stop:
            for _ in range(min(workers, len(waiting))):
                crew.append(_hire(context, job, stopping))
                _give(crew[-1], waiting)
            while any(worker.run for worker in crew):
                if stop.is_set():
                    stopping.set()
                    waiting.clear()
                ready = wait([w.pipe for w in crew if w.run], timeout=POLL_SECONDS)
                for worker in [w for w in crew if w.pipe in ready]:
                    yield from _hear(worker, crew, waiting, lambda: _hire(context, job, stopping), tell, job)
    finally:
        for worker in crew:
            _dismiss(worker)


def _hear(
    worker: Worker,
    crew: list[Worker],
    waiting: list[Run],
    hire: Callable[[], Worker],
    tell: Callable[[Progress], None],
    job: Job,
) -> Iterator[Result]:
    """Take one message of ``worker``, or notice its death, and give it or its successor the next run."""
    run = worker.run
    try:
        message = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        if run is not None:
            yield _record_death(run, job, worker.process.exitcode)
        crew.remove(worker)
        worker.pipe.close()
        if waiting:
            crew.append(hire())
            _give(crew[-1], waiting)
        return
    if isinstance(message, Progress):
        tell(message)
    elif isinstance(message, Result):
        yield message
        worker.run = None
        _give(worker, waiting)
    else:
        raise ResultsError(str(message))


def _hire(context: Any, job: Job, stopping: Event) -> Worker:
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(job, theirs, stopping), daemon=True)
    with _interrupts_blocked():
        process.start()
    theirs.close()
    return Worker(process, ours)


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM back meanwhile: a process inherits that, so that both are its parent's to handle."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _give(worker: Worker, waiting: list[Run]) -> None:
    worker.run = waiting.pop(0) if waiting else None
    if worker.run is not None:
        with contextlib.suppress(OSError):  # if it has died, the end of its pipe is heard next
            worker.pipe.send(worker.run)


def _dismiss(worker: Worker) -> None:
    """Let an idle worker end, kill a busy one."""
    if worker.run is not None:
        worker.process.kill()
    worker.pipe.close()
    worker.process.join()


def _record_death(run: Run, job: Job, exitcode: int | None) -> Result:
    cause = f"signal {signal.Signals(-exitcode).name}" if exitcode and exitcode < 0 else f"exit code {exitcode}"
    hint = "; the system may have run out of memory" if exitcode == -signal.SIGKILL else ""
    reason = f"its process ended by {cause}{hint}; run again to go on from its last saved state"
    folder = Store.open(job.results).run_folder(run.id)
    folder.write_json("run.json", {**(folder.status() or {}), "status": "failed", "reason": reason})
    return Result(run.id, run.title, "failed", reason)


def _work(job: Job, pipe: Connection, stopping: Event) -> None:
    """Be a worker: perform what comes through the pipe until it closes. Ctrl-C is the parent's to handle.

    If the parent has died, the run in hand is saved and the worker ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from ganbench.catalog import load_catalog
    from ganbench.execution.bench import Bench

    orphaned = threading.Event()

    def tell(progress: Progress) -> None:
        try:
            pipe.send(progress)
        except OSError:
            orphaned.set()

    def stop() -> bool:
        return stopping.is_set() or orphaned.is_set()

    try:
        bench = Bench(job, load_catalog(job.plugins))
        while True:
            try:
                run: Run = pipe.recv()
            except (EOFError, OSError):  # the parent has closed its end, or died
                return
            result = bench.perform(run, stop, tell)
            with contextlib.suppress(OSError):  # if the parent has died, the next reading ends the worker
                pipe.send(result)
    except GanbenchError as error:
        pipe.send(str(error))
