"""Batches from functions and iterables: read in order, until there are enough, and nothing else is changed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ganbench import ImageSpec
from ganbench.errors import DatasetError
from ganbench.execution.batches import Spool, call_function, collect
from ganbench.execution.inputs import open_batches
from ganbench.execution.naming import open_text
from ganbench.scoring.reference import content_hash

PIXELS = torch.randint(0, 256, (40, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def test_a_function_leaves_the_interpreter_as_it_was(place, capsys):
    Path("neighbour.py").write_text("SIZE = 4\n")
    Path("f.py").write_text(
        "import torch\nfrom neighbour import SIZE\n\ndef f():\n    print('heard')\n    import neighbour\n"
        "    for _ in range(9):\n        yield torch.rand(5, 1, SIZE, SIZE) * 2 - 1\n"
    )
    paths, before = list(sys.path), torch.get_rng_state()
    first = open_text("f.py:f", replace(place, samples=12))
    assert sys.path == paths
    assert torch.equal(torch.get_rng_state(), before)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "heard\n")
    assert first.count == 12
    torch.rand(3)
    assert open_text("f.py:f", replace(place, samples=12)).content == first.content
    assert open_text("f.py:f", replace(place, samples=12, seed=1)).content != first.content


def test_a_function_that_is_stopped_early_is_closed(place):
    Path("f.py").write_text(
        "import numpy as np\nfrom pathlib import Path\n\ndef f():\n    try:\n        while True:\n"
        "            yield np.zeros((2, 1, 4, 4), np.uint8)\n    finally:\n        Path('closed').touch()\n"
    )
    open_text("f.py:f", replace(place, samples=3))
    assert Path("closed").exists()


def test_broken_files_are_named(place):
    for text, message in (
        ("def f(:", "f.py:f raised SyntaxError"),
        ("1 / 0", "f.py:f raised ZeroDivisionError: division by zero"),
        ("import nothing_of_this_name", "f.py:f raised ModuleNotFoundError"),
    ):
        Path("f.py").write_text(text)
        with pytest.raises(DatasetError, match=message):
            list(call_function(Path("f.py"), "f"))


def test_batches_are_collected_in_order_until_there_are_enough():
    told = []
    rows, form = collect(iter([PIXELS[:7], PIXELS[7:9].numpy(), PIXELS[9:]]), "mine", 20, tell=told.append)
    assert form.data == ImageSpec((1, 4, 4))
    assert told == [7, 9, 20]
    assert torch.equal(rows[torch.arange(20)], PIXELS[:20])
    assert torch.equal(rows[torch.tensor([19, 3])], PIXELS[[19, 3]])
    assert rows.fingerprint == content_hash(PIXELS[:20])


def test_what_was_spooled_outlasts_its_file_and_leaves_none(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Spool() as spool:
        spool.add(PIXELS)
        rows = spool.rows(ImageSpec((1, 4, 4)))
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(rows[torch.arange(40)], PIXELS)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([PIXELS, "word"], "batch 2 of mine is str"),
        ([{"images": PIXELS}], "batch 1 of mine is dict"),
        ([(PIXELS, None)], "batch 1 of mine is tuple"),
        ([np.array(["a"])], "batch 1 of mine is an array of <U1"),
        ([PIXELS[0, 0, 0]], r"batch 1 of mine has shape \(4,\)"),
        ([PIXELS.long()], "batch 1 of mine holds int64"),
        (
            [PIXELS, PIXELS.float() / 255 - 1],
            r"batch 2 of mine has floats of shape \(N, 1, 4, 4\), the first one uint8",
        ),
        ([PIXELS.float() / 255], "mine holds floats of which none is negative"),
        ([PIXELS[:0]], "mine gave no samples"),
        ([], "mine gave no samples"),
    ],
)
def test_what_is_no_batch_is_refused(batches, message, place):
    with pytest.raises(DatasetError, match=message):
        open_batches(batches, place, "mine")
