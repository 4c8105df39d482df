"""Worlds of two real processes over gloo: what they say, BatchNorm over both, runs that equal one process's.

The file is also the program of these processes: ``python test_world.py PROGRAM RANK FOLDER``.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from torch import nn

from ganbench.errors import CannotBeCut, DeviceError, RankLost
from ganbench.training import world as world_module
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels
from ganbench.training.synchronised import synchronise
from ganbench.training.together import Accord, Together, join
from ganbench.training.world import Alone, Group, world_from_environment
from ganbench.values import Latent, Networks

CPU, SIZE = torch.device("cpu"), 2
TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"


class Net(nn.Module):
    """BatchNorm over images, then over vectors: with momentum, cumulative, without weights or averages."""

    def __init__(self) -> None:
        super().__init__()
        self.images = nn.Sequential(
            nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.BatchNorm2d(3, momentum=None), nn.Flatten()
        )
        self.vectors = nn.Sequential(
            nn.Linear(12, 5),
            nn.BatchNorm1d(5, affine=False, track_running_stats=False),
            nn.Tanh(),
            nn.Linear(5, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.vectors(self.images(x))[:, 0]


class Noisy(nn.Module):
    """Says what it drew."""

    def forward(self, z: torch.Tensor, labels: object = None) -> torch.Tensor:
        return torch.randn(len(z))


def seeded_net() -> tuple[Net, torch.Tensor]:
    torch.manual_seed(0)
    net = Net().double()
    for norm in (net.images[1], net.images[3]):
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
    return net, torch.randn(8, 2, 4, 4, dtype=torch.float64) * 2 + 3


def learn(net: nn.Module, x: torch.Tensor, weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return outputs, slopes by the input, and the gradient of a loss of both, twice in a row."""
    for _ in range(2):
        net.zero_grad()
        x = x.detach().requires_grad_(True)
        y = net(x)
        (slope,) = torch.autograd.grad((weights * y).sum(), x, create_graph=True)
        ((weights * y.square()).sum() + (weights * slope.square().flatten(1).sum(1)).sum()).backward()
    return {"y": y.detach(), "slope": slope.detach(), "x.grad": x.grad}


WEIGHTS = torch.linspace(-1, 2, 8, dtype=torch.float64)


# What a rank does


def speak(world: Group, folder: Path) -> None:
    """Use every method once; leave what came of it, by rank."""
    rank = world.rank
    tensors = [torch.full((2, 3), rank + 1.0), torch.tensor(rank), torch.full((2, 1, 3, 3), rank + 0.5)]
    tensors[2] = tensors[2].to(memory_format=torch.channels_last)
    world.add(tensors)
    found = {
        "gather": world.gather(torch.arange(4).view(2, 2) + 10 * rank).tolist(),
        "gather bool": world.gather(torch.tensor([rank == 0, True])).tolist(),
        "add": [tensor.flatten().unique().tolist() for tensor in tensors],
        "any": [world.any(rank == 1), world.any(False)],
        "share": world.share({"from": rank}),
        "accord": accord(world),
    }
    world.any(False)
    net, x = seeded_net()
    synchronise([net], world)
    alone = copy.deepcopy(net)
    rows = slice(4 * rank, 4 * rank + 4)
    learned = learn(net, x[rows], WEIGHTS[rows])
    grads = {name: p.grad for name, p in net.named_parameters()}
    world.add(list(grads.values()))
    if rank == 0:
        alone(x)  # a copy is alone: it must not wait for the other rank
    torch.save(learned | grads | dict(net.named_buffers()), folder / f"net {rank}.pt")

    world.fail("both")  # returns
    world_module.FAILURE_PATIENCE = timedelta(seconds=0.3)
    found["noise"] = draw(world, Noisy())
    if rank == 0:
        with pytest.raises(RankLost, match="rank 0 of 2 failed alone, so all end: only here"):
            world.fail("only here")
        with pytest.raises(RankLost, match=r"rank 0 of 2 lost another process of this run.*from the last saved state"):
            world.any(False)  # rank 1 has left
    (folder / f"said {rank}.json").write_text(json.dumps(found))


