"""A run on a set that memory cannot hold leaves what the same run leaves where it can."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ganbench.execution import requirements
from ganbench_zoo import rows


@pytest.fixture
def photographs(tmp_path):
    for number in range(60):
        noise = np.random.default_rng(number).integers(256, size=(4, 4), dtype=np.uint8)
        (tmp_path / "photographs").mkdir(exist_ok=True)
        Image.fromarray(noise).save(tmp_path / "photographs" / f"{number:02}.png")


def test_neither_weights_nor_scores_tell_how_much_memory_there_was(photographs, run_toy, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "may_be_held", lambda nbytes: False)
    monkeypatch.setattr(rows, "SMALL", 0)  # as of a large set, the hash is over the files
    left = []
    for available in (None, 1):
        monkeypatch.setattr(requirements, "available_bytes", lambda available=available: available)
        folder = tmp_path / str(available)
        done = run_toy(
            "--results", folder,
            **{
                '"blobs"': '"image_folder(path=photographs, channels=1, cache=false)"',
                "seeds = 2": "seeds = 1",
                "losses": 'losses = ["logistic"]',
                '["fd", "precision"]': '["fd", "authpct"]',
                "samples = 64": "samples = 64\nextractor = 'pixels'\nforce = true",
            },
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        (weights,) = folder.rglob("generator.safetensors")
        records = {path.parent.name: path.read_text() for path in folder.rglob("records.jsonl")}
        assert all('"status": "done"' in text and "failed" not in text for text in records.values())
        left.append((weights.read_bytes(), records))  # records name the protocol by its hash
    assert left[0] == left[1]
