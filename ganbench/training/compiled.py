"""Phases through `torch.compile`: value, gradient, logs and new states of a phase as one graph.

Assign a `Compiled` to `Engine.differentiate`. A variant is compiled for each player with each set of due regularizers,
whole and without breaks; the gradient is taken inside of the graph, so that penalties are differentiated twice there
and nothing is kept for a later backward pass. Rounding may differ from `whole`, random draws do not. A variant that
cannot be compiled is evaluated by `whole` from then on, and `Compiled.fallbacks` says why.

Weights that are computed from others (spectral norm) are computed before the graph and enter it as leaves; from their
gradient that of the originals follows outside. Touches torch's compiler settings around its own calls only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganbench.training.game import Draws
from ganbench.training.phase import Evaluation, States, Task, evaluate, whole
from ganbench.training.seam import set_stream, stream_of
from ganbench.training.side import all_modules

Batch = tuple[Tensor | None, Tensor | None]
"""Samples and labels; both None where a phase does not draw them."""
Place = tuple[int, str]
"""Of a weight that is computed from others: the id of its module, its name there."""
Graph = Callable[
    [Batch, Batch, tuple[Tensor, Tensor], Sequence[Tensor]],
    tuple[Tensor, Mapping[str, Tensor], States, Sequence[Tensor]],
]
"""A phase as a pure function of real, latents, clock and what to differentiate by."""


@dataclass(frozen=True)
class _Variant:
    """What a first look at a phase has shown.

    ``drawn`` names what it draws, ``computed`` holds the modules of the weights computed from others that it uses; its
    value depends on the parameters ``direct`` and on the computed weights ``through``.
    """

    drawn: frozenset[str]
    computed: Mapping[Place, nn.Module]
    direct: tuple[nn.Parameter, ...]
    through: tuple[Place, ...]


class Compiled:
    """Evaluates phases through `torch.compile` and leaves their gradient in the parameters.

    ``backend`` is what `torch.compile` takes; ``note`` is told each fallback once. ``fallbacks`` and ``seconds`` hold,
    by variant ("discriminator with r1"), why it is not compiled and how long its first evaluation took.
    """

    def __init__(
        self, backend: str | Callable[..., Any] = "inductor", note: Callable[[str], None] | None = None
    ) -> None:
        self.fallbacks: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self._backend, self._note = backend, note
        self._settings = _settings()
        self._graphs: dict[Hashable, tuple[_Variant, Graph] | None] = {}
        self._known_by: list[Any] = []  # keeps alive what variants are told apart by

    def __call__(self, task: Task) -> Evaluation:
        """Evaluate ``task`` and add its gradient to that of its parameters."""
        key = task.player, task.both, id(task.players), tuple(map(id, task.due))
        if key not in self._graphs:
            return self._first(key, replace(task, draws=_once(task.draws)))
        compiled = self._graphs[key]
        return whole(task) if compiled is None else self._run(*compiled, task)

    def _first(self, key: Hashable, task: Task) -> Evaluation:
        """Compile a variant and run it; where that fails, take back what it changed and let `whole` do it."""
        before, start, compiled, failure = _Before(task), time.perf_counter(), None, None
        try:
            variant = _look(task)
            before.restore()
            compiled = variant, self._compile(task)
            found = self._run(*compiled, task)
        except Exception as error:  # a compiler raises whatever it likes, and what `whole` raises too will be raised
            failure = _sentence(error)
        if failure is not None:
            before.restore()
            found, compiled = whole(task), None
        self._graphs[key] = compiled
        self._known_by.append((task.players, task.due))
        self._report(task, time.perf_counter() - start, failure)
        return found

    def _compile(self, task: Task) -> Graph:
        return cast(Graph, torch.compile(_pure(task), fullgraph=True, dynamic=False, backend=self._backend))

    def _run(self, variant: _Variant, graph: Graph, task: Task) -> Evaluation:
        real = task.draws.real() if "real" in variant.drawn else (None, None)
        latents = task.draws.latents() if "latents" in variant.drawn else (None, None)
        with task.region():
            for (_, name), module in variant.computed.items():
                getattr(module, name)  # computes and keeps it, with its graph, unless that was done before
        with _leaves() as (weights, leaves):
            by = [*variant.direct, *(leaves[place] for place in variant.through)]
            with ExitStack() as stack:
                for setting in self._settings:
                    stack.enter_context(setting)
                value, logs, states, slopes = graph(real, latents, task.clock, by)
        torch.autograd.backward([*variant.direct, *(weights[place] for place in variant.through)], slopes)
        return Evaluation(value, logs, states)

    def _report(self, task: Task, seconds: float, failure: str | None) -> None:
        name = task.player + (" with " + " and ".join(r.name for r in task.due) if task.due else "")
        if failure is None:
            self.seconds[name] = seconds
            return
        self.fallbacks[name] = failure
        if self._note is not None:
            self._note(f"{name} is not compiled: {failure}")


def _settings() -> tuple[AbstractContextManager[Any], ...]:
    """Return the compiler's settings: derivatives inside of a graph, the random draws of eager evaluation."""
    import torch._dynamo.config  # here, for it takes a second and not everyone compiles
    import torch._inductor.config

    dynamo, inductor = cast(Any, torch._dynamo.config), cast(Any, torch._inductor.config)
    return dynamo.patch(trace_autograd_ops=True), inductor.patch(fallback_random=True)


