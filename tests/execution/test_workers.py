"""Worker processes: the same numbers as in one process; Ctrl-C, a killed worker, a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ganbench.results.store import Store

TOYS = Path(__file__).parents[1] / "plugins" / "toys.py"
SUITE = """
name = "toy"
datasets = ["blobs"]
seeds = {seeds}
architectures = ["tiny"]
losses = ["logistic"]
baselines = []
[recipe]
batch_size = 16
g_optimizer = "plain_adam"
d_optimizer = "plain_adam"
[budget]
images = {images}
[scoring]
metrics = ["fd"]
samples = 64
"""


@pytest.fixture
def start(tmp_path):
    """Start ``ganbench run`` on the toy suite as a process of its own, in a process group of its own."""
    running = []

    def start(workers: int, seeds: int = 2, images: int = 320, name: str = "results") -> subprocess.Popen:
        (tmp_path / "toy.toml").write_text(SUITE.format(seeds=seeds, images=images))
        command = [sys.executable, "-m", "ganbench", "run", "toy.toml", "--plugins", str(TOYS), "--device", "cpu"]
        process = subprocess.Popen(
            [*command, "--workers", str(workers), "--results", name],
            cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "GANBENCH_CACHE": str(tmp_path / "cache")},
        )  # fmt: skip
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def wait_for(condition, what: str) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f"waited a minute for {what}")


def training(folder: Path) -> list[Path]:
    return list(folder.glob("toy/runs/*/run.json"))


def statuses(folder: Path) -> list[dict]:
    return [run.status() for run in Store.open(folder / "results" / "toy").run_folders()]


def workers_of(process: subprocess.Popen) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_workers_and_one_process_give_the_same_bytes(start, tmp_path):
    assert finish(start(1, name="one"))[0] == 0
    code, _out, err = finish(start(2, name="two"))
    assert code == 0, err
    assert "2 processes" in err
    names = ("generator.safetensors", "state.safetensors", "records.jsonl", "curves.jsonl", "sheet.png")
    for run in Store.open(tmp_path / "one" / "toy").run_folders():
        other = tmp_path / "two" / "toy" / "runs" / run.id
        for name in names:
            assert (run.path / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_saves_and_the_same_command_goes_on(start, tmp_path, workers):
    images = 16 * 200_000
    process = start(workers, images=images)
    wait_for(lambda: len(training(tmp_path / "results")) >= workers, "the runs to begin")
    time.sleep(1)  # perhaps some rounds
    os.killpg(process.pid, signal.SIGINT)
    code, _out, err = finish(process)
    assert code == 130, err
    assert "everything is saved: the same command goes on from here" in err
    store = Store.open(tmp_path / "results" / "toy")
    runs = [folder.status() for folder in store.run_folders()]
    assert [run["status"] for run in runs] == ["interrupted"] * workers
    assert all((folder.path / "state.safetensors").exists() for folder in store.run_folders())
    before = {folder.id: folder.status()["rounds"] for folder in store.run_folders()}
    for pause in (1, 4, 16, 32):  # a busy machine may take long to the first round
        process = start(workers, images=images)
        wait_for(lambda: any(f.status()["status"] == "running" for f in store.run_folders()), "going on")
        time.sleep(pause)
        os.killpg(process.pid, signal.SIGINT)
        finish(process)
        after = {folder.id: folder.status()["rounds"] for folder in store.run_folders()}
        if any(after[run] > rounds for run, rounds in before.items()):
            break
    else:
        pytest.fail(f"no run went on: {before}, then {after}")
    assert all(after[run] >= rounds for run, rounds in before.items())


def test_ctrl_c_while_the_workers_still_import_loses_nothing(start, tmp_path):
    process = start(2, images=16 * 200_000)
    wait_for(lambda: len(workers_of(process)) >= 2, "the workers to start")
    os.killpg(process.pid, signal.SIGINT)
    code, _out, err = finish(process)
    assert code == 130, err
    assert "Traceback" not in err
    assert "failed" not in err
    assert {status["status"] for status in statuses(tmp_path)} <= {"interrupted"}


def test_a_second_ctrl_c_stops_at_once(start, tmp_path):
    process = start(2, images=16 * 200_000)
    wait_for(lambda: len(training(tmp_path / "results")) >= 2, "the runs to begin")
    workers = workers_of(process)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)  # they cannot finish a step
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "stopped at once" in err
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


def test_a_killed_worker_costs_its_run_only(start, tmp_path):
    process = start(2, seeds=3, images=16 * 1_500)
    wait_for(lambda: len(training(tmp_path / "results")) >= 2, "the runs to begin")
    os.kill(workers_of(process)[0], signal.SIGKILL)
    code, _out, err = finish(process)
    assert code == 1
    assert "its process ended by signal SIGKILL; the system may have run out of memory" in err
    store = Store.open(tmp_path / "results" / "toy")
    assert sorted(folder.status()["status"] for folder in store.run_folders()) == ["done", "done", "failed"]
    assert finish(start(2, seeds=3, images=16 * 1_500))[0] == 0
    assert [folder.status()["status"] for folder in store.run_folders()] == ["done"] * 3


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["alone", "with its workers"])
def test_a_terminated_run_saves_too(start, tmp_path, kill):
    process = start(2, images=16 * 200_000)
    wait_for(lambda: len(training(tmp_path / "results")) >= 2, "the runs to begin")
    kill(process.pid, signal.SIGTERM)
    code, _, err = finish(process)
    assert code == 130, err
    assert "everything is saved" in err
    assert all((path.parent / "state.safetensors").exists() for path in training(tmp_path / "results"))


def test_workers_whose_parent_is_killed_save_and_end(start, tmp_path):
    process = start(2, images=16 * 200_000)
    wait_for(lambda: len(training(tmp_path / "results")) >= 2, "the runs to begin")
    workers = workers_of(process)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), "the workers to end")
    statuses = [folder.status() for folder in Store.open(tmp_path / "results" / "toy").run_folders()]
    assert [status["status"] for status in statuses] == ["interrupted", "interrupted"]
    assert all((path.parent / "state.safetensors").exists() for path in training(tmp_path / "results"))
