"""Checks an architecture: shapes, ranges, gradients, determinism, independence within a batch, no waiting."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ganbench.components import OF_CRITIQUES, OF_SAMPLES, trait
from ganbench.testing.description import label_of
from ganbench.testing.fault import ComponentFault, blaming, require
from ganbench.testing.rehearsal import PLAYERS, Batch, Cast, Scene, draw_batch, play_dataless
from ganbench.testing.waiting import Dataless, dataless
from ganbench.values import Companion, Critique, DataSpec, ImageSpec, Latent, Networks, Sample

_COUPLINGS = ("none", "normalisation", "statistic")


@dataclass(frozen=True)
class _Trial:
    """An architecture on one data spec, ``pac`` samples judged as one, with a batch to try it on."""

    label: str
    pac: int
    data: DataSpec
    networks: Networks
    batch: Batch

    def generate(self, generator: nn.Module) -> Sample:
        torch.default_generator.manual_seed(3)
        out = generator(self.batch.z, self.batch.fake_labels)
        return out if isinstance(out, Sample) else Sample(out)

    def judge(self, discriminator: nn.Module, x: Tensor, labels: Tensor | None) -> Critique:
        if self.pac > 1:
            x = x.reshape(-1, self.pac * x.shape[1], *x.shape[2:])
            labels = None if labels is None else labels.reshape(-1, self.pac)
        torch.default_generator.manual_seed(4)
        out = discriminator(x, labels)
        return out if isinstance(out, Critique) else Critique(out)


def check_architecture(architecture: Any, scene: Scene) -> None:
    """Check an architecture on its data spec, with labels and without, single and packed, wherever it allows that."""
    label = f"architecture {label_of(architecture)}"
    coupling = trait(architecture, "batch_coupling")
    require(coupling in _COUPLINGS, f"{label}: batch_coupling is {coupling!r}; possible: {', '.join(_COUPLINGS)}")
    offers, possible = trait(architecture, "offers"), OF_SAMPLES | OF_CRITIQUES
    known = not isinstance(offers, str) and set(offers) <= possible
    require(known, f"{label}: offers is {offers!r}; possible: {', '.join(sorted(possible))}, as a set")
    if scene.data is None:
        raise ComponentFault(f"{label}: give data=, a data spec that it draws")
    for cast in _casts(label, architecture, scene.data):
        where = f"{label} on {cast.data}" + (f", {cast.pac} packed to one" if cast.pac > 1 else "")
        with blaming(where):
            networks = cast.networks()
            latent = networks.latent
            require(isinstance(latent, Latent), f"{where}: latent() gave {type(latent).__name__}; wants a Latent")
            trial = _Trial(where, cast.pac, cast.data, networks, draw_batch(cast.data, latent))
            _check_building(trial, cast.networks())
            _check_generator(trial)
            _check_discriminator(trial)
            _check_offers(trial, frozenset(offers))
            _check_gradients(trial)
        _check_waiting(trial, cast)


def _casts(label: str, architecture: Any, data: DataSpec) -> Iterator[Cast]:
    """Yield what is asked for, then the same with labels or without, then two samples packed, where allowed."""
    relabelled = replace(data, classes=None if data.classes else 3)
    for cast in (Cast(architecture, data), Cast(architecture, relabelled), Cast(architecture, data, pac=2)):
        with blaming(f"{label}: compatible()"):
            refused = cast.refusal()
        require(refused is None or cast.data != data or cast.pac > 1, f"{label} refuses {data}: {refused}")
        if refused is None:
            yield cast


def _check_building(trial: _Trial, again: Networks) -> None:
    for name, companion in trial.networks.companions.items():
        fine = isinstance(companion, Companion) and companion.player in PLAYERS
        require(fine, f"{trial.label}: companion {name!r} is no Companion of a generator or a discriminator")
    for player in PLAYERS:
        module, twin = getattr(trial.networks, player), getattr(again, player)
        if module is not None:
            first, second = module.state_dict(), twin.state_dict()
            same = first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
            require(same, f"{trial.label}: {player}() built two networks from one seed; draw from torch's own stream")


def _check_generator(trial: _Trial) -> None:
    generator = trial.networks.generator
    for mode in ("training", "evaluating"):
        where = f"{trial.label}: the generator, {mode},"
        generator.train(mode == "training")
        with torch.no_grad(), parametrize.cached():  # one power iteration of spectral norm for both
            images, again = trial.generate(generator).images, trial.generate(generator).images
        kind = type(images).__name__
        require(isinstance(images, Tensor), f"{where} gave {kind}; wants a Tensor or a Sample")
        wanted = (len(trial.batch.z), *trial.data.shape)
        require(images.shape == wanted, f"{where} gave shape {tuple(images.shape)}; wants {wanted}")
        require(images.dtype == torch.float32, f"{where} gave {images.dtype}; wants float32")
        require(_finite(images), f"{where} gave values that are not finite")
        if isinstance(trial.data, ImageSpec):
            low, high = images.min().item(), images.max().item()
            require(-1 <= low <= high <= 1, f"{where} gave images in [{low:.3g}, {high:.3g}]; wants [-1, 1]")
        require(torch.equal(images, again), f"{where} gave two results for one seed")
    with torch.no_grad():
        z, labels = trial.batch.z[:3], trial.batch.fake_labels
        torch.default_generator.manual_seed(3)
        few = generator(z, None if labels is None else labels[:3])
    few = few.images if isinstance(few, Sample) else few
    close = torch.allclose(images[:3], few, rtol=1e-4, atol=1e-5)
    require(close, f"{trial.label}: in eval mode the generator's samples depend on the others in their batch")
    generator.train()


def _check_discriminator(trial: _Trial) -> None:
    """Check the logits, and that a decision depends on the others of its batch if and only if that is declared."""
    if trial.networks.discriminator is None:
        return
    discriminator, batch = _stirred(trial.networks.discriminator), trial.batch
    x = batch.real.clone()
    x[trial.pac :] = 3 * x[trial.pac :].roll(1, 0) - 1  # other company for the first decision
    labels = batch.labels
    others = labels if labels is None else torch.cat([labels[: trial.pac], labels[trial.pac :].flip(0)])
    with torch.no_grad(), parametrize.cached():  # one power iteration of spectral norm for all three
        logits, again = (trial.judge(discriminator, batch.real, labels).logits for _ in range(2))
        moved = trial.judge(discriminator, x, others).logits
    wanted = (len(batch.real) // trial.pac,)
    require(
        isinstance(logits, Tensor), f"{trial.label}: the discriminator gave {type(logits).__name__}; wants a Tensor"
    )
    shape = tuple(logits.shape)
    require(shape == wanted, f"{trial.label}: the discriminator gave logits of shape {shape}; wants {wanted}")
    require(_finite(logits), f"{trial.label}: the discriminator gave logits that are not finite")
    require(torch.equal(logits, again), f"{trial.label}: the discriminator gave two results for one seed")
    coupled = bool((logits[0] - moved[0]).abs() > 1e-5 * logits.abs().max())
    declared = trial.networks.batch_coupling
    require(
        not coupled or declared != "none",
        f"{trial.label}: what the discriminator says of a sample depends on the others in its batch; declare "
        "batch_coupling = 'normalisation' (BatchNorm) or 'statistic' (minibatch statistics)",
    )
    require(
        coupled or declared == "none",
        f"{trial.label}: batch_coupling is {declared!r}, but what the discriminator says of a sample does not depend "
        "on the others; declare 'none', or cells are refused without need",
    )


def _check_offers(trial: _Trial, declared: frozenset[str]) -> None:
    """Check that the networks give what is declared in ``offers``, and nothing else beyond images and logits."""
    with torch.no_grad():
        given = {"style"} if trial.generate(trial.networks.generator).style is not None else set[str]()
        if trial.networks.discriminator is None:
            declared &= OF_SAMPLES
        else:
            critique = trial.judge(trial.networks.discriminator, trial.batch.real, trial.batch.labels)
            given |= {name for name in OF_CRITIQUES if getattr(critique, name) not in (None, ())}
    missing, silent = sorted(declared - given), sorted(given - declared)
    require(not missing, f"{trial.label}: offers names {', '.join(missing)}, which the networks do not give")
    require(
        not silent, f"{trial.label}: the networks give {', '.join(silent)}; name it in offers, or none can ask for it"
    )


def _check_gradients(trial: _Trial) -> None:
    """Check that every parameter of either player gets a finite gradient, and the generator one through D."""
    modules = {"generator": _stirred(trial.networks.generator)}
    if trial.networks.discriminator is not None:
        modules["discriminator"] = _stirred(trial.networks.discriminator)
    with parametrize.cached():
        sample = trial.generate(modules["generator"])
        outputs = [] if sample.style is None else [sample.style]
        if "discriminator" in modules:
            outputs += _tensors(trial.judge(modules["discriminator"], sample.images, trial.batch.fake_labels))
        else:
            outputs.append(sample.images)
        total = torch.stack([(1 + output).square().mean() for output in outputs]).sum()
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
    for player, module in modules.items():
        gradients = {name: p.grad for name, p in module.named_parameters()}
        without = [name for name, gradient in gradients.items() if gradient is None]
        require(not without, f"{trial.label}: no gradient reaches {', '.join(without)} of the {player}")
        bad = [name for name, gradient in gradients.items() if gradient is not None and not _finite(gradient)]
        require(not bad, f"{trial.label}: the {player}'s gradient is not finite at {', '.join(bad)}")
        dead = gradients and not any(gradient is not None and bool(gradient.any()) for gradient in gradients.values())
        require(not dead, f"{trial.label}: the {player}'s gradient is zero everywhere")


def _check_waiting(trial: _Trial, cast: Cast) -> None:
    if trial.networks.discriminator is not None:
        for player in PLAYERS:
            play_dataless(cast, player, f"{trial.label}: the {player}'s phase")
        return
    world = Dataless()
    generator = world.module(trial.networks.generator)
    z, labels = dataless((trial.batch.z, trial.batch.fake_labels), world)
    world.run(f"{trial.label}: the generator", lambda: generator(z, labels))


def _stirred(module: nn.Module) -> nn.Module:
    """Return a copy with a little noise on its weights: layers that start from zero hide what feeds them."""
    stirred = copy.deepcopy(module)
    torch.default_generator.manual_seed(5)
    for p in stirred.parameters():
        p.data.add_(torch.randn_like(p), alpha=0.05)
    return stirred


def _tensors(critique: Critique) -> list[Tensor]:
    single = (critique.logits, critique.class_logits, critique.embedding, critique.reconstruction)
    return [one for one in (*single, *critique.features, *critique.codes) if one is not None and one.requires_grad]


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())
