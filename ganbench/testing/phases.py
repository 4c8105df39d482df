"""Checks losses, regularizers and augmentations by letting them play both phases on small networks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from ganbench.components import trait
from ganbench.testing.description import label_of
from ganbench.testing.fault import blaming, require
from ganbench.testing.rehearsal import (
    PLAYERS,
    Cast,
    Outcome,
    Scene,
    Stage,
    opened,
    play,
    play_dataless,
    play_in_parts,
)
from ganbench.values import Player

PARTS = 2
"""Into which a batch is cut where a component says that it is separable."""

_LATE = 1_000
"""An update late in a run, where what depends on the step may have changed."""


def check_loss(loss: Any, scene: Scene) -> None:
    """Check a loss in each phase that it defines, alone and with two samples judged as one."""
    stage, players = replace(_stage(scene), loss=loss), [player for player in PLAYERS if hasattr(loss, player)]
    _rehearse(loss, stage, players)
    _check_separable(f"loss {label_of(loss)}", loss, stage, players)


def check_regularizer(regularizer: Any, scene: Scene) -> None:
    """Check a regularizer's traits, and play each of its phases with it."""
    label = f"regularizer {label_of(regularizer)}"
    phases, sides = trait(regularizer, "phases"), trait(regularizer, "differentiates")
    _subset(f"{label}: phases", phases, PLAYERS)
    require(len(phases) > 0, f"{label}: phases is empty, so it never acts")
    _subset(f"{label}: differentiates", sides, ("real", "fake", "latents", "weights"))
    check_every(label, regularizer)
    per_sample = trait(regularizer, "per_sample")
    require(isinstance(per_sample, bool), f"{label}: per_sample is {per_sample!r}; possible: True, False")
    stage = replace(_stage(scene), regularizers=(regularizer,))
    _rehearse(regularizer, stage, sorted(phases))
    _check_separable(label, regularizer, stage, sorted(phases))


def check_augmentation(augmentation: Any, scene: Scene) -> None:
    """Check that images keep their shape and pass a gradient, and play both phases with the augmentation."""
    label, stage = f"augmentation {label_of(augmentation)}", _stage(scene)
    with blaming(label):
        images = torch.rand(8, *stage.data.shape).mul(2).sub(1).requires_grad_()
        changed = augmentation(images, opened(replace(stage, augmentations=(augmentation,)), "discriminator"))
    shape = getattr(changed, "shape", type(changed).__name__)
    require(shape == images.shape, f"{label} made {shape} of images of shape {tuple(images.shape)}")
    require(changed.dtype == images.dtype, f"{label} made {changed.dtype} of float32 images")
    require(changed.requires_grad, f"{label} is not differentiable: its output carries no gradient to the images")
    (gradient,) = torch.autograd.grad(changed.sum(), images, allow_unused=True)
    require(gradient is not None, f"{label} is not differentiable: its output does not depend on the images")
    require(_finite(gradient), f"{label} gives the images a gradient that is not finite")
    company = replace(stage, augmentations=(augmentation,))
    _rehearse(augmentation, company, PLAYERS)
    _check_separable(label, augmentation, company, PLAYERS)


def check_every(label: str, component: Any) -> None:
    """Check that ``every`` counts updates."""
    every = trait(component, "every")
    require(isinstance(every, int) and every >= 1, f"{label}: every is {every!r}; possible: a whole number from 1")


def _stage(scene: Scene) -> Cast:
    architecture = Stage() if scene.architecture is None else scene.architecture
    return Cast(architecture, architecture.smallest()[1] if scene.data is None else scene.data)


def _rehearse(component: Any, alone: Cast, players: Collection[str]) -> None:
    label = label_of(component)
    for pac in (1, 2):
        company = replace(alone, pac=pac)
        with blaming(f"{label}: compatible()"):
            refused = company.refusal()
        if pac == 1:
            tried = f"{label} refuses to be tried on {label_of(alone.architecture)}: {refused}; give architecture="
            require(refused is None, tried)
        if refused is None:
            for player in players:
                _check_phase(component, company, cast(Player, player))


