"""CUDA graphs: the pieces of a move are recorded once and played again, each with one call of the host.

A recording does the same to the same addresses. So what a phase draws is copied into tensors that stay, and whatever a
piece leaves for others (gradients that another piece steps, an optimizer's state, buffers) is brought back to where it
first lay. A piece that cannot be recorded is carried out each time, and `Recorded.fallbacks` says why.

Random numbers: before a replay PyTorch tells the graph the seed and the offset at which the device's generator stands,
and moves it on by what the graph draws. So seeding before a piece does the same whether it is carried out or played.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from ganbench.training.game import Draws
from ganbench.training.places import Left, Look, Places, WandersError
from ganbench.training.side import Side
from ganbench.values import Player

WARM_UP = 3  # times that a piece is carried out before it is recorded: kernels are chosen, states made, phases compiled

Work = Callable[[], None]
Batch = tuple[Tensor, Tensor | None]


class Recorder(Protocol):
    """Records work of the device."""

    def warm(self, work: Work) -> None:
        """Carry out ``work`` where it would be recorded."""

    def rehearse(self, work: Work) -> str | None:
        """Carry out ``work`` and say what of it would be in the way of a recording, if anything is seen."""

    def record(self, work: Work) -> Work:
        """Call ``work`` without carrying it out; return what plays it. Raises whatever is in the way."""


class CudaRecorder:
    """Records CUDA graphs that share one pool of memory, on a stream of their own."""

    def __init__(self, device: torch.device) -> None:
        self._device = torch.device("cuda", device.index or 0)
        self._stream: torch.cuda.Stream = cast(Any, torch.cuda).Stream(self._device)
        self._pool: Any = None

    def warm(self, work: Work) -> None:
        """Carry out ``work`` on the stream of the recordings, between what the current stream did and will do."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def rehearse(self, work: Work) -> str | None:
        """Carry out ``work`` and say where it waits for the device: a failed recording may leave CUDA in disorder."""
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                self.warm(work)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        waits = [one for one in seen if "called a synchronizing CUDA operation" in str(one.message)]
        for one in seen:
            if one not in waits and "Synchronization debug mode" not in str(one.message):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        return f"it waits for the device in {Path(waits[0].filename).name}, line {waits[0].lineno}" if waits else None

    def record(self, work: Work) -> Work:
        """Record ``work`` as one graph.

        Other threads (that pin memory, say) may go on meanwhile. After a failure later graphs get another pool, for
        nothing promises in what order the failed recording left this one.

        Raises:
            RuntimeError: among others, ``work`` waits for the device or draws random numbers on the host.
        """
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        generator, host = torch.cuda.default_generators[self._device.index], torch.default_generator
        streams = generator.get_state(), host.get_state()
        try:
            with (
                torch.cuda.device(self._device),
                torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"),
            ):
                work()
            if not torch.equal(host.get_state(), streams[1]):
                raise RuntimeError("it draws random numbers on the host")
        except BaseException:
            self._pool = None
            raise
        finally:
            generator.set_state(streams[0])
            host.set_state(streams[1])
        return graph.replay


@dataclass
class _Piece:
    """A piece: how often it was carried out, what it draws and leaves, what plays it, whether it never will be."""

    runs: int = 0
    reads: set[str] = field(default_factory=set)
    left: Left = field(default_factory=dict)
    play: Work | None = None
    fallen: bool = False


class _Feed:
    """What one phase draws, in tensors that stay (``kept``, by "real" and "latents")."""

    def __init__(self, draw: Mapping[str, Callable[[], Batch]], kept: dict[str, Batch], channels_last: bool) -> None:
        self._draw, self._kept, self._channels_last = draw, kept, channels_last
        self._filled: set[str] = set()
        self.read: set[str] = set()
        self.sealed = False

    def draws(self) -> Draws:
        """Return callables that give the tensors that stay."""
        return Draws(partial(self._get, "real"), partial(self._get, "latents"))

    def fill(self, names: set[str]) -> None:
        """Draw what ``names`` say, each at most once."""
        for which in names - self._filled:
            new = self._draw[which]()
            if which not in self._kept:
                self._kept[which] = self._like(new)
            for kept, one in zip(self._kept[which], new, strict=True):
                if kept is not None and one is not None:
                    kept.copy_(one, non_blocking=True)
            self._filled.add(which)

    def _get(self, which: str) -> Batch:
        if self.sealed and which not in self._filled:
            raise RuntimeError(f"it reads {which} samples, which it did not before")
        self.fill({which})
        self.read.add(which)
        return self._kept[which]

    def _like(self, batch: Batch) -> Batch:
        samples, labels = batch
        last = self._channels_last and samples.dim() == 4
        layout = torch.channels_last if last else torch.contiguous_format
        return torch.empty_like(samples, memory_format=layout), None if labels is None else torch.empty_like(labels)


