"""A batch that the networks see in parts only, and losses see whole: the gradient is that of the batch, exactly.

What networks say of the parts is put together without a graph. Losses and regularizers are evaluated on that, and their
gradient is carried on through each part. A component that asks more of the networks is evaluated on each part if it is
``separable``; else the batch cannot be cut. `ganbench.training.parts` takes one part after another,
`ganbench.training.ranks` one a process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganbench.errors import CannotBeCut
from ganbench.training.game import Draws, Game, map_critique
from ganbench.training.phase import Task
from ganbench.training.seam import Seams, Stream, rows, set_stream, severed, stream_of, tensors
from ganbench.training.synchronised import SynchronisedBatchNorm
from ganbench.values import Critique, Player, Sample

T = TypeVar("T")


@dataclass(frozen=True)
class Cutting:
    """How a batch is cut: into ``count`` parts, of which those at ``places`` are evaluated here.

    ``join`` makes rows of the whole batch of what was found at these places. ``traced``: parts keep their graph from
    the start. ``generator``: the generator may be run on parts; where it may not, or draws random numbers, it is run on
    the whole batch, unless ``alone``, which has only its own part.
    """

    count: int
    places: Sequence[int]
    join: Callable[[list[Tensor]], Tensor]
    traced: bool
    generator: bool
    alone: bool


class Part(Game):
    """The rows of one part of a batch. What it finds has no graph unless it is ``traced``."""

    def __init__(self, batch: Batch, place: int, traced: bool) -> None:
        task = batch.task
        draws = Draws(lambda: batch.rows_of("real drawn", place), lambda: batch.rows_of("latents drawn", place))
        super().__init__(task.player, task.players, draws, task.due, task.clock)
        self.place, self.batch, self._traced, self._replays = place, batch, traced, False
        self._graph = self._graph and traced

    def replay(self) -> Part:
        """Return this part anew and traced; what cannot carry a graph in this phase stays as it was found."""
        part = Part(self.batch, self.place, traced=True)
        part._replays = True
        kept = {"real", "fake", "sample"} if self.phase == "discriminator" else {"real"}
        for key in kept & self._memo.keys():
            found = self._memo[key]
            part._memo[key] = found if key == "sample" else part._leaf(key, found)
        if self.phase == "generator" and not self.batch.cuts_generator:
            sample = self.sample
            style = None if sample.style is None else sample.style.detach().requires_grad_(True)
            part._memo["sample"] = Sample(sample.images.detach().requires_grad_(True), style)
        return part

    def _once(self, key: str, make: Callable[[], T]) -> T:
        if self._traced or key in self._memo:
            return super()._once(key, make)
        with torch.set_grad_enabled(key == "latents"):  # components may move them along a slope
            found: T = severed(make())
        self._memo[key] = found
        return found

    @contextmanager
    def _drawing(self, key: str) -> Iterator[None]:
        """Draw from where the part drew when it first evaluated ``key``."""
        batch = self.batch
        before = batch.stream()
        if not self._replays:
            batch.begins[key] = before
        elif key in batch.begins:
            batch.set_stream(batch.begins[key])
        yield
        if self._replays and key in batch.begins:
            batch.set_stream(before)

    def _augmented(self, side: str, x: Tensor) -> Tensor:
        with self._drawing(side):
            return super()._augmented(side, x)

    def _move_latents(self) -> Tensor:
        _ = self.fake_labels  # what is drawn before components draw
        with self._drawing("latents"):
            return super()._move_latents()

    def uniform(self, *shape: int) -> Tensor:
        """Draw for the whole batch; return the rows of this part."""
        return self._own(super().uniform, shape)

    def normal(self, *shape: int) -> Tensor:
        """Draw for the whole batch; return the rows of this part."""
        return self._own(super().normal, shape)

    def _own(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        n, count = len(self.clean_real), self.batch.cutting.count
        if not shape or shape[0] not in (n, n // self.players.pac):
            return draw(*shape)
        return rows(draw(count * shape[0], *shape[1:]), self.place, count)

    def critic(self, x: Tensor, labels: Tensor | None = None) -> Critique:
        """Judge ``x`` as any game does. Raises CannotBeCut for a discriminator that draws random numbers."""
        before = self.batch.stream()
        critique = super().critic(x, labels)
        if self.batch.has_drawn(before):
            raise CannotBeCut("the discriminator draws random numbers, which would be others for a part of the batch")
        return critique

    def generate(self, z: Tensor, labels: Tensor | None = None) -> Sample:
        """Run the generator as any game does. Raises CannotBeCut where that takes the whole batch."""
        if not self.batch.cuts_generator:
            asking = self.batch.seams.asking
            raise CannotBeCut(f"{asking} runs the generator, which couples the batch or draws random numbers for it")
        return super().generate(z, labels)

    def companion(self, name: str) -> nn.Module:
        """Return the companion of this name. Raises CannotBeCut for one that normalises over a part of the batch."""
        network = super().companion(name)
        if normalises(network):
            raise CannotBeCut(f"BatchNorm in the companion {name} couples the samples of a batch")
        return network

    def _select(self, side: str, critique: Critique) -> Critique:
        if any(hasattr(component, "select") for component in self.due):
            asking = self.batch.seams.asking
            raise CannotBeCut(f"{asking} reads logits, of which another component selects from the whole batch")
        return super()._select(side, critique)


class Batch(Game):
    """The whole batch, as losses and regularizers see it: put together from its parts when it is first read."""

    def __init__(self, task: Task, cutting: Cutting) -> None:
        super().__init__(task.player, task.players, task.draws, task.due, task.clock)
        self.task, self.cutting, self.cuts_generator = task, cutting, cutting.generator
        self.begins: dict[str, Stream] = {}  # where the parts began to draw for what
        self.seams: Seams[Part] = Seams([p for p in task.params if p.requires_grad])
        self.uncut: Sample | None = None  # with its graph, where the generator is run on the whole batch
        self.gradients: list[tuple[Tensor, Tensor | None]] = []  # by its images and style, part by part
        self.parts = [Part(self, place, cutting.traced) for place in cutting.places]

    def rows_of(self, key: str, place: int) -> tuple[Tensor, Tensor | None]:
        """Return the rows of "real drawn" or "latents drawn", and of their labels, that are part ``place``."""
        draw = self._draws.real if key == "real drawn" else self._draws.latents
        x, labels = self._once(key, draw)
        count = self.cutting.count
        if reason := uneven(len(x), self.players.pac, count):
            raise CannotBeCut(reason)
        return rows(x, place, count), None if labels is None else rows(labels, place, count)

    def stream(self) -> Stream:
        """Return where torch's global streams are."""
        return stream_of(self.step.device)

    def set_stream(self, stream: Stream) -> None:
        """Go on drawing from ``stream``."""
        set_stream(self.step.device, stream)

    def has_drawn(self, before: Stream) -> bool:
        """Whether anything was drawn since ``before``."""
        return not all(map(torch.equal, before, self.stream()))

    def each(self, read: Callable[[Part], T]) -> list[T]:
        """Return what ``read`` finds in each part that is evaluated here; all draw from the same place on."""
        begin, found = self.stream(), []
        for part in self.parts:
            self.set_stream(begin)
            found.append(read(part))
        return found

    def make(self, side: str) -> None:
        """Let the parts make their "real" or "fake" now, so that they draw when the whole batch would."""
        if side == "fake":
            self._once("generated", self._generate_parts)
        self.each(lambda part: getattr(part, side))

    def take_gradient(self, sample: Sample) -> None:
        """Keep the gradient by a part's rows of what the generator made at once."""
        pair = (sample.images, sample.style)
        images, style = (None if x is None else torch.zeros_like(x) if x.grad is None else x.grad for x in pair)
        self.gradients.append((_given(images), style))

    def close(self) -> None:
        """Let go of the parts and of what was put together: each holds the batch, or itself."""
        self.parts.clear()
        self.seams.close()

    # What components read

    @property
    def real(self) -> Tensor:  # noqa: D102
        return self._once("real", lambda: self._joined(lambda part: part.real, False))

    @property
    def latents(self) -> Tensor:  # noqa: D102
        if not self._moves_latents():
            return self._once("latents drawn", self._draws.latents)[0]
        return self._once("latents", lambda: self._joined(lambda part: part.latents, True))

    @property
    def sample(self) -> Sample:  # noqa: D102
        return self._once("sample", self._join_samples)

    @property
    def fake(self) -> Tensor:  # noqa: D102
        return self._once("fake", self._join_fakes)

    def judged(self, side: str) -> Critique:  # noqa: D102
        return self._once(f"{side} judged", lambda: self._join_critiques(side))

    def _joined(self, read: Callable[[Part], Tensor], sewn: bool) -> Tensor:
        value = self.cutting.join([found.detach() for found in self.each(read)])
        return self.seams.sew(value, read) if sewn else value

    def _moves_latents(self) -> bool:
        return any(hasattr(component, "latents") for component in self.due)

    def _generate_parts(self) -> bool:
        """Let every part make its sample, or all at once where the generator couples the batch or draws for it."""
        self.each(lambda part: part.latents)
        begin = self.stream()
        if self.cuts_generator:
            self.each(lambda part: part.sample)
            if not self.has_drawn(begin):
                return True
            if self.cutting.alone or self._moves_latents():
                raise CannotBeCut("the generator draws random numbers, which would be others for a part of the batch")
            self.cuts_generator = False
            self.set_stream(begin)
        with torch.set_grad_enabled(self.phase == "generator"):
            self.uncut = super().generate(*self._once("latents drawn", self._draws.latents))
        for part in self.parts:
            style = None if self.uncut.style is None else rows(self.uncut.style, part.place, self.cutting.count)
            part.knowing({"sample": severed(Sample(rows(self.uncut.images, part.place, self.cutting.count), style))})
        return True

    def _join_samples(self) -> Sample:
        self._once("generated", self._generate_parts)
        sewn, style = self.phase == "generator", None
        if self.each(lambda part: part.sample.style is not None)[0]:
            style = self._joined(lambda part: _given(part.sample.style), sewn)
        return Sample(self._joined(lambda part: part.sample.images, sewn), style)

    def _join_fakes(self) -> Tensor:
        self.make("fake")
        return self._joined(lambda part: part.fake, self.phase == "generator")

    def _join_critiques(self, side: str) -> Critique:
        for one in ("real", "fake") if self._joint else (side,):
            self.make(one)
        first = self.each(lambda part: part.judged(side))[0]
        sewn = side == "fake" or self.phase == "discriminator"
        fields = [
            self._joined(lambda part, place=place: tensors(part.judged(side))[place], sewn)  # type: ignore[misc]
            for place in range(len(tensors(first)))
        ]
        following = iter(fields)
        return map_critique(lambda _: next(following), first)

    # What components call

    def critic(self, x: Tensor, labels: Tensor | None = None) -> NoReturn:  # noqa: ARG002, D102
        self._refuse("asks the discriminator about the whole batch once more")

    def generate(self, z: Tensor, labels: Tensor | None = None) -> NoReturn:  # noqa: ARG002, D102
        self._refuse("runs the generator on the whole batch once more")

    def slope(self, logits: Tensor, x: Tensor) -> NoReturn:  # noqa: ARG002, D102
        self._refuse("differentiates what the discriminator says of the whole batch")

    def objective(self, player: Player) -> NoReturn:  # noqa: ARG002, D102
        self._refuse("differentiates the players' losses on the whole batch")

    def companion(self, name: str) -> NoReturn:  # noqa: D102
        self._refuse(f"runs the companion {name} on the whole batch")

    def kept(self, component: Any, name: str) -> Any:
        """Return what ``component`` kept. Raises CannotBeCut for what it kept of parts only."""
        if (id(component), name) not in self._kept:
            self._refuse(f"wants the {name} of the whole batch")
        return super().kept(component, name)

    def _refuse(self, does: str) -> NoReturn:
        raise CannotBeCut(f"{self.seams.asking} {does}")


def uneven(n: int, pac: int, count: int) -> str | None:
    """Say why ``count`` equal parts of a batch of ``n`` cannot be made of whole packs, or return None."""
    if n % (count * pac) == 0:
        return None
    packs = f"packs of {pac}" if pac > 1 else "samples"
    return f"a batch of {n} has no {count} equal parts of whole {packs}"


def normalises(network: nn.Module) -> bool:
    """Whether ``network`` has a BatchNorm over the samples that it is given, and no more."""
    norms = (module for module in network.modules() if isinstance(module, _BatchNorm))
    return any(norm.training and not isinstance(norm, SynchronisedBatchNorm) for norm in norms)


def _given(style: Tensor | None) -> Tensor:
    if style is None:
        raise ValueError("the generator gives a style for some samples only")
    return style