def accord(world: Group) -> list[object]:
    """Return the clock and the wish to stop that this rank goes by, round by round; rank 0 wishes so at 1.0 s."""
    now = [100.0 * world.rank]
    agreed = Accord(world, lambda: now[0] >= 1.0, lambda: now[0])
    heard = []
    for _ in range(16):
        now[0] += 0.125
        agreed.after_round()
        heard.append((agreed.clock(), agreed.stop()))
    return heard


def draw(world: Group, network: nn.Module) -> list[list[float]]:
    """Return what a network draws in two passes and what is drawn between them."""
    engine = SimpleNamespace(
        device=CPU,
        kernels=Kernels(compile=True),
        players=SimpleNamespace(networks=Networks(network, None, Latent(1))),
        seed=torch.default_generator.manual_seed,
    )
    together = Together(engine, world)
    torch.default_generator.manual_seed(5)
    drawn = [network(torch.zeros(3)).tolist(), torch.rand(3).tolist(), network(torch.zeros(3)).tolist()]
    assert together.fallbacks.keys() == {"compile", "noise"}
    return drawn


def train(world: Group, folder: Path) -> None:
    """Play the setups of the folder and leave the engines' tensors."""
    for path in sorted(folder.glob("setup *.pt")):
        engine = Engine(torch.load(path, weights_only=False), CPU)
        join(engine, world)
        for _ in range(4):
            engine.play_round(0.0)
        torch.save(facts(engine), folder / f"{path.stem} by {world.rank}.pt")
    engine = Engine(torch.load(folder / "uneven.pt", weights_only=False), CPU)
    join(engine, world)
    with pytest.raises(CannotBeCut, match="a batch of 15 has no 2 equal parts"):
        engine.play_round(0.0)
    engine = Engine(torch.load(folder / "uneven.pt", weights_only=False), CPU)
    with torch.no_grad():
        next(engine.players.networks.generator.parameters()).add_(world.rank)
    with pytest.raises(ValueError, match="start from other weights on each process"):
        join(engine, world)


