"""Gradient accumulation: a phase with the memory of a smaller batch, and the result of the whole one.

The parts of the batch pass through the networks twice: once without a graph, for what losses see of the whole batch
(`ganbench.training.cut`), and once to carry the gradient on. Where the generator couples the batch (BatchNorm) or draws
random numbers, it is run on the whole batch, and only the discriminator on parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from ganbench.components import trait
from ganbench.errors import CannotBeCut
from ganbench.training.cut import Batch, Cutting, Part, normalises, uneven
from ganbench.training.game import Players
from ganbench.training.phase import Evaluation, States, Task, renewed
from ganbench.training.seam import Stream, rows


@dataclass(frozen=True)
class Term:
    """One summand of what a player minimises: a method of a component, times a weight."""

    component: Any
    method: str
    weight: int

    def on(self, game: Batch | Part) -> Tensor:
        """Return the value of the term; a component that differentiates what is not there is refused."""
        name = getattr(self.component, "name", type(self.component).__name__)
        seams = game.seams if isinstance(game, Batch) else game.batch.seams
        seams.asking = name
        try:
            value: Tensor = getattr(self.component, self.method)(game)
        except RuntimeError as error:
            if isinstance(game, Batch) and "not have been used in the graph" in str(error):
                raise CannotBeCut(f"{name} differentiates what the networks compute of the whole batch") from error
            raise
        return self.weight * value


@dataclass
class Seen:
    """What a phase gave that was evaluated on the whole batch, and what is left for the parts.

    ``begin`` is where those terms begin to draw that are evaluated on parts.
    """

    value: Tensor
    states: States
    terms: tuple[Term, ...]
    begin: Stream


def in_parts(task: Task, parts: int) -> Evaluation:
    """Evaluate ``task`` in ``parts`` parts, one after another, and leave the gradient in its parameters.

    It differs from `ganbench.training.phase.whole` by rounding alone.

    Raises:
        CannotBeCut: the parts would not give the gradient of the batch; the sentence says why.
    """
    if reason := cannot_be_cut(task.players, task.due, parts):
        raise CannotBeCut(reason)
    generator = not normalises(task.players.networks.generator)
    batch = Batch(task, Cutting(parts, range(parts), torch.cat, traced=False, generator=generator, alone=False))
    try:
        seen = see(batch)
        pulled, direct = batch.seams.pull(seen.value)
        add_gradients(task, direct)
        values = [_carry_on(batch, part, seen, pulled) for part in batch.parts]
        _through_generator(batch)
    finally:
        batch.close()
    logs = {name: torch.stack([found[name] for _, found in values]).mean() for name in values[0][1]}
    total = seen.value.detach() + torch.stack([value for value, _ in values]).sum()
    return Evaluation(total, batch.logs | logs, seen.states)


def cannot_be_cut(players: Players, due: Sequence[Any], parts: int, batch_size: int = 0) -> str | None:
    """Say why a batch cannot be cut for these components, or return None; a few reasons show only when it is tried.

    A ``batch_size`` of 0 is one that fits.
    """
    networks = players.networks
    if reason := uneven(batch_size, players.pac, parts):
        return reason
    if networks.batch_coupling == "statistic":
        return "the discriminator compares the samples of a batch"
    if networks.discriminator is not None and normalises(networks.discriminator):
        return "BatchNorm in the discriminator couples the samples of a batch"
    for component in due:
        sides = trait(component, "differentiates")
        if "weights" in sides:
            return f"{component.name} differentiates by both players' weights on the whole batch"
        if (sides or hasattr(component, "latents")) and not trait(component, "separable"):
            return f"{component.name} differentiates on the whole batch, and does not say that it is separable"
    for augmentation in players.augmentations:
        if not trait(augmentation, "separable"):
            return f"{augmentation.name} does not say that it is separable: it may look at other samples of the batch"
    return None


def see(batch: Batch) -> Seen:
    """Evaluate on the whole batch what reads critiques and no more, and the new states."""
    task, terms = batch.task, _terms(batch.task)
    with task.region():
        if task.player == "discriminator":
            batch.make("real")
            batch.make("fake")
        value = torch.zeros((), device=batch.step.device)
        begin: Stream | None = None
        for term in terms:
            before = batch.stream()
            if trait(term.component, "separable"):
                begin = begin or before
                continue
            value = value + term.on(batch)
            if begin is not None and batch.has_drawn(before):
                raise CannotBeCut(f"{term.component.name} draws random numbers after one that is evaluated on parts")
        states = renewed(batch)
    separable = tuple(term for term in terms if trait(term.component, "separable"))
    return Seen(value, states, separable, begin or batch.stream())


def evaluate_terms(batch: Batch, part: Part, seen: Seen) -> list[Tensor]:
    """Return the share of ``part`` in each term that is evaluated on parts."""
    batch.set_stream(seen.begin)
    return [term.on(part) / batch.cutting.count for term in seen.terms]


def add_gradients(task: Task, gradients: Sequence[Tensor | None]) -> None:
    """Add ``gradients`` to those of the trained parameters, laid out in memory as these are.

    PyTorch's fused optimizers step wrongly, and without a word, where a gradient lies otherwise than its parameter.
    """
    trained = [p for p in task.params if p.requires_grad]
    for p, gradient in zip(trained, gradients, strict=True):
        if gradient is not None and p.grad is None:
            p.grad = torch.empty_like(p).copy_(gradient)
        elif gradient is not None:
            cast(Tensor, p.grad).add_(gradient)


def summed(values: Sequence[Tensor], like: Tensor) -> Tensor:
    """Return the sum of 0-dim ``values`` without a graph; 0 of none."""
    return torch.stack([value.detach() for value in values]).sum() if values else torch.zeros_like(like.detach())


def _terms(task: Task) -> list[Term]:
    penalties = [component for component in task.due if hasattr(component, "penalty")]
    return [
        Term(task.players.loss, task.player, 1),
        *(Term(component, "penalty", trait(component, "every")) for component in penalties),
    ]


def _carry_on(batch: Batch, part: Part, seen: Seen, pulled: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Evaluate ``part`` once more, with its graph, and add its share of the gradient; return its terms and logs."""
    again, place, count = part.replay(), part.place, batch.cutting.count
    with batch.task.region():
        found = [(read(again), rows(gradient, place, count)) for read, gradient in pulled]
        found = [(tensor, gradient) for tensor, gradient in found if tensor.requires_grad]
        values = evaluate_terms(batch, again, seen)
    tensors = [tensor for tensor, _ in found] + [value for value in values if value.requires_grad]
    gradients = [gradient for _, gradient in found] + [None] * (len(tensors) - len(found))
    if tensors:  # weights that are computed from others are shared by all parts, and so is their graph
        torch.autograd.backward(tensors, gradients, retain_graph=True)
    if batch.uncut is not None and batch.phase == "generator":
        batch.take_gradient(again.sample)
    return summed(values, seen.value), part.logs | again.logs


def _through_generator(batch: Batch) -> None:
    """Carry the gradient by a sample that was made uncut on to the generator."""
    if batch.uncut is None or not batch.gradients:
        return
    columns = zip(*batch.gradients, strict=True)
    outputs = (batch.uncut.images, batch.uncut.style)
    found = [(x, torch.cat(column)) for x, column in zip(outputs, columns, strict=True) if x is not None]
    torch.autograd.backward([x for x, _ in found], [gradient for _, gradient in found])
