"""How a run may end before its budget is spent: the words of run.json, of a suite's ``stop_on`` and of tables."""

from __future__ import annotations

from typing import Literal, get_args

Early = Literal["diverged", "collapsed", "saturated"]
EARLY: tuple[str, ...] = get_args(Early)
FINISHED = ("done", *EARLY)  # a run that ended so keeps its generator and is not trained again; only "done" is scored