def facts(engine: Engine) -> dict[str, torch.Tensor]:
    """Return what both ranks and one process must agree on: outputs, the average's too, meters, what was counted."""
    networks, averaged = engine.players.networks, copy.deepcopy(engine.ema.network).eval()
    z, pac = torch.linspace(-2, 2, 4 * 32).view(32, 4), engine.players.pac
    fake = networks.generator.eval()(z).images
    found = {
        "fake": fake,
        "averaged": averaged(z).images,
        "logits": networks.discriminator.eval()(fake.view(32 // pac, pac, 4, 4)).logits,
        "first_bad": engine.first_bad,
    }
    found |= {name: torch.tensor(value) for name, value in engine.meter.read().items()}
    return {name: tensor.detach().clone() for name, tensor in found.items()}


def run_rank(program: str, rank: int, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("ganbench_test_toys", TOYS)
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    torch.set_num_threads(1)
    world = Group(dist.FileStore(str(folder / "store"), SIZE), rank, SIZE, CPU)
    {"speak": speak, "train": train}[program](world, folder)
    world.close()


def run_ranks(program: str, folder: Path) -> None:
    """Run both ranks to their end."""
    command = [sys.executable, __file__, program]
    ranks = [
        subprocess.Popen(
            [*command, str(rank), str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for rank in range(SIZE)
    ]
    said = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(said)
    assert said == ["", ""]


# What the tests want of them


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("spoken")
    run_ranks("speak", folder)
    return folder


@pytest.fixture
def heard(spoken) -> list[dict]:
    return [json.loads((spoken / f"said {rank}.json").read_text()) for rank in range(SIZE)]


def test_tensors_are_gathered_in_order_and_added_whatever_their_type_and_layout(heard):
    for one in heard:
        assert one["gather"] == [[0, 1], [2, 3], [10, 11], [12, 13]]
        assert one["gather bool"] == [True, True, False, True]
        assert one["add"] == [[3.0], [1], [2.0]]


def test_words_come_from_rank_0_and_flags_from_any(heard):
    for one in heard:
        assert one["share"] == {"from": 0}
        assert one["any"] == [True, False]


def test_all_ranks_go_by_rank_0s_clock_and_stop_in_the_same_round(heard):
    """A round takes 0.125 s: after the first, rank 0 speaks every 0.5 s, and is asked to stop at 1.0 s."""
    assert heard[0]["accord"] == heard[1]["accord"]
    clocks, stops = zip(*heard[0]["accord"], strict=True)
    assert clocks == (*[0.125] * 4, *[0.625] * 4, *[1.125] * 4, *[1.625] * 4)
    assert stops == (*[False] * 8, *[True] * 8)


def test_networks_draw_other_noise_on_each_rank_and_components_the_same(heard):
    (first, between, second), (other, also_between, _) = (one["noise"] for one in heard)
    assert between == also_between
    assert len({tuple(first), tuple(second), tuple(other), tuple(between)}) == 4
    torch.manual_seed(5)
    assert torch.rand(3).tolist() == between  # as if no network had drawn


def test_batchnorm_over_two_ranks_is_that_of_one_process_twice_differentiated(spoken):
    net, x = seeded_net()
    learned = learn(net, x, WEIGHTS)
    halves = [torch.load(spoken / f"net {rank}.pt") for rank in range(SIZE)]
    for name, whole in learned.items():
        torch.testing.assert_close(torch.cat([half[name] for half in halves]), whole, rtol=0, atol=1e-12)
    for name, tensor in (*((n, p.grad) for n, p in net.named_parameters()), *net.named_buffers()):
        for half in halves:
            torch.testing.assert_close(half[name], tensor, rtol=1e-12, atol=1e-12)


def test_a_batchnorm_of_its_own_kind_is_refused():
    class Ghost(nn.BatchNorm1d):
        pass

    with pytest.raises(ValueError, match="Ghost is a BatchNorm of its own kind"):
        synchronise([nn.Sequential(Ghost(3))], Alone())


def test_two_ranks_learn_what_one_process_learns(tmp_path, make_setup, toys):
    """SGD, so that rounding stays rounding (Adam makes steps of it where a gradient is zero)."""
    plain = {"g_optimizer": toys.PlainSgd(), "d_optimizer": toys.PlainSgd()}
    setups = [
        make_setup(architecture=toys.Tiny(norm=True), **plain),
        make_setup(toys.Stateful(), architecture=toys.BatchCoupled(norm=True), schedule=("DG",), **plain),
        make_setup(pac=2, constraints=(toys.Lookahead(), toys.Box(c=0.5)), **plain),
    ]
    for number, setup in enumerate(setups):
        torch.save(setup, tmp_path / f"setup {number}.pt")
    torch.save(make_setup(batch_size=15), tmp_path / "uneven.pt")
    run_ranks("train", tmp_path)
    for number, setup in enumerate(setups):
        engine = Engine(setup, CPU)
        for _ in range(4):
            engine.play_round(0.0)
        first, second = (torch.load(tmp_path / f"setup {number} by {rank}.pt") for rank in range(SIZE))
        for name, tensor in facts(engine).items():
            assert torch.equal(first[name], second[name]), name
            torch.testing.assert_close(first[name], tensor, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


@pytest.mark.parametrize("changed", [{"WORLD_SIZE": "1"}, {"MASTER_PORT": None}, {"RANK": None}])
def test_a_process_that_torchrun_did_not_start_with_others_is_alone(changed):
    variables = {name: value for name, value in (TORCHRUN | changed).items() if value is not None}
    assert world_from_environment(CPU, variables) is None


def test_devices_that_cannot_take_part_are_refused(monkeypatch):
    with pytest.raises(DeviceError, match="torchrun cannot use device 'mps'; take --device cpu or cuda"):
        world_from_environment(torch.device("mps"), TORCHRUN)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match=r"wants cuda:1, and there are 1 GPUs; .*--nproc-per-node 1"):
        world_from_environment(torch.device("cuda", 0), TORCHRUN)


if __name__ == "__main__":
    run_rank(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