def _pure(task: Task) -> Graph:
    """Return ``task`` as a function of its tensors, whose code is its own: the compiler limits variants by code."""
    player, players, due, region, both = task.player, task.players, task.due, task.region, task.both

    def phase(real: Any, latents: Any, clock: tuple[Tensor, Tensor], by: Sequence[Tensor]) -> Any:
        draws = Draws(lambda: real, lambda: latents)
        found = evaluate(Task(player, players, due, draws, clock, region, (), both))
        return found.value.detach(), found.logs, found.states, torch.autograd.grad(found.value, by)

    code = phase.__code__.replace(co_name=f"{player}_phase")
    return cast(Graph, FunctionType(code, phase.__globals__, code.co_name, None, phase.__closure__))


def _once(draws: Draws) -> Draws:
    """Return draws that are made when they are first asked for, and then stay."""
    kept: dict[str, tuple[Tensor, Tensor | None]] = {}

    def keep(name: str) -> tuple[Tensor, Tensor | None]:
        if name not in kept:
            kept[name] = getattr(draws, name)()
        return kept[name]

    return Draws(lambda: keep("real"), lambda: keep("latents"))


def _look(task: Task) -> _Variant:
    """Evaluate ``task`` eagerly and see what it uses.

    Raises:
        ValueError: it differentiates by weights that are computed from others: a graph takes those as they are.
    """
    if task.both and parametrize._cache:
        raise ValueError("it differentiates by weights that are computed from others (spectral norm)")
    drawn: set[str] = set()

    def seen(name: str) -> tuple[Tensor, Tensor | None]:
        drawn.add(name)
        batch: tuple[Tensor, Tensor | None] = getattr(task.draws, name)()
        return batch

    draws = Draws(lambda: seen("real"), lambda: seen("latents"))
    with _leaves() as (_, leaves):
        value = evaluate(replace(task, draws=draws)).value
        computed = tuple(cast(dict[Place, Tensor], parametrize._cache))
    places = [place for place, leaf in leaves.items() if leaf.requires_grad]
    params = [p for p in task.params if p.requires_grad]
    slopes = torch.autograd.grad(value, [*params, *(leaves[place] for place in places)], allow_unused=True)
    modules = {id(m): m for top in all_modules(task.players.networks) for m in top.modules()}
    return _Variant(
        frozenset(drawn),
        {place: modules[place[0]] for place in computed},
        tuple(p for p, slope in zip(params, slopes, strict=False) if slope is not None),
        tuple(place for place, slope in zip(places, slopes[len(params) :], strict=True) if slope is not None),
    )


@contextmanager
def _leaves() -> Iterator[tuple[Mapping[Place, Tensor], Mapping[Place, Tensor]]]:
    """Let networks use leaves in place of the weights that are kept for this phase; yields weights and leaves."""
    kept = cast(dict[Place, Tensor], parametrize._cache)
    weights = dict(kept)
    leaves = {place: weight.detach().requires_grad_(weight.requires_grad) for place, weight in weights.items()}
    kept.update(leaves)
    try:
        yield weights, leaves
    finally:
        kept.clear()
        kept.update(weights)


class _Before:
    """Everything that evaluating a phase can change, as it was: buffers, gradients, kept weights, random streams."""

    def __init__(self, task: Task) -> None:
        self._buffers = [(b, b.clone()) for m in all_modules(task.players.networks) for b in m.buffers()]
        self._gradients = [(p, None if p.grad is None else p.grad.clone()) for p in task.params]
        self._weights = dict(parametrize._cache)
        self._device = task.clock[0].device
        self._stream = stream_of(self._device)

    @torch.no_grad()
    def restore(self) -> None:
        """Let it all be so again."""
        for buffer, value in self._buffers:
            buffer.copy_(value)
        for p, gradient in self._gradients:
            p.grad = gradient
        parametrize._cache.clear()
        parametrize._cache.update(self._weights)
        set_stream(self._device, self._stream)


def _sentence(error: Exception) -> str:
    """Return the beginning of what ``error`` says, in one line, with its type."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("Set TORCHDYNAMO_VERBOSE")]
    return f"{type(error).__name__}: {' '.join(said[:2])}"[:300]
