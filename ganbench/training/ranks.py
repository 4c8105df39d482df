"""One phase across several processes, each with its part of the batch; the result is that of one process.

Critiques are gathered, so that every rank evaluates the same loss on the same numbers; each carries the gradient on
through its own part, and the gradients are added up.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ganbench.errors import CannotBeCut
from ganbench.training.cut import Batch, Cutting, normalises
from ganbench.training.game import Players
from ganbench.training.parts import add_gradients, cannot_be_cut, evaluate_terms, see, summed
from ganbench.training.phase import Evaluation, Task
from ganbench.training.seam import rows
from ganbench.training.world import World


def across_ranks(task: Task, world: World) -> Evaluation:
    """Evaluate this rank's part of ``task`` and leave the gradient of the whole batch in its parameters.

    All ranks draw the same batch and have the same weights; every one returns the same. BatchNorm has to be one of
    `ganbench.training.synchronised`.

    Raises:
        CannotBeCut: the parts would not give the gradient of the batch; the sentence says why.
    """
    if reason := cannot_be_shared(task.players) or cannot_be_cut(task.players, task.due, world.size):
        raise CannotBeCut(reason)
    cutting = Cutting(
        world.size, [world.rank], lambda found: world.gather(found[0]), traced=True, generator=True, alone=True
    )
    batch = Batch(task, cutting)
    try:
        return _evaluate(batch, world)
    finally:
        batch.close()


def cannot_be_shared(players: Players) -> str | None:
    """Say which network would normalise over one process's part of the batch alone, or return None."""
    networks = players.networks
    companions = {f"companion {name}": companion.module for name, companion in networks.companions.items()}
    named = {"generator": networks.generator, "discriminator": networks.discriminator, **companions}
    for name, network in named.items():
        if network is not None and normalises(network):
            return f"BatchNorm in the {name} is not synchronised between the processes"
    return None


def _evaluate(batch: Batch, world: World) -> Evaluation:
    task, (part,) = batch.task, batch.parts
    seen = see(batch)
    pulled, direct = batch.seams.pull(seen.value)
    with task.region():
        found = [(read(part), rows(gradient, world.rank, world.size)) for read, gradient in pulled]
        found = [(tensor, gradient) for tensor, gradient in found if tensor.requires_grad]
        values = evaluate_terms(batch, part, seen)
    tensors = [tensor for tensor, _ in found] + [value for value in values if value.requires_grad]
    if tensors:
        torch.autograd.backward(tensors, [gradient for _, gradient in found] + [None] * (len(tensors) - len(found)))
    # What weights add by themselves is the same on every rank, and counts once.
    add_gradients(task, [g if g is None or world.rank == 0 else torch.zeros_like(g) for g in direct])
    with torch.no_grad():
        world.add([p.grad for p in task.params if p.grad is not None])
        own = torch.stack(
            [summed(values, seen.value) * world.size, *(log.to(seen.value) for log in part.logs.values())]
        )
        means = world.gather(own[None]).mean(dim=0)  # (1 + logs,)
    logs = dict(zip(part.logs, means[1:], strict=True))
    return replace(Evaluation(seen.value.detach() + means[0], batch.logs, seen.states), logs=batch.logs | logs)
