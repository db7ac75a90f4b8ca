"""One process or several: who I am, what part of a batch is mine, and how predictions come together.

Several processes are started by `torchrun`, one for each GPU. Every process sees its share of the pictures of a batch;
the predictions of all are gathered, and everybody computes the loss of the whole batch, so that losses over a batch
(correlations, pairs, scenes) are the ones of a single process. Batch normalisation uses the statistics of all
processes on GPUs, and those of the own share on CPUs (torch has nothing else there).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from mien.core.errors import UsageError

#: The others wait while the main process judges, exports and checks, which may take hours; torch gives up after 10 or
#: 30 minutes. When a process dies, torchrun ends the others long before.
PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class Machine:
    """This process among all."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """My part of n things.

        Raises:
            UsageError: n cannot be shared evenly.
        """
        if n % self.world:
            raise UsageError(f"{n} pictures cannot be shared by {self.world} processes: choose another --batch")
        return slice(self.rank * n // self.world, (self.rank + 1) * n // self.world)

    def gathered(self, mine: Tensor) -> Tensor:
        """Everybody's rows in the order of the ranks; gradients flow into my own."""
        if self.world == 1:
            return mine
        parts = [torch.empty_like(mine) for _ in range(self.world)]
        dist.all_gather(parts, mine.detach().contiguous())
        parts[self.rank] = mine
        return torch.cat(parts)

    def collected(self, mine: list[Any]) -> list[Any]:
        """What was dealt as `[rank::world]`, together again in its order."""
        if self.world == 1:
            return mine
        parts: list[list[Any]] = [[] for _ in range(self.world)]
        dist.all_gather_object(parts, mine)
        whole = [None] * sum(map(len, parts))
        for rank, part in enumerate(parts):
            whole[rank :: self.world] = part
        return whole

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over all processes."""
        if self.world == 1:
            return module
        return nn.parallel.DistributedDataParallel(module, find_unused_parameters=True)

    def wait(self) -> None:
        """For all others."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def machine(device: str | None = None) -> Iterator[Machine]:
    """This process, as torchrun started it, or alone.

    Args:
        device: "cpu", "cuda" or None for a GPU where there is one.

    Raises:
        UsageError: there is no such device.
    """
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    place = _device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if world == 1:
        yield Machine(place)
        return
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Machine(place, rank, world)
    finally:
        dist.destroy_process_group()


def synchronised(net: nn.Module, here: Machine) -> nn.Module:
    """With batch statistics of all processes, where torch can."""
    if here.world > 1 and here.device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)
    return net


def _device(wanted: str | None, local_rank: int) -> torch.device:
    there = torch.cuda.is_available()
    kind = wanted or ("cuda" if there else "cpu")
    if kind not in ("cpu", "cuda"):
        raise UsageError(f"no device {kind!r}: cpu or cuda")
    if kind == "cuda" and not there:
        raise UsageError("torch sees no CUDA GPU here: leave --device out, or say --device cpu")
    if kind == "cpu":
        return torch.device("cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
