"""What a run leaves on disk: its whole state to go on from, and generators to sample from. Safetensors, never a pickle.

A state is flat: tensors by dotted names, and a small JSON of counters in the file's metadata, so that one rename makes
both current. A generator file holds the averaged weights with re-estimated BatchNorm statistics.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ganbench.errors import ResultsError
from ganbench.files import write_atomically
from ganbench.seeds import derive
from ganbench.training.ema import reestimate_normalisation
from ganbench.training.engine import Engine
from ganbench.training.meter import Counters
from ganbench.training.stream import LatentStream

STATE_FILE = "state.safetensors"
GENERATOR_FILE = "generator.safetensors"


def snapshot_file(fraction: float) -> str:
    """Return where in a run's folder the generator at ``fraction`` of the budget is kept."""
    return f"snapshots/{fraction:g}.safetensors"


@dataclass(frozen=True)
class State:
    """A run between two rounds: everything that the next round depends on."""

    tensors: Mapping[str, Tensor]
    numbers: Mapping[str, Any]


def capture(engine: Engine) -> State:
    """Copy the state of ``engine``."""
    tensors = {name: tensor.detach().clone() for name, tensor in _live_tensors(engine)}
    metered = sorted(engine.meter.totals.items())
    numbers: dict[str, Any] = {"counters": engine.counters.as_json(), "meter": [list(names) for names, _ in metered]}
    for player, side in engine.sides.items():
        scalars = {}
        for index, entries in side.optimizer.state_dict()["state"].items():
            for key, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{player}.{index}.{key}"] = value.detach().clone()
                else:
                    scalars[f"{index}.{key}"] = value
        numbers[f"optimizer.{player}"] = scalars
    for place, (_, total) in enumerate(metered):
        tensors[f"meter.{place}"] = total.clone()
    return State(tensors, numbers)


@torch.no_grad()
def restore(engine: Engine, state: State) -> None:
    """Bring ``engine`` to ``state``, bit for bit.

    Raises:
        ResultsError: the state belongs to another configuration.
    """
    live = dict(_live_tensors(engine))
    found = {name for name in state.tensors if not name.startswith(("optimizer.", "meter."))}
    if found != set(live) or any(state.tensors[name].shape != tensor.shape for name, tensor in live.items()):
        raise ResultsError("the saved state holds other tensors than this run's networks")
    for name, tensor in live.items():
        tensor.copy_(state.tensors[name])
    for player, side in engine.sides.items():
        _restore_optimizer(side.optimizer, _optimizer_state(player, state))
    engine.counters = Counters(**state.numbers["counters"])
    engine.round.fill_(engine.counters.rounds)
    names = [tuple(one) for one in state.numbers["meter"]]
    engine.meter.load({one: state.tensors[f"meter.{place}"] for place, one in enumerate(names)}, engine.device)


def save_state(folder: Path, state: State) -> None:
    """Write ``state`` to ``folder``, atomically."""
    _save(folder / STATE_FILE, state.tensors, {"numbers": json.dumps(state.numbers, sort_keys=True)})


def load_state(folder: Path) -> State | None:
    """Read the state in ``folder`` into the CPU's memory, or None where there is none.

    `restore` moves it: an optimizer may keep its step count on the CPU, where reading it waits for no device.

    Raises:
        ResultsError: the file is not one of ours or damaged.
    """
    path = folder / STATE_FILE
    if not path.exists():
        return None
    tensors, metadata = _load(path, torch.device("cpu"))
    return State(tensors, json.loads(metadata.get("numbers", "{}")))


@torch.no_grad()
def averaged_generator(engine: Engine) -> nn.Module:
    """Return a copy of the averaged generator in eval mode, its BatchNorm re-estimated from a fixed latent stream."""
    network = copy.deepcopy(engine.ema.network)
    latents = LatentStream(
        engine.players.latent, engine.setup.train.labels, derive(0, "normalisation statistics"), engine.device
    )
    n = max(engine.setup.parts.recipe.batch_size, 64)
    engine.seed(derive(0, "normalisation noise"))  # for generators that draw noise of their own
    reestimate_normalisation(network, lambda module, i: module(*latents.batch(i, n)))
    return network


