"""One session in the processes of `torchrun`: rank 0 is the session as ever, the others train along with it.

Rank 0 alone plans, writes, scores and speaks. The others wait for its calls: each is a run to train, with all that they
must know to build it from the same plugins and data.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ganbench.catalog import load_catalog
from ganbench.errors import RankLost, SuiteError
from ganbench.execution.job import Job
from ganbench.suite.plan import Run
from ganbench.training.cut import uneven
from ganbench.training.kernels import Kernels
from ganbench.training.loop import Training
from ganbench.training.world import Group, World


@dataclass(frozen=True)
class Call:
    """What rank 0 asks the others to train with it."""

    job: Job
    run: Run
    kernels: Kernels


@contextmanager
def leading(world: World | None) -> Iterator[None]:
    """Be rank 0, or alone: however what is within ends, the others then end as well."""
    if world is None:
        yield
        return
    try:
        yield
    except (RankLost, KeyboardInterrupt):  # nobody listens
        raise
    except BaseException:
        world.share(None)
        raise
    else:
        world.share(None)
    finally:
        world.close()


def follow(world: Group) -> None:
    """Be another rank: train what rank 0 calls for until it ends; signals are for rank 0.

    Raises:
        RankLost: another process is gone, or this one alone could not go on.
    """
    from ganbench.execution.bench import Bench

    bench: Bench | None = None
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while True:
            call: Call | None = world.share(None)
            if call is None:
                return
            job = replace(call.job, device=str(world.device))
            try:
                with in_step(world):
                    if bench is None or bench.job != job:
                        bench = Bench(job, load_catalog(job.plugins))
                    folder = bench.store.run_folder(call.run.id).path
                    Training(bench.setup(call.run), folder, bench.device, None, call.kernels, world).run()
            except RankLost:
                raise
            except Exception:  # all ranks met it, and rank 0 records it
                continue
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        world.close()


@contextmanager
def in_step(world: World | None) -> Iterator[None]:
    """Let an error that all ranks meet be the run's; one that only this rank meets ends all of them.

    Raises:
        RankLost: another rank met no error, or is gone.
    """
    try:
        yield
    except RankLost:
        raise
    except Exception as error:
        if world is not None:
            world.fail(f"{type(error).__name__}: {error}")
        raise


def refuse_uneven(runs: Iterable[Run], parts: int, why: str) -> None:
    """Refuse runs whose batches cannot be cut into so many ``parts``, which ``why`` explains.

    Raises:
        SuiteError: there is one; nothing has been trained then.
    """
    for run in runs:
        if run.trains:
            pac = run.config["recipe"]["pac"]
            reason = uneven(run.config["recipe"]["batch_size"], pac, parts)
            if reason is not None:
                raise SuiteError(f"{run.title}: {reason}; {why}, so take a batch_size that {parts * pac} divides")
