"""Two real processes with half of the batch each leave the gradient of the whole batch in float64.

The file is also the program of these processes: ``python test_ranks.py RANK FOLDER``.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from ganbench.errors import CannotBeCut
from ganbench.training.engine import Engine
from ganbench.training.game import Draws
from ganbench.training.phase import Evaluation, Task, whole
from ganbench.training.ranks import across_ranks
from ganbench.training.synchronised import synchronise
from ganbench.training.world import Alone, Group
from ganbench_zoo.losses.began import Began
from ganbench_zoo.losses.ebgan import Ebgan
from ganbench_zoo.losses.mmd import Mmd
from ganbench_zoo.losses.ragan import RaGan
from ganbench_zoo.losses.rpgan import RpGan
from ganbench_zoo.regularizers.consistency import Consistency
from ganbench_zoo.regularizers.feature_matching import FeatureMatching
from ganbench_zoo.regularizers.lecam import LeCam
from ganbench_zoo.regularizers.orthogonal import Orthogonal
from ganbench_zoo.regularizers.r1 import R1
from ganbench_zoo.regularizers.top_k import TopK
from ganbench_zoo.regularizers.wgan_gp import WganGp

CPU, SIZE = torch.device("cpu"), 2
TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
COMBINATIONS: dict[str, dict[str, Any]] = {
    "relative": {"loss": RaGan(), "regularizers": (R1(), LeCam(), WganGp(), Consistency(latent_g=1.0, shift=1))},
    "paired": {"loss": RpGan(), "regularizers": (TopK(anneal=0.0), FeatureMatching(), Orthogonal(player="both"))},
    "embedded": {"loss": Mmd(penalty=0.0)},
    "reconstructed": {"loss": Began(), "augmented": True},
    "pulled apart": {"loss": Ebgan(), "norm": True, "regularizers": (R1(),)},
    "packed": {"loss": RaGan(), "pac": 2, "spectral": True, "augmented": True, "regularizers": (WganGp(),)},
}


def evaluations(engine: Engine, differentiate: Callable[[Task], Evaluation]) -> dict[str, Tensor]:
    """Return everything that the phases of both players give in float64, by name."""
    networks, found = engine.players.networks, {}
    for module in (networks.generator, networks.discriminator):
        module.double()
    for _, tensors in engine.players.states:
        tensors.update({name: tensor.double() for name, tensor in tensors.items()})

    def evaluate(task: Task) -> Evaluation:
        draws = Draws(lambda: double(task.draws.real()), lambda: double(task.draws.latents()))
        evaluation = differentiate(Task(**{**task.__dict__, "draws": draws}))
        found[f"{task.player} value"] = evaluation.value.detach()
        found.update({f"{task.player} {name}": value for name, value in evaluation.logs.items()})
        for place, tensors in evaluation.states:
            found.update({f"{task.player} state {place} {name}": tensor for name, tensor in tensors.items()})
        return evaluation

    engine.differentiate = evaluate
    for player, side in engine.sides.items():
        engine.gradient(player)
        found |= {f"{player} gradient {i}": p.grad for i, p in enumerate(side.params) if p.grad is not None}
    return found


def double(drawn: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    return drawn[0].double(), drawn[1]


def run_rank(rank: int, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("ganbench_test_toys", TOYS)
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    sys.modules[spec.name].Brightness.separable = True
    torch.set_num_threads(1)
    world = Group(dist.FileStore(str(folder / "store"), SIZE), rank, SIZE, CPU)
    for name in COMBINATIONS:
        engine = Engine(torch.load(folder / f"{name}.pt", weights_only=False), CPU)
        synchronise([engine.players.networks.generator], world)
        found = evaluations(engine, lambda task: across_ranks(task, world))
        torch.save(found, folder / f"{name} by {rank}.pt")
    world.close()


@pytest.fixture
def setup_of(make_setup, toys, monkeypatch):
    """Return a maker of the setup of a combination."""
    monkeypatch.setattr(toys.Brightness, "separable", True, raising=False)

    def setup_of(name: str) -> Any:
        others = dict(COMBINATIONS[name])
        architecture = toys.Tiny(norm=others.pop("norm", False), spectral=others.pop("spectral", False))
        augmentations = (toys.Brightness(),) if others.pop("augmented", False) else ()
        return make_setup(others.pop("loss"), architecture=architecture, augmentations=augmentations, **others)

    return setup_of


def test_two_processes_leave_the_gradient_of_one(setup_of, tmp_path):
    for name in COMBINATIONS:
        torch.save(setup_of(name), tmp_path / f"{name}.pt")
    ranks = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for rank in range(SIZE)
    ]
    said = [rank.communicate(timeout=120)[0].decode() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(said)
    for name in COMBINATIONS:
        wanted = evaluations(Engine(setup_of(name), CPU), whole)
        first, second = (torch.load(tmp_path / f"{name} by {rank}.pt") for rank in range(SIZE))
        assert first.keys() == second.keys() == wanted.keys()
        for key, tensor in wanted.items():
            exact = "gradient" in key or "state" in key  # slopes, and so what is logged of them, are float32
            assert torch.equal(first[key], second[key]), (name, key)
            tolerance = {"rtol": 1e-12, "atol": 1e-13} if exact else {"rtol": 1e-6, "atol": 1e-7, "check_dtype": False}
            torch.testing.assert_close(first[key], tensor, **tolerance, msg=lambda m, k=key, n=name: f"{n}, {k}: {m}")


def test_batchnorm_that_is_not_synchronised_is_refused(make_setup, toys):
    engine = Engine(make_setup(architecture=toys.Tiny(norm=True)), CPU)
    engine.differentiate = lambda task: across_ranks(task, Alone())
    with pytest.raises(CannotBeCut, match="BatchNorm in the generator is not synchronised between the processes"):
        engine.gradient("generator")


if __name__ == "__main__":
    run_rank(int(sys.argv[1]), Path(sys.argv[2]))
