"""`torchrun -m ganbench run`: two processes give one process's results, stop together, and end together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from ganbench.cli.main import main
from ganbench.errors import RankLost
from ganbench.execution.torchrun import in_step, leading
from ganbench.files import read_json_lines
from ganbench.results.store import RunFolder, Store
from ganbench.training.world import Alone

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
SUITE = """
name = "toy"
datasets = ["blobs"]
seeds = 1
architectures = ["tiny(norm=true)"]
losses = ["logistic"]
baselines = []
[recipe]
batch_size = 16
g_optimizer = "plain_sgd"
d_optimizer = "plain_sgd"
[budget]
images = 3200
[scoring]
metrics = ["fd"]
samples = 64
at = [0.5, 1.0]
"""
EXACT = {"rtol": 0, "atol": 2e-5}  # float32 after 200 rounds of SGD at a rate of 0.1


class Recording(Alone):
    """A world that notes what its rank 0 says, and of which another rank fails when asked to."""

    def __init__(self, size: int = 2, others_fail: bool = True) -> None:
        self.size, self.device, self.others_fail = size, torch.device("cpu"), others_fail
        self.said: list[object] = []

    def share(self, word):
        self.said.append(word)
        return word

    def fail(self, reason: str) -> None:
        self.said.append(reason)
        if not self.others_fail:
            raise RankLost("alone")

    def close(self) -> None:
        self.said.append("closed")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "toy.toml").write_text(SUITE)
    return tmp_path


def arguments(results: str, *more: str) -> list[str]:
    return ["run", "toy.toml", "--plugins", str(TOYS), "--device", "cpu", "--results", results, *more]


def alone(results: str, *more: str):
    return CliRunner().invoke(main, arguments(results, *more))


@pytest.fixture
def torchrun(folder):
    """Start ``ganbench run`` in two processes of torchrun."""
    started = []

    def start(results: str, *more: str) -> subprocess.Popen:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
        process = subprocess.Popen(
            [sys.executable, *launcher, "-m", "ganbench", *arguments(results, *more)],
            cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()  # torchrun ends its processes, which are in sessions of their own
        process.communicate()


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def only_run(results: str) -> RunFolder:
    (run,) = Store.open(Path(results) / "toy").run_folders()
    return run


def wait_until_it_trains(results: str) -> None:
    for _ in range(600):
        for path in Path(results).glob("toy/runs/*/run.json"):
            if json.loads(path.read_text())["status"] == "running":
                time.sleep(0.3)  # perhaps some rounds
                return
        time.sleep(0.1)
    pytest.fail("waited a minute for the run to begin")


def rank_1_of(process: subprocess.Popen) -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    (pid,) = (pid for pid in children if b"\0RANK=1\0" in Path(f"/proc/{pid}/environ").read_bytes())
    return int(pid)


def images_of(run: RunFolder) -> torch.Tensor:
    """Return what the stored generator draws; its weights before BatchNorm are not unique."""
    weights = load_file(run.path / "generator.safetensors")
    h = torch.linspace(-2, 2, 64 * 4).view(64, 4) @ weights["body.0.weight"].T + weights["body.0.bias"]
    norm = [weights[f"body.1.{name}"] for name in ("running_mean", "running_var", "weight", "bias")]
    h = torch.nn.functional.batch_norm(h, *norm).relu()
    return (h @ weights["out.weight"].T + weights["out.bias"]).tanh()


def test_two_processes_give_one_processs_results_once_and_speak_with_one_voice(folder, torchrun):
    code, out, err = finish(torchrun("two"))
    assert code == 0, err
    one = alone("one")
    assert err.splitlines()[0] == one.stderr.splitlines()[0] + ", 2 processes a run"
    assert err.splitlines()[1:] == one.stderr.splitlines()[1:]
    assert out.splitlines()[0] == one.stdout.splitlines()[0]
    assert len(out.splitlines()) == len(one.stdout.splitlines())
    together, by_one = only_run("two"), only_run("one")
    assert {path.name for path in together.path.rglob("*")} == {path.name for path in by_one.path.rglob("*")}
    assert json.loads((together.path / "environment.json").read_text())["processes"] == 2
    torch.testing.assert_close(images_of(together), images_of(by_one), **EXACT)
    values = [
        [(record.metric, record.images_seen, record.value) for record in run.records()] for run in (together, by_one)
    ]
    assert [value[:2] for value in values[0]] == [value[:2] for value in values[1]]
    assert [value[2] for value in values[0]] == pytest.approx([value[2] for value in values[1]], rel=1e-4)
    curves, expected = (read_json_lines(run.path / "curves.jsonl") for run in (together, by_one))
    assert [row["round"] for row in curves] == [row["round"] for row in expected] == list(range(100, 201, 100))
    for name in ("d_loss", "g_loss", "d_gradient_norm", "g_gradient_norm"):
        assert [row[name] for row in curves] == pytest.approx([row[name] for row in expected], rel=1e-3)


def test_ctrl_c_saves_once_a_killed_rank_ends_all_and_one_process_goes_on(folder, torchrun):
    process = torchrun("results")
    wait_until_it_trains("results")
    process.send_signal(signal.SIGINT)
    _, _, err = finish(process)
    assert "interrupted: tiny/logistic on blobs, seed 0 (stopped on request)" in err
    assert "stopped with 1 runs to do; everything is saved" in err
    saved = only_run("results").status()["rounds"]
    assert (only_run("results").path / "state.safetensors").exists()

    process = torchrun("results", "--images", "128000000")  # another run, that takes long
    for path in Path("results").glob("toy/runs/*/run.json"):
        assert json.loads(path.read_text())["status"] == "interrupted"
    wait_until_it_trains("results")
    os.kill(rank_1_of(process), signal.SIGKILL)
    code, _, err = finish(process)
    assert code == 1
    said = [line for line in err.splitlines() if line.startswith("ganbench: ")]
    assert len(said) == 1
    assert said[0].startswith("ganbench: rank 0 of 2 lost another process of this run, so it ends; the same command")
    statuses = sorted(run.status()["status"] for run in Store.open(Path("results/toy")).run_folders())
    assert statuses == ["failed", "interrupted"]

    assert alone("results").exit_code == 0
    assert alone("one").exit_code == 0
    by_one = only_run("one")
    run = Store.open(Path("results/toy")).run_folder(by_one.id)
    assert run.status()["rounds"] == 200 >= saved
    torch.testing.assert_close(images_of(run), images_of(by_one), **EXACT)


def test_a_batch_that_cannot_be_cut_is_refused_in_one_sentence_and_the_others_are_told(folder, monkeypatch):
    world = Recording(size=3)
    monkeypatch.setattr("ganbench.training.world.world_from_environment", lambda _: world)
    result = alone("results")
    assert result.exit_code == 2
    assert result.stderr == (
        "ganbench: tiny/logistic on blobs, seed 0: a batch of 16 has no 3 equal parts of whole samples; "
        "torchrun started 3 processes, so take a batch_size that 3 divides\n"
    )
    assert world.said == [None, "closed"]
    assert not Path("results").exists()


def test_another_rank_says_nothing_and_ends_when_it_is_told_to(folder, monkeypatch):
    world = Recording()
    world.rank = 1
    monkeypatch.setattr("ganbench.training.world.world_from_environment", lambda _: world)
    result = alone("results")
    assert (result.exit_code, result.output) == (0, "")
    assert world.said == [None, "closed"]


@pytest.mark.parametrize("lost", [RankLost("gone"), KeyboardInterrupt()])
def test_nobody_is_told_where_nobody_listens(lost):
    world = Recording()
    with pytest.raises(type(lost)), leading(world):
        raise lost
    assert world.said == ["closed"]


def test_an_error_that_all_meet_is_the_runs_and_one_that_one_meets_ends_all():
    with pytest.raises(ValueError, match="odd"), in_step(Recording()):
        raise ValueError("odd")
    world = Recording(others_fail=False)
    with pytest.raises(RankLost), in_step(world):
        raise ValueError("odd")
    assert world.said == ["ValueError: odd"]