def save_generator(path: Path, network: nn.Module, details: Mapping[str, Any]) -> None:
    """Write a generator's weights with ``details`` (images seen, ...) in the metadata, atomically."""
    tensors = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    _save(path, tensors, {"details": json.dumps(details, sort_keys=True)})


def load_generator(path: Path, network: nn.Module, device: torch.device) -> dict[str, Any]:
    """Load the weights at ``path`` into ``network`` on ``device`` in eval mode; return the stored details.

    Raises:
        ResultsError: the file is missing, damaged, or of another architecture.
    """
    tensors, metadata = _load(path, device)
    network.to(device)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ResultsError(f"{path} holds weights of another generator: {error}") from error
    network.eval().requires_grad_(False)
    details: dict[str, Any] = json.loads(metadata.get("details", "{}"))
    return details


def read_details(path: Path) -> dict[str, Any]:
    """Return the details stored with a generator, without its weights. Raises ResultsError for a damaged file."""
    try:
        with safe_open(path, framework="pt") as file:
            details: dict[str, Any] = json.loads((file.metadata() or {}).get("details", "{}"))
    except (OSError, SafetensorError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
    return details


def _live_tensors(engine: Engine) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of the engine that it updates in place, by a name that stays."""
    networks = engine.players.networks
    modules = {"generator": networks.generator, "discriminator": networks.discriminator, "average": engine.ema.network}
    modules |= {f"companion.{name}": companion.module for name, companion in networks.companions.items()}
    for top, module in modules.items():
        if module is not None:
            for name, tensor in (*module.named_parameters(), *module.named_buffers()):
                yield f"{top}.{name}", tensor
    for role, (_, tensors) in enumerate(engine.players.states):
        for name, tensor in tensors.items():
            yield f"state.{role}.{name}", tensor
    for role, (_, tensors) in enumerate(engine.constraints):
        for name, tensor in tensors.items():
            yield f"constraint.{role}.{name}", tensor
    for player, side in engine.sides.items():
        yield f"updates.{player}", side.updates
    yield "first_bad", engine.first_bad


def _restore_optimizer(optimizer: torch.optim.Optimizer, entries: dict[int, dict[str, Any]]) -> None:
    """Load ``entries``, by the number of the parameter; in place where there are such tensors already.

    What is of a parameter's shape comes to lie in memory as the parameter does: fused kernels count on it.
    """
    params = [p for group in optimizer.param_groups for p in group["params"]]
    known = {place: optimizer.state.get(p, {}) for place, p in enumerate(params)}
    there = {place: found.keys() for place, found in known.items() if found}
    if there == {place: entry.keys() for place, entry in entries.items()}:
        for place, entry in entries.items():
            for key, value in entry.items():
                if isinstance(value, Tensor):
                    known[place][key].copy_(value)
                else:
                    known[place][key] = value
        return
    for place, entry in entries.items():
        for key, value in entry.items():
            if isinstance(value, Tensor) and value.shape == params[place].shape:
                entry[key] = torch.empty_like(params[place], dtype=value.dtype).copy_(value)
    groups = copy.deepcopy(optimizer.state_dict()["param_groups"])
    optimizer.load_state_dict({"state": entries, "param_groups": groups})


def _optimizer_state(player: str, state: State) -> dict[int, dict[str, Any]]:
    entries: dict[int, dict[str, Any]] = {}
    prefix = f"optimizer.{player}."
    for name, tensor in state.tensors.items():
        if name.startswith(prefix):
            index, key = name.removeprefix(prefix).split(".", 1)
            entries.setdefault(int(index), {})[key] = tensor.clone()
    for name, value in state.numbers.get(f"optimizer.{player}", {}).items():
        index, key = name.split(".", 1)
        entries.setdefault(int(index), {})[key] = value
    return entries


def _save(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    # Each tensor owns its memory: safetensors refuses shared storage.
    owned = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    try:
        write_atomically(path, lambda temporary: save_file(owned, temporary, metadata))
    except (OSError, SafetensorError) as error:
        raise ResultsError(f"cannot write {path}: {error}") from error


def _load(path: Path, device: torch.device) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
