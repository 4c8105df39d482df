"""Extractors with weights from a file, through the command line: scores named for what they are, or a sentence."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

DIGITS = ("score", "digits:test", "--against", "digits:train", "--samples", 12, "--device", "cpu")


class Code:
    """A pickle that would run code."""

    def __reduce__(self):
        return pytest.fail, ("the pickle ran",)


def said(result) -> str:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("ganbench: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"fc.weight": torch.zeros(3)}, "does not hold this network's weights"),
        (Code(), "is no file of torch weights"),
        (b"\x80\x04 truncated", "is no file of torch weights"),
        (None, "do not exist; give a file with those of inception_v3"),
    ],
    ids=["another shape", "a pickle with code", "truncated", "missing"],
)
def test_bad_weights_are_told_in_a_sentence(ganbench, no_downloads, tmp_path, content, sentence):
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    message = said(ganbench(*DIGITS, "--extractor", "inception_v3", "--metrics", "fd", "--weights", path))
    assert sentence in message
    assert "w.pth" in message


def test_a_truncated_download_in_the_cache_is_told(ganbench, no_downloads):
    (no_downloads / "weights-inception-2015-12-05-6726825d.pth").write_bytes(b"half of it")
    message = said(ganbench(*DIGITS, "--extractor", "inception_v3", "--metrics", "fid"))
    assert "the released weights 6726825d" in message
    assert "delete the file" in message


def save(name: str, *shape: int, seed: int = 0) -> str:
    """Write random images into the working directory and return the file's name."""
    np.save(name, np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))
    return name


def test_raw_says_which_images_are_too_large(ganbench):
    large = save("large.npy", 4, 3, 64, 64)
    message = said(ganbench("score", large, "--against", large, "--extractor", "raw", "--metrics", "fd"))
    assert "raw takes at most 8,192 numbers a sample, and 3x64x64 are 12,288" in message


def test_random_weights_give_scores_of_their_own_name_and_never_fid(ganbench, no_downloads, inception_weights):
    files = save("a.npy", 8, 1, 16, 16), "--against", save("b.npy", 8, 1, 16, 16, seed=1)
    given = ("score", *files, "--device", "cpu", "--extractor", "inception_v3", "--weights", inception_weights)
    refused = said(ganbench(*given, "--metrics", "fid"))
    assert "metric 'fid' was asked for, but that name belongs to one network" in refused
    result = ganbench(*given, "--metrics", "fd,cs", "--no-errors", "--json")
    assert result.exit_code == 0, result.output
    text = json.dumps(json.loads(result.stdout))
    assert "fd/inception_v3" in text
    assert "cs/inception_v3" in text
    assert hashlib.sha256(Path(inception_weights).read_bytes()).hexdigest() in text
    assert '"precision": "float32"' in text
    assert '"fid' not in text
