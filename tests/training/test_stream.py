"""Batches are the same wherever a split lies, whoever reads it, and in whatever order they are asked for."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from ganbench import Images, ImageSpec, PointSpec
from ganbench.errors import DatasetError
from ganbench.stored import Held
from ganbench.training.checkpoint import capture
from ganbench.training.loop import Training
from ganbench.training.stream import SHARE, ImageStream, fits, place, select
from ganbench.values import Stream
from ganbench_zoo import rows as zoo_rows
from ganbench_zoo.datasets.image_folder import ImageFolder

CPU = torch.device("cpu")
SPEC = ImageSpec((1, 2, 2), classes=5)
IMAGES = Images(torch.arange(120, dtype=torch.uint8).view(30, 1, 2, 2), torch.arange(30) % 5)
POINTS = Images(torch.linspace(-3, 3, 60).view(30, 2))


class Told(Held):
    """Rows that keep which first row of a batch they were asked for, and refuse one row."""

    def __init__(self, images, broken=-1):
        super().__init__(images.pixels, SPEC)
        self.broken, self.asked = broken, []

    def __getitem__(self, rows):
        self.asked.append(rows.tolist())
        if self.broken in rows.tolist():
            raise ValueError(f"row {self.broken} is damaged")
        return super().__getitem__(rows)


def streamed(images, data=SPEC, **others):
    return Stream(Held(images.pixels, data, **others), images.labels)


def same(a, b):
    return torch.equal(a[0], b[0]) and (a[1] is b[1] or torch.equal(a[1], b[1]))


def until(condition):
    """Wait until something that another thread does has happened."""
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def readers():
    return {thread for thread in threading.enumerate() if thread.name.startswith("feed")}


def test_an_epoch_holds_every_sample_once_and_its_last_batch_runs_into_the_next():
    stream = ImageStream(IMAGES, SPEC, 7, seed=3)
    batches = [stream.batch(k) for k in range(10)]  # 70 samples: two epochs of 30 and 10 more
    assert all(images.shape == (7, 1, 2, 2) and images.dtype == torch.float32 for images, _ in batches)
    first = SPEC.encode(torch.cat([images for images, _ in batches]))[:, 0, 0, 0] // 4
    epochs = [first[:30].tolist(), first[30:60].tolist()]
    assert [sorted(epoch) for epoch in epochs] == [list(range(30))] * 2
    assert epochs[0] != epochs[1] != sorted(epochs[1])
    assert torch.equal(torch.cat([labels for _, labels in batches]), first.long() % 5)


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize(("images", "data"), [(IMAGES, SPEC), (POINTS, PointSpec((2,)))])
def test_what_is_streamed_gives_the_batches_of_what_is_resident(images, data, workers):
    resident = ImageStream(images, data, 7, seed=1)
    stream = ImageStream(streamed(images, data), data, 7, 1, CPU, workers)
    assert all(same(stream.batch(k), resident.batch(k)) for k in range(12))
    stream.close()


def test_rows_that_are_laid_out_otherwise_give_the_same_layout():
    transposed = Images(IMAGES.pixels.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2), IMAGES.labels)
    batch, _ = ImageStream(streamed(transposed), SPEC, 7, 1, CPU, 0).batch(0)
    assert batch.is_contiguous()


@pytest.mark.parametrize("workers", [0, 2])
def test_any_batch_may_be_asked_for_at_any_time(workers):
    resident, stream = ImageStream(IMAGES, SPEC, 7, 1), ImageStream(streamed(IMAGES), SPEC, 7, 1, CPU, workers)
    order = [0, 1, 2, 9, 3, 3, 0, 20, 24, 28, 5, 4, 3, 1000, 1001, 0]  # a resumed run, a replay, jumps, the past
    assert all(same(stream.batch(k), resident.batch(k)) for k in order)
    stream.close()
    assert same(stream.batch(1), resident.batch(1))
    stream.close()


def batch_of(rows, k):
    """Say how often batch ``k`` of a stream of `IMAGES` in fives with seed 1 was read."""
    wanted = (ImageStream(IMAGES, SPEC, 5, 1).batch(k)[0][:, 0, 0, 0].add(1).mul(127.5).round().long() // 4).tolist()
    return rows.asked.count(wanted)


def test_the_next_batches_are_read_before_anybody_asks_and_no_more_than_that():
    rows = Told(IMAGES)
    stream = ImageStream(Stream(rows, IMAGES.labels), SPEC, 5, 1, CPU, workers=2)
    stream.batch(0)
    assert until(lambda: len(rows.asked) == 3)
    time.sleep(0.05)
    assert [batch_of(rows, k) for k in range(5)] == [1, 1, 1, 0, 0]
    stream.batch(1)
    assert until(lambda: len(rows.asked) == 4)
    assert [batch_of(rows, k) for k in range(5)] == [1, 1, 1, 1, 0]
    stream.batch(1)
    stream.close()
    assert len(rows.asked) == 4  # what is asked for again, as by an optimizer that extrapolates, is not read again


def test_every_fourth_batch_is_foreseen_too():
    rows = Told(IMAGES)
    stream = ImageStream(Stream(rows, IMAGES.labels), SPEC, 5, 1, CPU, workers=2)
    for k in (0, 4, 4, 8, 12):
        stream.batch(k)
    assert until(lambda: batch_of(rows, 20) == 1)
    assert [batch_of(rows, k) for k in (4, 8, 12, 16)] == [1, 1, 1, 1]
    assert [batch_of(rows, k) for k in (5, 6, 9, 10, 13)] == [0] * 5


@pytest.mark.parametrize("workers", [0, 2])
def test_what_cannot_be_read_is_said_by_the_batch_that_holds_it(workers):
    resident = ImageStream(IMAGES, SPEC, 5, 1)
    broken = int(resident.batch(2)[0][0, 0, 0, 0].add(1).mul(127.5).round()) // 4
    rows = Told(IMAGES, broken)
    stream = ImageStream(Stream(rows, IMAGES.labels), SPEC, 5, 1, CPU, workers)
    assert all(same(stream.batch(k), resident.batch(k)) for k in (0, 1))
    for _ in range(2):
        with pytest.raises(DatasetError, match=f"^row {broken} is damaged$"):
            stream.batch(2)
    assert same(stream.batch(3), resident.batch(3))


def test_an_image_file_that_is_broken_is_named(tmp_path, monkeypatch):
    for number in range(12):
        noise = np.random.default_rng(number).integers(256, size=(8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number:02}.png")
    monkeypatch.setattr(zoo_rows, "may_be_held", lambda nbytes: False)
    data = ImageFolder(str(tmp_path), cache=False)
    split = data.stream(tmp_path, "train")
    resident = ImageStream(data.load(tmp_path, "train"), data.spec(tmp_path), 4, 0)
    stream = ImageStream(split, data.spec(tmp_path), 4, 0, CPU)
    assert all(same(stream.batch(k), resident.batch(k)) for k in range(6))
    name = split.pixels.names[0]
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:100])
    stream = ImageStream(split, data.spec(tmp_path), len(split), 0, CPU)
    with pytest.raises(DatasetError, match=f"{name} in .* cannot be decoded"):
        stream.batch(0)


def test_the_threads_end_with_the_stream():
    others = readers()
    stream = ImageStream(streamed(IMAGES), SPEC, 5, 1, CPU, 2)
    stream.batch(0)
    assert readers() - others
    stream.close()
    assert until(lambda: not readers() - others)
    stream.batch(0)
    assert readers() - others
    del stream
    gc.collect()
    assert until(lambda: not readers() - others)


def test_nobody_waits_for_the_threads_at_the_end_or_in_a_forked_process():
    script = """
