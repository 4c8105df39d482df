"""A world: the processes that play one run together, as `torchrun` starts them, and what they say to each other.

Tensors of a phase go over NCCL between GPUs and over gloo elsewhere; words of the host (what to train, when to stop) go
over a group of their own, in which one may wait for days while another scores. A process that dies is noticed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from ganbench.errors import DeviceError, RankLost

T = TypeVar("T")

PHASE_PATIENCE = timedelta(minutes=30)  # rank 0 reads the probe and writes files between two rounds
WORD_PATIENCE = timedelta(days=30)  # rank 0 scores between two runs
FAILURE_PATIENCE = timedelta(seconds=20)
_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # what torchrun sets


class World(Protocol):
    """Processes of equal rights but for rank 0, which decides and writes. All make the same calls in the same order.

    Every method raises `RankLost` where another process is gone.
    """

    @property
    def rank(self) -> int:
        """Which of them this process is, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the rows (n, ...) of all ranks in their order, (size * n, ...), without a graph."""

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its sum over the ranks, bit for bit the same on each."""

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any rank."""

    def share(self, word: T) -> T:
        """Return what rank 0 passes; what the others pass is ignored."""

    def fail(self, reason: str) -> None:
        """Say that this rank failed, and return if all others failed as well: then they can go on together.

        Raises:
            RankLost: another rank did not, so that it waits for this one in vain; both have to end.
        """

    def close(self) -> None:
        """Leave; the world cannot be used any more."""


class Alone:
    """The world of one process."""

    rank, size = 0, 1

    def gather(self, tensor: Tensor) -> Tensor:
        """Return ``tensor`` without a graph."""
        return tensor.detach()

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Do nothing: each is its own sum."""

    def any(self, flag: bool) -> bool:
        """Return ``flag``."""
        return flag

    def share(self, word: T) -> T:
        """Return ``word``."""
        return word

    def fail(self, reason: str) -> None:
        """Do nothing: nobody waits."""

    def close(self) -> None:
        """Do nothing."""


class Group:
    """A world over `torch.distributed`; a process can be in one at a time."""

    def __init__(self, store: Any, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device
        self._failures, self._store = 0, dist.PrefixStore("ganbench", store)  # type: ignore[attr-defined]
        self._host = torch.device("cpu")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        with self._alive():
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PHASE_PATIENCE)
            self._words = cast(dist.ProcessGroup, dist.new_group(backend="gloo", timeout=WORD_PATIENCE))

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the rows (n, ...) of all ranks in their order, (size * n, ...), without a graph."""
        rows = tensor.detach().contiguous()
        sent = rows.view(torch.uint8) if rows.dtype == torch.bool else rows
        found = sent.new_empty(self.size * len(sent), *sent.shape[1:])
        with self._alive():
            dist.all_gather_into_tensor(found, sent)
        return found.view(rows.dtype)

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its sum over the ranks, bit for bit the same on each."""
        with torch.no_grad():
            for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
                some = [tensor for tensor in tensors if tensor.dtype == dtype]
                bucket = torch.cat([tensor.detach().reshape(-1) for tensor in some])
                with self._alive():
                    dist.all_reduce(bucket)
                parts = torch.split(bucket, [tensor.numel() for tensor in some])
                for tensor, part in zip(some, parts, strict=True):
                    tensor.copy_(part.view(tensor.shape))

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any rank."""
        count = torch.tensor(int(flag))
        with self._alive():
            dist.all_reduce(count, group=self._words)
        return bool(count)

    def share(self, word: T) -> T:
        """Return what rank 0 passes; what the others pass is ignored. It goes as a pickle, from our own process."""
        box: list[Any] = [word if self.rank == 0 else None]
        with self._alive():
            dist.broadcast_object_list(box, 0, group=self._words, device=self._host)
        return cast(T, box[0])

    def fail(self, reason: str) -> None:
        """Say that this rank failed, and return if all others failed as well: then they can go on together.

        Raises:
            RankLost: another rank did not, so that it waits for this one in vain; both have to end.
        """
        self._failures += 1
        keys = [f"failure {self._failures} of {rank}" for rank in range(self.size)]
        try:
            self._store.set(keys[self.rank], reason)
            self._store.wait(keys, FAILURE_PATIENCE)
        except RuntimeError as error:
            raise RankLost(f"rank {self.rank} of {self.size} failed alone, so all end: {reason}") from error

    def close(self) -> None:
        """Leave; the world cannot be used any more."""
        if dist.is_initialized():
            dist.destroy_process_group()

    @contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            cause = str(error).partition("\n")[0].partition(". This is typically")[0].rpartition("] ")[2]
            raise RankLost(
                f"rank {self.rank} of {self.size} lost another process of this run, so it ends; the same command goes "
                f"on from the last saved state ({cause})"
            ) from error


def world_from_environment(device: torch.device, variables: Mapping[str, str] = os.environ) -> Group | None:
    """Return the world that `torchrun` started this process in, or None where it is alone.

    On CUDA each process takes the GPU of its local rank.

    Raises:
        DeviceError: there are more processes than devices, the device is of a kind that cannot take part, or the
            processes do not find each other.
    """
    if any(name not in variables for name in _VARIABLES) or int(variables["WORLD_SIZE"]) == 1:
        return None
    rank, size, local = (int(variables[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if not dist.is_available():
        raise DeviceError("this build of PyTorch has no torch.distributed; run without torchrun")
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"torchrun cannot use device {device.type!r}; take --device cpu or cuda")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if local >= count:
            raise DeviceError(
                f"process {local} of this machine wants cuda:{local}, and there are {count} GPUs; "
                f"start one a GPU: torchrun --nproc-per-node {count}, or take --device cpu"
            )
        device = torch.device("cuda", local)
    try:
        store, _, _ = next(rendezvous("env://", rank, size, timeout=PHASE_PATIENCE))
    except (RuntimeError, ValueError) as error:
        raise DeviceError(f"rank {rank} of {size} cannot reach the others: {error}") from error
    return Group(store, rank, size, device)
