"""CIFAR-10 and CIFAR-100: Python batches, read by torchvision after a look at their MD5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ganbench import Images
from ganbench_zoo.download import ensure
from ganbench_zoo.originals import damage


def load_cifar(kind: str, dataset: str, root: Path, *, train: bool) -> Images:
    """Return uint8 (N, 3, 32, 32) and int64 labels of torchvision's class ``kind``.

    Raises:
        ValueError: the files are missing or not the original ones, and cannot be downloaded.
    """
    import torchvision

    cls: Any = getattr(torchvision.datasets, kind)
    files = [*cls.train_list, *cls.test_list, (cls.meta["filename"], cls.meta["md5"])]
    ensure(dataset, root, lambda: damage(root / cls.base_folder, files), lambda: cls(root, download=True))
    stored = cls(root, train=train, download=False)
    pixels = torch.from_numpy(stored.data).permute(0, 3, 1, 2).contiguous()  # (N, 3, 32, 32)
    return Images(pixels, torch.tensor(stored.targets))