class Recorded:
    """Carries out each piece a few times, then records it and plays the recording.

    ``sides`` are the players of the engine, before any step; their learning rates become tensors. ``modules`` are all
    networks. ``fallbacks`` says by piece why it is not recorded.
    """

    def __init__(
        self, sides: Mapping[Player, Side], modules: Sequence[nn.Module], channels_last: bool, recorder: Recorder
    ) -> None:
        self._sides, self._channels_last, self._recorder = sides, channels_last, recorder
        for side in sides.values():
            make_capturable(side.optimizer)
        self._places = Places(sides, modules)
        self._kept: dict[int, dict[str, Batch]] = {}
        self._numbers: dict[str, Tensor] = {}
        self._pieces: dict[Hashable, _Piece] = {}
        self._feed: _Feed | None = None
        self._given_up = False
        self.fallbacks: dict[str, str] = {}

    def draws(self, side: Side, k: int, n: int) -> Draws:
        """Return what phase ``k`` of a side draws; the next piece is the one that reads it."""
        draw: dict[str, Callable[[], Batch]] = {
            "real": lambda: side.images.batch(k),
            "latents": lambda: side.latents.batch(k, n),
        }
        self._feed = _Feed(draw, self._kept.setdefault(id(side), {}), self._channels_last)
        return self._feed.draws()

    def number(self, name: str, value: float) -> Tensor:
        """Return ``value`` as work may read it: in the 0-dim float64 tensor that stays under ``name``."""
        if name not in self._numbers:
            device = next(side.updates.device for side in self._sides.values())
            self._numbers[name] = torch.zeros((), dtype=torch.float64, device=device)
        return self._numbers[name].fill_(value)

    def run(self, key: Hashable, work: Work) -> None:
        """Play the recording of ``key``; before there is one, carry out ``work``."""
        feed, self._feed = self._feed or _Feed({}, {}, False), None
        if not self._places.are_current():
            self.forget()
        piece = self._pieces.setdefault((key, self._places.handed), _Piece())
        feed.fill(piece.reads)
        if piece.play is None and piece.runs >= WARM_UP and not (piece.fallen or self._given_up):
            self._record(key, piece, feed, work)
        if piece.play is not None:
            piece.play()
            self._places.note(piece.left)
        else:
            self._carry_out(key, piece, feed, work)

    def forget(self) -> None:
        """Drop all recordings: tensors came to lie elsewhere, or a piece is to do something else from now on."""
        self._pieces = {key: _Piece(reads=piece.reads, fallen=piece.fallen) for key, piece in self._pieces.items()}

    def _carry_out(self, key: Hashable, piece: _Piece, feed: _Feed, work: Work) -> None:
        self._places.bind_gradients()
        before = self._places.look()
        piece.runs += 1
        if piece.runs != WARM_UP or piece.fallen or self._given_up:
            self._recorder.warm(work)
        elif (reason := self._recorder.rehearse(work)) is not None:
            self._fall(key, piece, reason)
        piece.reads |= feed.read
        try:
            if not self._given_up:
                self._places.note(self._places.settle(before))
        except WandersError as error:
            self._give_up(str(error))

    def _record(self, key: Hashable, piece: _Piece, feed: _Feed, work: Work) -> None:
        """Record ``work``; where that fails, leave everything as it was and the reason in `fallbacks`."""
        self._places.bind_gradients()
        before, bring_back = self._places.look(), self._places.hold()
        feed.sealed = True
        try:
            piece.play = self._recorder.record(lambda: self._whole(piece, work, before))
        except Exception as error:
            bring_back()
            first = _first(error)
            reason = next(iter(str(first).strip().splitlines()), "") or type(first).__name__
            if isinstance(first, torch.OutOfMemoryError):
                self._give_up(f"there is no memory for recordings: {reason}")
            else:
                self._fall(key, piece, reason)
        finally:
            feed.sealed = False

    def _whole(self, piece: _Piece, work: Work, before: Look) -> None:
        work()
        piece.left = self._places.settle(before)
        self._places.check_host(before)

    def _fall(self, key: Hashable, piece: _Piece, reason: str) -> None:
        piece.fallen = True
        names = (part for part in (key if isinstance(key, tuple) else (key,)) if isinstance(part, str))
        self.fallbacks.setdefault(f"graph of {' '.join(names)}", f"it cannot be recorded: {reason}")

    def _give_up(self, reason: str) -> None:
        self.forget()
        self._given_up = True
        self.fallbacks.setdefault("graphs", reason)


def make_capturable(optimizer: torch.optim.Optimizer) -> None:
    """Let ``optimizer`` read its learning rates and step counts on the device; call it before its first step."""
    for group in optimizer.param_groups:
        device = group["params"][0].device
        if not isinstance(group["lr"], Tensor):
            group["lr"] = torch.tensor(float(group["lr"]), device=device)
        if isinstance(optimizer, torch.optim.SGD | torch.optim.Adam) and group["fused"] is None:
            group["fused"] = True  # the only form of SGD that does not read a tensor rate on the host
        if device.type == "cuda" and "capturable" in group:
            group["capturable"] = True
            # or torch warns that the first steps are not captured
            optimizer._warned_capturable_if_run_uncaptured = True


def _first(error: BaseException) -> BaseException:
    """Return what went wrong first: ending a failed capture raises once more."""
    while error.__context__ is not None:
        error = error.__context__
    return error
