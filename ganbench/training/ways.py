"""Ways to compute: from the kernels that were chosen to who evaluates phases and who carries out the work."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ganbench.training.compiled import Compiled
from ganbench.training.graphs import CudaRecorder, Recorded
from ganbench.training.kernels import Kernels
from ganbench.training.parts import in_parts
from ganbench.training.phase import whole
from ganbench.training.recompute import layers_in_sequence, recompute
from ganbench.training.runner import Eager
from ganbench.training.side import all_modules

if TYPE_CHECKING:
    from ganbench.training.engine import Engine


def adopt(engine: Engine, kernels: Kernels) -> None:
    """Let ``engine`` compute as ``kernels`` say from its next phase on; `Engine.without` says what cannot be, and why.

    Where images lie and whether activations are computed again is settled once: the former when the engine is built.
    """
    engine.kernels, engine.without = kernels, {}
    if kernels.checkpoint:
        networks = all_modules(engine.players.networks)
        for network in networks:
            recompute(network)
        if not any(map(layers_in_sequence, networks)):
            engine.without["checkpoint"] = "the networks have no layers in sequence"
    if kernels.parts > 1:
        engine.differentiate, engine.runner = partial(in_parts, parts=kernels.parts), Eager(kernels.channels_last)
        for name in ("compile", "graphs"):
            if getattr(kernels, name):
                engine.without[name] = "a batch in parts is evaluated as it comes"
        return
    engine.differentiate = Compiled() if kernels.compile else whole
    engine.runner = Eager(kernels.channels_last)
    if kernels.graphs and engine.device.type == "cuda":
        modules, recorder = all_modules(engine.players.networks), CudaRecorder(engine.device)
        engine.runner = Recorded(engine.sides, modules, kernels.channels_last, recorder)
    elif kernels.graphs:
        engine.without["graphs"] = f"CUDA graphs exist on CUDA alone, not on {engine.device.type}"