def _check_phase(component: Any, company: Cast, player: Player) -> None:
    where = f"{label_of(component)} in the {player}'s phase"
    if company.pac > 1:
        where += f" with pac = {company.pac} (where that has no meaning, compatible(cell) says so)"
    with blaming(where):
        first, again, late = play(company, player), play(company, player), play(company, player, _LATE)
    for outcome, when in ((first, where), (late, f"{where}, update {_LATE}")):
        _check_value(when, outcome)
        _check_gradients(when, outcome, player)
        _check_states(when, outcome)
    same = torch.equal(first.value, again.value) and all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
        for a, b in zip(first.gradients.values(), again.gradients.values(), strict=True)
    )
    require(same, f"{where} gave two results for one seed; draw with game.uniform() and game.normal()")
    play_dataless(company, player, where)


def _check_separable(label: str, component: Any, company: Cast, players: Collection[str]) -> None:
    """Check that a component which says so gives the same gradients where the batch is cut into parts."""
    separable = trait(component, "separable")
    require(isinstance(separable, bool), f"{label}: separable is {separable!r}; possible: True, False")
    for player in map(partial(cast, Player), players) if separable else ():
        cut = play_in_parts(company, player, PARTS)
        require(cut is not None, f"{label} says that it is separable, but a batch cannot be cut with it")
        for name, gradient in play(company, player).gradients.items():
            other = (cut or {})[name]
            same = (gradient is None) == (other is None)
            if gradient is not None and other is not None:
                same = torch.allclose(gradient, other, rtol=1e-3, atol=1e-5)
            require(
                same,
                f"{label} says that it is separable, but in parts the {player}'s phase has another gradient ({name}): "
                "its value must be a mean over samples or decisions, and what it draws have a row for each",
            )


def _check_value(where: str, outcome: Outcome) -> None:
    value: Any = outcome.value
    require(isinstance(value, Tensor), f"{where} returned {type(value).__name__}; wants a scalar tensor to minimise")
    require(value.shape == (), f"{where} returned shape {tuple(value.shape)}; wants a scalar: reduce with .mean()")
    require(_finite(value), f"{where} returned {value.item()}")
    require(value.requires_grad, f"{where} returned a value without gradient: nothing could be minimised")


def _check_gradients(where: str, outcome: Outcome, player: Player) -> None:
    found = {name: gradient for name, gradient in outcome.gradients.items() if gradient is not None}
    bad = [name for name, gradient in found.items() if not _finite(gradient)]
    require(not bad, f"{where} gives {', '.join(bad)} a gradient that is not finite")
    moved = any(bool(gradient.any()) for gradient in found.values())
    require(moved, f"{where} gives the {player} no gradient: it would never move")


def _check_states(where: str, outcome: Outcome) -> None:
    owners = [(owner, tensors) for owner, tensors in outcome.states if hasattr(owner, "update")]
    for (owner, tensors), renewed in zip(owners, outcome.renewed, strict=True):
        for name, before in owner.state().items():
            untouched = torch.equal(before, tensors[name])
            require(untouched, f"{where} changed its state {name!r} in place; return the new value from update()")
        unknown = sorted(set(renewed) - set(tensors))
        require(not unknown, f"{where}: update() returned {', '.join(unknown)}, which state() does not name")
        for name, after in renewed.items():
            kept = after.shape == tensors[name].shape and (after.dtype == tensors[name].dtype)
            require(kept, f"{where}: update() gave state {name!r} another shape or dtype")
            require(_finite(after), f"{where}: update() gave state {name!r} a value that is not finite")
            require(not after.requires_grad, f"{where}: update() gave state {name!r} a gradient; detach it")


def _subset(what: str, found: Collection[str], possible: Collection[str]) -> None:
    odd = sorted(set(found) - set(possible))
    require(not isinstance(found, str) and not odd, f"{what} is {found!r}; possible: {', '.join(possible)}, as a set")


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())