import os, time, torch
from ganbench import ImageSpec
from ganbench.stored import Held
from ganbench.training.stream import ImageStream
from ganbench.values import Stream

class Slow(Held):
    def __getitem__(self, rows):
        time.sleep(0.1)
        return super().__getitem__(rows)

data = ImageSpec((1, 1, 1))
rows = Slow(torch.arange(200, dtype=torch.uint8).view(-1, 1, 1, 1), data)
stream = ImageStream(Stream(rows), data, 2, 0, torch.device("cpu"))
first = stream.batch(0)[0]
child = os.fork()
if not child:
    os._exit(0 if torch.equal(stream.batch(0)[0], first) and len(stream.batch(9)[0]) == 2 else 3)
assert os.waitpid(child, 0)[1] == 0
stream.batch(1)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_the_cpu_holds_is_taken_as_it_is():
    split = streamed(IMAGES)
    assert place(IMAGES, CPU) is IMAGES
    assert place(split, CPU) is split
    assert (fits(IMAGES, CPU), fits(split, CPU)) == (True, False)


@pytest.mark.parametrize("split", [IMAGES, streamed(IMAGES)])
def test_a_cuda_device_takes_a_split_into_a_share_of_its_free_memory(split, monkeypatch):
    cuda, exactly = torch.device("cuda"), int(120 / SHARE)
    for free, taken in ((exactly, True), (exactly - 1, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 10**9))
        assert fits(split, cuda) is taken
    assert place(split, cuda) is split


def test_a_stream_is_placed_whole():
    placed = place(streamed(IMAGES), torch.device("meta"))
    assert (placed.pixels.shape, placed.pixels.dtype, placed.labels.shape) == ((30, 1, 2, 2), torch.uint8, (30,))


@pytest.mark.parametrize("split", [IMAGES, streamed(IMAGES)])
def test_some_samples_of_either_form(split):
    found = select(split, torch.tensor([7, 2]))
    assert found.pixels[:, 0, 0, 0].tolist() == [28, 8]
    assert found.labels.tolist() == [2, 2]


def test_a_run_on_a_stream_is_that_on_images_bit_by_bit(make_setup, toys, tmp_path):
    whole = make_setup(toys.Stateful(), regularizers=(toys.SlopePenalty("real"),))
    spec = whole.data
    train, held_out = (Stream(Held(s.pixels, spec), s.labels) for s in (whole.train, whole.held_out))
    parts = make_setup(toys.Stateful(), regularizers=(toys.SlopePenalty("real"),), train=train, test=held_out)
    states, probes = [], []
    for number, setup in enumerate((whole, parts)):
        training = Training(setup, tmp_path / str(number), CPU)
        assert training.run().status == "done"
        states.append(capture(training.engine).tensors)
        probes.append(training.probe)
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[1][name], tensor) for name, tensor in states[0].items())
    assert torch.equal(probes[0].real, probes[1].real)
    assert torch.equal(probes[0].train_labels, probes[1].train_labels)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_a_cuda_device_sees_the_same_batches(monkeypatch):
    cuda, resident = torch.device("cuda"), ImageStream(IMAGES, SPEC, 7, 1)
    wanted = [resident.batch(k) for k in range(12)]
    placed = [place(split, cuda) for split in (IMAGES, streamed(IMAGES))]
    assert all(split.pixels.device.type == "cuda" for split in placed)
    for split in (*placed, IMAGES, streamed(IMAGES)):
        stream = ImageStream(split, SPEC, 7, 1, cuda)
        for k, (images, labels) in enumerate(wanted):
            found = stream.batch(k)
            assert found[0].device.type == found[1].device.type == "cuda"
            torch.testing.assert_close(found[0].cpu(), images, rtol=0, atol=1e-6)
            assert torch.equal(found[1].cpu(), labels)
